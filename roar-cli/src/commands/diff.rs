//! `roar diff`: what two jobs have in common and what not.

use std::ffi::OsString;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, FoundArtifact, Target};
use crate::capture::git;
use crate::error::CommandError;
use crate::lineage::diff::{Change, Layer, LayerName, compare};
use crate::model::{Digest, StoredJob};
use crate::present::Terminal;
use crate::present::diff::{CodeLine, Content, DiffView, Producers, Side};
use crate::project::Project;
use crate::store::Store;

/// Compare two steps, jobs or artifacts.
///
/// Layer by layer: arguments, inputs, git, packages, environment, hardware, outcome, outputs;
/// what most likely made the outputs differ is named first. A step stands for its latest job, an artifact for the job
/// that made it last.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `@N`, `@BN`, a job uid, an artifact hash, or a path.
    #[arg(value_name = "A")]
    a: OsString,
    /// What to compare it with.
    #[arg(value_name = "B")]
    b: OsString,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// A reference means nothing, or the record cannot be read.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let (project, store) = reading::open(context)?;
    let (a, b) = store.moment(|| {
        (
            side(context, &store, &args.a),
            side(context, &store, &args.b),
        )
    })?;
    let (a, b) = (a?, b?);
    let layers = match (&a.job, &b.job) {
        (Some(a), Some(b)) => compare(&a.record, &b.record),
        _ => Vec::new(),
    };
    let view = DiffView {
        producers: store.moment(|| producers(&store, &a, &b, &layers))??,
        code: code(context, &project, &layers),
        a,
        b,
        layers,
    };
    context.ui.data(&if args.json {
        view.json()
    } else {
        view.text(&context.cwd, Terminal::from_environment())
    });
    Ok(ExitCode::SUCCESS)
}

fn side(context: &Context, store: &Store, text: &OsString) -> Result<Side, CommandError> {
    match reference::resolve(store, &context.cwd, text)? {
        Target::Job(summary) => Ok(Side {
            job: store.job(summary.id)?,
            content: None,
        }),
        Target::Collection(found) => Err(CommandError::user(format!(
            "{} is a collection; compare the jobs that made it",
            found.hash.short()
        ))
        .hint(format!(
            "they are named by: roar show {}",
            found.hash.short()
        ))),
        Target::Artifact(found) => {
            found.warn_if_changed(context);
            let FoundArtifact { artifact, asked: _ } = found;
            let made = store.last_use(artifact.id, true)?;
            let path = match &made {
                Some(made) => Some(made.path.clone()),
                None => store.last_use(artifact.id, false)?.map(|one| one.path),
            };
            Ok(Side {
                job: match made {
                    Some(made) => store.job(made.job.id)?,
                    None => None,
                },
                content: Some(Content {
                    hash: artifact.hash,
                    size_bytes: artifact.size_bytes,
                    path,
                }),
            })
        }
    }
}

/// Which jobs made the inputs that differ.
fn producers(
    store: &Store,
    a: &Side,
    b: &Side,
    layers: &[Layer],
) -> Result<Vec<Producers>, CommandError> {
    let mut found = Vec::new();
    let changed = layers
        .iter()
        .filter(|layer| layer.layer == LayerName::Inputs)
        .flat_map(|layer| &layer.changes);
    for Change {
        what,
        a: left,
        b: right,
    } in changed
    {
        let maker = |job: &Option<StoredJob>, content: &Option<_>| {
            let (Some(job), Some(content)) = (job, content) else {
                return Ok(None);
            };
            let content: &crate::model::RawString = content;
            let hash = Digest::from_hex(content.to_string());
            store.latest_producer(&hash, what, Some(job.id))
        };
        found.push(Producers {
            path: what.clone(),
            a: maker(&a.job, left)?.map(|job| job.uid),
            b: maker(&b.job, right)?.map(|job| job.uid),
        });
    }
    Ok(found)
}

/// The files that differ between the two commits, where both are still to be had.
fn code(context: &Context, project: &Project, layers: &[Layer]) -> Option<Vec<CodeLine>> {
    let commit = layers
        .iter()
        .filter(|layer| layer.layer == LayerName::Git)
        .flat_map(|layer| &layer.changes)
        .find(|change| change.what.as_str() == Some("commit"))?;
    let (from, to) = (commit.a.as_ref()?.as_str()?, commit.b.as_ref()?.as_str()?);
    let repository = git::open(&project.root).ok()??;
    let changes = repository
        .changes_between(from, to)
        .unwrap_or_else(|error| {
            context
                .ui
                .warning(&format!("the code cannot be compared: {error}"));
            None
        })?;
    Some(
        changes
            .into_iter()
            .map(|change| CodeLine {
                path: change.path,
                what: change.what,
                lines_added: change.lines_added,
                lines_removed: change.lines_removed,
            })
            .collect(),
    )
}
