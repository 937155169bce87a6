//! The command line: one file per subcommand; here only the enum and the dispatch.

#[cfg(target_os = "linux")]
mod again;
mod auth;
mod completion;
mod config;
mod connection;
mod dag;
mod diff;
mod doctor;
#[cfg(target_os = "linux")]
mod draft;
mod env;
mod gather;
mod init;
mod lineage;
mod log;
#[cfg(target_os = "linux")]
mod observing;
#[cfg(target_os = "linux")]
mod overrides;
mod pop;
mod reading;
mod reference;
mod register;
mod reproduce;
#[cfg(target_os = "linux")]
mod rerun;
mod reset;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod runner;
#[cfg(target_os = "linux")]
mod setup;
mod show;
mod status;
#[cfg(target_os = "linux")]
mod timing;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::CommandError;
#[cfg(target_os = "linux")]
use crate::model::JobKind;
use crate::present::ui::Ui;

/// Run observation and artifact registration.
///
/// Put `roar run` before any command: roar records which files it read and wrote,
/// by content, and from that where every file came from.
#[derive(Debug, Parser)]
#[command(
    name = "roar",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Dag(dag::Args),
    Show(show::Args),
    Log(log::Args),
    Lineage(lineage::LineageArgs),
    Why(lineage::WhyArgs),
    Pop(pop::Args),
    Reset(reset::Args),
    Status(status::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Reproduce(reproduce::Args),
    Register(register::Args),
    Auth(auth::Args),
    #[cfg(target_os = "linux")]
    Run(run::RunArgs),
    /// Run a build step: as `run`, and before the pipeline steps when a pipeline is reproduced.
    #[cfg(target_os = "linux")]
    Build(run::RunArgs),
    #[cfg(target_os = "linux")]
    Rerun(rerun::Args),
    /// View or set configuration options.
    Config(config::Args),
    Doctor(doctor::Args),
    Env(env::Args),
    #[cfg(target_os = "linux")]
    Setup(setup::Args),
    Completion(completion::CompletionArgs),
    Man(completion::ManArgs),
}

/// What every command is given.
#[derive(Debug)]
pub struct Context {
    /// The only way to print.
    pub ui: Ui,
    /// The directory roar was started in.
    pub cwd: std::path::PathBuf,
}

/// Parses the command line, runs the command and returns the process's exit status.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    let began_ns = crate::clock::monotonic_ns();
    let cli = Cli::parse();
    let mut context = Context {
        ui: Ui::from_environment(),
        cwd: std::env::current_dir().unwrap_or_else(|_| ".".into()),
    };
    #[cfg(target_os = "linux")]
    let timings = timing::Timing::asked(&cli.command, began_ns);
    let code = match dispatch(cli.command, &mut context) {
        // What a script asked for is not all there.
        Ok(code) if code == ExitCode::SUCCESS && context.ui.has_failed() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            context.ui.error(&error);
            ExitCode::from(error.kind.exit_status())
        }
    };
    #[cfg(target_os = "linux")]
    timings.tell(&context.ui);
    code
}

fn dispatch(command: Command, context: &mut Context) -> Result<ExitCode, CommandError> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Dag(args) => dag::run(context, &args),
        Command::Show(args) => show::run(context, args),
        Command::Log(args) => log::run(context, args),
        Command::Lineage(args) => lineage::lineage(context, &args),
        Command::Why(args) => lineage::why(context, &args),
        Command::Pop(args) => pop::run(context, &args),
        Command::Reset(args) => reset::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
        Command::Reproduce(args) => reproduce::run(context, &args),
        Command::Register(args) => register::run(context, &args),
        Command::Auth(args) => auth::run(context, &args),
        Command::Status(args) => status::run(context, &args),
        #[cfg(target_os = "linux")]
        Command::Run(args) => run::run(&args, JobKind::Run, context),
        #[cfg(target_os = "linux")]
        Command::Build(args) => run::run(&args, JobKind::Build, context),
        #[cfg(target_os = "linux")]
        Command::Rerun(args) => rerun::run(context, &args),
        Command::Config(args) => config::run(context, args),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Env(args) => env::run(context, args),
        #[cfg(target_os = "linux")]
        Command::Setup(args) => setup::run(context, &args),
        Command::Completion(args) => completion::completion(context, &args),
        Command::Man(args) => completion::man(context, &args),
    }
}
