//! `roar reset`: a fresh session.

use std::process::ExitCode;

use super::Context;
use crate::error::CommandError;
use crate::present::human;
use crate::project::Project;
use crate::store::{JobQuery, Store};

/// Start a fresh session.
///
/// Previous session data is preserved: see it with `roar log --all` and
/// `roar dag --session ID`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,
}

/// # Errors
/// Nobody confirmed, or the database cannot be written.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let project = Project::find(&context.cwd)?;
    let mut store = Store::open(&project)?;
    let Some(session) = store.active_session()? else {
        context
            .ui
            .note("nothing is recorded yet: there is no session to reset");
        return Ok(ExitCode::SUCCESS);
    };
    let jobs = store.job_summaries(&JobQuery {
        session: Some(session.id),
        ..JobQuery::default()
    })?;
    if jobs.is_empty() {
        context
            .ui
            .note(&format!("session {} is fresh already", session.id));
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        let question = format!(
            "Start a fresh session? Session {} ({}) is kept.",
            session.id,
            human::count(jobs.len(), "job")
        );
        match context.ui.confirm(&question, false) {
            Some(true) => {}
            Some(false) => {
                context.ui.note("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
            None => {
                return Err(CommandError::user("a fresh session must be confirmed")
                    .hint("without a terminal, run: roar reset -y"));
            }
        }
    }
    let fresh = store.start_session()?;
    context.ui.note(&format!(
        "started session {}; session {} is kept: roar dag --session {}",
        fresh.id, session.id, session.id
    ));
    Ok(ExitCode::SUCCESS)
}
