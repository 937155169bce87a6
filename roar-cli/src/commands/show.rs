//! `roar show`: a session, a job or an artifact.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, FoundArtifact, Target};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::StepState;
use crate::model::{JobState, StoredJob};
use crate::present::artifact::{ArtifactView, USES_SHOWN};
use crate::present::job::JobView;
use crate::present::session::SessionView;
use crate::present::{Terminal, collection};
use crate::project::Project;
use crate::store::{JobQuery, JobSummary, Store};

/// Show session, job, or artifact details.
///
/// Without a reference: the active session and its steps. `@N` or `@BN` shows the latest
/// job of that step. A job uid or artifact hash may be shortened to 4 digits or more. A path
/// is hashed and found by its content first, so that a moved or copied file is recognised.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `@N`, `@BN`, a job uid, an artifact hash, or a path.
    #[arg(value_name = "@N|@BN|UID|HASH|PATH")]
    reference: Option<OsString>,
    /// Also list the file accesses that filters kept out, each with the filter's key.
    #[arg(long)]
    all: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// Nothing recorded is meant by the reference, or more than one thing.
pub(super) fn run(context: &mut Context, args: Args) -> Result<ExitCode, CommandError> {
    let Args {
        reference,
        all,
        json,
    } = args;
    let (project, store) = reading::open(context)?;
    let text = match reference {
        None => store.moment(|| session(&store, json))??,
        Some(reference) => match reference::resolve(&store, &context.cwd, &reference)? {
            Target::Job(summary) => {
                store.moment(|| job(context, &project, &store, &summary, all, json))??
            }
            Target::Artifact(found) => {
                store.moment(|| artifact(context, &store, &found, json))??
            }
            Target::Collection(found) if json => collection::json(&found),
            Target::Collection(found) => {
                let terminal = Terminal::from_environment();
                collection::text(&found, &context.cwd, clock::now_ns(), terminal)
            }
        },
    };
    context.ui.data(&text);
    Ok(ExitCode::SUCCESS)
}

fn session(store: &Store, json: bool) -> Result<String, CommandError> {
    let Some(session) = store.active_session()? else {
        return Ok(nothing_recorded(json));
    };
    let graph = ManuallyDrop::new(reading::graph(store, session.id)?); // as long as the process
    let steps = reading::steps(store, &graph, &graph.states())?;
    let view = SessionView {
        session: &session,
        steps: &steps,
    };
    Ok(if json {
        view.json()
    } else {
        view.text(clock::now_ns(), Terminal::from_environment())
    })
}

/// What stands in the place of a session before the first job.
pub(super) fn nothing_recorded(json: bool) -> String {
    if json {
        "null\n".to_owned()
    } else {
        "Nothing is recorded yet. Begin with: roar run COMMAND\n".to_owned()
    }
}

fn job(
    context: &Context,
    project: &Project,
    store: &Store,
    summary: &JobSummary,
    all: bool,
    json: bool,
) -> Result<String, CommandError> {
    let job = store
        .job(summary.id)?
        .ok_or_else(|| CommandError::user(format!("job {} was just removed", summary.uid)))?;
    let collections = store.collections_of(summary.id)?;
    let parts = parts_of_launch(store, &job)?;
    let view = JobView {
        job: &job,
        collections: &collections,
        parts: &parts,
        project_root: &project.root,
        state: if json {
            None
        } else {
            state_of(store, summary)?
        },
        all,
    };
    Ok(if json {
        view.json()
    } else {
        view.text(&context.cwd, clock::now_ns(), Terminal::from_environment())
    })
}

/// The other jobs of the launch that a job is a part of, newest first.
fn parts_of_launch(store: &Store, job: &StoredJob) -> Result<Vec<JobSummary>, CommandError> {
    let launch = job.record.conditions.launch.as_ref();
    let Some(id) = launch.and_then(|launch| launch.id.clone()) else {
        return Ok(Vec::new());
    };
    let mut parts = store.job_summaries(&JobQuery {
        launch: Some(id),
        ..JobQuery::default()
    })?;
    parts.retain(|part| part.id != job.id);
    Ok(parts)
}

fn state_of(store: &Store, summary: &JobSummary) -> Result<Option<StepState>, CommandError> {
    if summary.state == JobState::Lost {
        return Ok(Some(StepState::Lost));
    }
    // It lasts as long as the process: taking it apart would take as long as half the answer.
    let graph = ManuallyDrop::new(reading::graph(store, summary.session_id)?);
    let at = graph
        .executions()
        .iter()
        .position(|e| e.job_id == summary.id);
    Ok(at.map(|index| graph.states()[index]))
}

fn artifact(
    context: &Context,
    store: &Store,
    found: &FoundArtifact,
    json: bool,
) -> Result<String, CommandError> {
    found.warn_if_changed(context);
    let id = found.artifact.id;
    let uses = if json {
        store.artifact_uses(id)?
    } else {
        let mut newest = store.newest_uses(id, true, USES_SHOWN as u32)?;
        newest.extend(store.newest_uses(id, false, USES_SHOWN as u32)?);
        newest.sort_by_key(|one| (Reverse(one.job.id), one.produced));
        newest
    };
    let view = ArtifactView {
        artifact: &found.artifact,
        uses: &uses,
        counts: store.use_counts(id)?,
        asked: found.asked.as_ref(),
    };
    Ok(if json {
        view.json()
    } else {
        view.text(&context.cwd, clock::now_ns(), Terminal::from_environment())
    })
}
