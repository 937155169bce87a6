//! Development tasks, run as `cargo xtask TASK`: one module per task, here only the list.
//!
//! A task does its own set-up, shows each command it runs, and may be run again at any time.

mod bench;
mod build_ebpf;
mod ci;
mod console;
mod demo;
mod page;
mod process;
mod python;
mod queries;
mod server_bench;
mod setup;
mod storm;
mod test;
mod tidy;
mod vm_test;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Development tasks of roar.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Setup(setup::Args),
    Bench(bench::Args),
    BuildEbpf(build_ebpf::Args),
    Demo(demo::Args),
    Queries(queries::Args),
    ServerBench(server_bench::Args),
    Test(test::Args),
    Storm(storm::Args),
    Tidy(tidy::Args),
    VmTest(vm_test::Args),
    Ci(ci::Args),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Setup(args) => setup::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::BuildEbpf(args) => build_ebpf::run(&args),
        Task::Queries(args) => queries::run(&args),
        Task::ServerBench(args) => server_bench::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Storm(args) => storm::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::VmTest(args) => vm_test::run(&args),
        Task::Ci(args) => ci::run(&args),
    }
}

/// The names of the tasks, for the documents that must mention each.
fn task_names() -> Vec<String> {
    Cli::command()
        .get_subcommands()
        .map(|task| task.get_name().to_owned())
        .collect()
}
