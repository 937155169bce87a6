//! `roar doctor`: whether `roar run` will work here, and what would mend it.

use std::process::ExitCode;

use super::Context;
use crate::diagnosis;
use crate::error::CommandError;
use crate::present::doctor;

/// Find out whether `roar run` will work here, and what is missing.
///
/// Every tracer is tried; what is missing is named with the command that mends it. Exit
/// status 0 when `roar run` will work in this folder, 1 when it will not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// Under sudo: the user who invoked it cannot be become.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let ground = diagnosis::ground();
    // As for `roar run`: that user's files are looked at with that user's rights.
    #[cfg(target_os = "linux")]
    {
        use crate::privilege;
        let failed = |error: privilege::PrivilegeError| {
            CommandError::user("cannot look at the project as the user who invoked sudo")
                .because(error)
        };
        if let Some(invoker) = privilege::invoker().map_err(failed)? {
            invoker.become_for_good().map_err(failed)?;
        }
    }
    let diagnosis = ground.and_project(&context.cwd);
    context.ui.data(&if args.json {
        doctor::json(&diagnosis)
    } else {
        doctor::text(&diagnosis)
    });
    Ok(if diagnosis.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
