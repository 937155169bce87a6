//! `roar run`: a command, or a recorded step again, under observation.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use super::Context;
use super::again::{self, Asked};
use super::observing::Observing;
use super::runner::Runner;
use crate::error::CommandError;
use crate::model::JobKind;

/// Run a command and record which files it reads and writes.
///
/// The command's input, output, terminal, signals and exit status are untouched; roar's own
/// report goes to stderr. roar exits with the command's status (128 + N when signal N killed
/// it), 126 when the command cannot be executed, 127 when it is not found, and 125 when roar
/// itself fails before the command has started.
///
/// `@N` (or `@BN`) in the place of the command runs that step's latest command again, with the
/// arguments and in the folder that were recorded. What follows changes it: `--k=v` or `--k v`
/// takes the place of `--k=old` or `--k old`; an option it did not have, and any other word,
/// goes to the end.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) observing: Observing,

    /// A name for the step.
    #[arg(short, long)]
    name: Option<String>,

    /// With @N: do not ask when the step would read what stale steps made.
    #[arg(short = 'y', long)]
    yes: bool,

    /// The command and its arguments, or @N and what to change.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// Runs the command; the result is its exit status.
///
/// # Errors
/// There is no project, its database or settings cannot be used, no tracer works, or the
/// command cannot be started. Nothing is recorded then.
pub(super) fn run(
    args: &RunArgs,
    kind: JobKind,
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let RunArgs {
        observing,
        name,
        yes,
        command,
    } = args;
    let early = observing.attach_first()?;
    let mut runner = Runner::prepare(context, observing, early)?;
    let asked = if command
        .first()
        .is_some_and(|word| again::is_reference(word))
    {
        let asked = runner.again(context, kind, command)?;
        if !again::may_run(context, runner.store(), &asked, *yes)? {
            return Ok(ExitCode::FAILURE);
        }
        if !runner.quiet {
            again::announce(context, &asked, "");
        }
        Asked {
            name: name.clone().or(asked.name),
            ..asked
        }
    } else {
        Asked {
            kind,
            name: name.clone(),
            argv: command.clone(),
            folder: context.cwd.clone(),
            step: None,
        }
    };
    runner.execute(context, &asked).map(ExitCode::from)
}
