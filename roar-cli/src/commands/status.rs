//! `roar status`: the active session against the files on disk.

use std::process::ExitCode;

use super::Context;
use super::reading::{self, LoadedSession};
use super::show::nothing_recorded;
use crate::capture::{self, hash::Unhashed};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::{ArtifactVersion, StepState};
use crate::present::Terminal;
use crate::present::session::{ArtifactCheck, OnDisk, StaleStep, StatusView};
use crate::store::Store;

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
    let loaded = LoadedSession::load(&store, session.id)?;
    let states = loaded.graph.states();
    let checks = check_artifacts(&store, &loaded, &states);
    let stale: Vec<StaleStep> = loaded
        .graph
        .latest()
        .values()
        .filter(|index| states[**index] == StepState::Stale)
        .map(|index| StaleStep {
            latest: loaded.jobs[*index].clone(),
            inputs: loaded.graph.stale_inputs(*index),
        })
        .collect();
    let git = capture::git::state(&project.root).unwrap_or_else(|error| {
        context.ui.warning(&format!("git state unknown: {error}"));
        None
    });
    let view = StatusView {
        session: &session,
        steps: &loaded.steps(&states),
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

/// Compares the newest version of every output with the file at its place.
pub(super) fn check_artifacts(
    store: &Store,
    loaded: &LoadedSession,
    states: &[StepState],
) -> Vec<ArtifactCheck> {
    let current: Vec<ArtifactVersion> = loaded
        .graph
        .artifacts(states)
        .into_iter()
        .filter(|version| version.superseded_by.is_none())
        .collect();
    let paths: Vec<_> = current
        .iter()
        .map(|version| version.path.to_path_buf())
        .collect();
    current
        .into_iter()
        .zip(reading::hash_paths(store, &paths))
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
