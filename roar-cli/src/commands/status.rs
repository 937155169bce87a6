//! `roar status`: the active session against the files on disk.

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use super::Context;
use super::reading::{self, IdGraph};
use super::show::nothing_recorded;
use crate::capture::{self, hash::Unhashed};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::{ArtifactVersion, StaleInput, StepState};
use crate::present::Terminal;
use crate::present::session::{ArtifactCheck, OnDisk, StaleStep, StatusView, StepLine};
use crate::recording;
use crate::redact::Redactor;
use crate::store::{Store, StoreError};

/// Show a summary of the active session.
///
/// The session, the git state, whether the files it made are still as they were made, and
/// which steps are stale.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// The database cannot be read.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let (project, store) = reading::open(context)?;
    let Some(session) = store.active_session()? else {
        context.ui.data(&nothing_recorded(args.json));
        return Ok(ExitCode::SUCCESS);
    };
    let Recorded {
        steps,
        stale,
        outputs,
    } = store.moment(|| recorded(&store, session.id))??;
    let checks = ManuallyDrop::new(check_artifacts(&store, outputs)); // as long as the process
    let mut git = capture::git::state(&project.root).unwrap_or_else(|error| {
        context.ui.warning(&format!("git state unknown: {error}"));
        None
    });
    if let Some(git) = &mut git {
        recording::hide_secrets_of_git(git, &Redactor::default());
    }
    let view = StatusView {
        session: &session,
        steps: &steps,
        git: git.as_ref(),
        artifacts: &checks,
        stale: &stale,
    };
    context.ui.data(&if args.json {
        view.json()
    } else {
        view.text(&context.cwd, clock::now_ns(), Terminal::from_environment())
    });
    Ok(ExitCode::SUCCESS)
}

/// What the record says of a session.
struct Recorded {
    steps: Vec<StepLine>,
    stale: Vec<StaleStep>,
    /// The newest version of every output.
    outputs: Vec<ArtifactVersion>,
}

fn recorded(store: &Store, session_id: i64) -> Result<Recorded, StoreError> {
    let graph = ManuallyDrop::new(reading::graph(store, session_id)?); // as long as the process
    let states = graph.states();
    let steps = reading::steps(store, &graph, &states)?;
    let outputs = graph.artifacts_that(&states, |version| !version.is_superseded);
    Ok(Recorded {
        stale: stale_steps(store, &graph, &steps)?,
        outputs: reading::named(store, outputs)?,
        steps,
    })
}

/// The stale steps, and what each had read that has changed since.
fn stale_steps(
    store: &Store,
    graph: &IdGraph,
    steps: &[StepLine],
) -> Result<Vec<StaleStep>, StoreError> {
    let mut stale = Vec::new();
    for step in steps.iter().filter(|step| step.state == StepState::Stale) {
        let latest = &step.latest;
        let Some(index) = graph.latest().get(&latest.step_number) else {
            continue;
        };
        let mut inputs = Vec::new();
        for input in graph.stale_inputs(*index) {
            inputs.push(StaleInput {
                path: store.path_of(input.path)?,
                consumed: store.digest_of(input.consumed)?,
                produced: store.digest_of(input.produced)?,
                by_step: input.by_step,
            });
        }
        stale.push(StaleStep {
            latest: latest.clone(),
            inputs,
        });
    }
    Ok(stale)
}

/// Compares outputs with the files at their places.
fn check_artifacts(store: &Store, current: Vec<ArtifactVersion>) -> Vec<ArtifactCheck> {
    let paths: Vec<_> = current.iter().map(|version| &version.path).collect();
    let found = reading::hash_paths(store, &paths);
    current
        .into_iter()
        .zip(found)
        .map(|(version, content)| check(version, content))
        .collect()
}

fn check(
    version: ArtifactVersion,
    content: Result<crate::model::Digest, Unhashed>,
) -> ArtifactCheck {
    let (state, found, note) = match (&version.hash, content) {
        (_, Err(Unhashed::Missing)) => (OnDisk::Missing, None, None),
        (_, Err(reason)) => (OnDisk::Unverified, None, Some(reason.to_string())),
        (None, Ok(found)) => {
            let note = "its content was not recorded".to_owned();
            (OnDisk::Unverified, Some(found), Some(note))
        }
        (Some(recorded), Ok(found)) if *recorded == found => (OnDisk::Present, Some(found), None),
        (Some(_), Ok(found)) => (OnDisk::Changed, Some(found), None),
    };
    ArtifactCheck {
        path: version.path,
        hash: version.hash,
        found,
        state,
        producer_step: version.producer_step,
        note,
    }
}
