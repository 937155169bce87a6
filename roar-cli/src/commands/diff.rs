//! `roar diff`: what two jobs have in common and what not.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, FoundArtifact, Target};
use crate::capture::git::{self, Code, CodeChange};
use crate::error::CommandError;
use crate::lineage::diff::{Change, Layer, LayerName, compare};
use crate::model::{Digest, GitState, JobRecord, RawString, StoredJob, UntrackedFile};
use crate::present::Terminal;
use crate::present::diff::{CodeLine, Content, DiffView, Producers, Side};
use crate::project::Project;
use crate::store::{Blobs, Store};

/// Compare two steps, jobs or artifacts.
///
/// Layer by layer: arguments, inputs, git, packages, environment, hardware, outcome, outputs;
/// what most likely made the outputs differ is named first. A step stands for its latest job, an
/// artifact for the job that made it last. Code is compared as it ran, uncommitted changes included.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `@N`, `@BN`, a job uid, an artifact hash, or a path.
    #[arg(value_name = "A")]
    a: OsString,
    /// What to compare it with.
    #[arg(value_name = "B")]
    b: OsString,
    /// Every difference: members of collections by name, and all lines of code.
    #[arg(long)]
    all: bool,
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
        code: code(context, &project, &a, &b),
        a,
        b,
        layers,
        all: args.all,
    };
    context.ui.data(&if args.json {
        view.json()
    } else {
        view.text(&context.cwd, Terminal::from_environment())
    });
    Ok(ExitCode::SUCCESS)
}

fn side(context: &Context, store: &Store, text: &OsString) -> Result<Side, CommandError> {
    let (made_by, content) = match reference::resolve(store, &context.cwd, text)? {
        Target::Job(summary) => (Some(summary.id), None),
        Target::Collection(found) => {
            let newest = found.uses.iter().find(|(_, _, produced)| *produced);
            let content = Content {
                hash: found.hash,
                size_bytes: found.size_bytes,
                path: newest.or(found.uses.first()).map(|one| one.1.clone()),
            };
            (newest.map(|(job, _, _)| job.id), Some(content))
        }
        Target::Artifact(found) => {
            found.warn_if_changed(context);
            let FoundArtifact { artifact, asked } = found;
            let (made, path) = if let Some(asked) = asked {
                let made = store.producer_of(&artifact.hash, &asked.path, None, true)?;
                (made, Some(asked.path))
            } else {
                let made = store.last_use(artifact.id, true)?;
                let known = match &made {
                    None => store.last_use(artifact.id, false)?,
                    made => made.clone(),
                };
                (made.map(|one| one.job.id), known.map(|one| one.path))
            };
            let content = Content {
                hash: artifact.hash,
                size_bytes: artifact.size_bytes,
                path,
            };
            (made, Some(content))
        }
    };
    let (job, collections) = match made_by {
        Some(id) => (store.job(id)?, store.collection_places(id)?),
        None => (None, Vec::new()),
    };
    Ok(Side {
        job,
        collections,
        content,
    })
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
            let content: &RawString = content;
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

/// The files of code that differ, where both sides' code is still to be had.
fn code(context: &Context, project: &Project, a: &Side, b: &Side) -> Option<Vec<CodeLine>> {
    let (job_a, job_b) = (&a.job.as_ref()?.record, &b.job.as_ref()?.record);
    let (a, b) = (job_a.git.as_ref()?, job_b.git.as_ref()?);
    if (&a.commit, &a.patch_hash, &a.untracked) == (&b.commit, &b.patch_hash, &b.untracked) {
        return None;
    }
    let changes = || -> Result<Option<Vec<CodeChange>>, String> {
        let in_words = |error: &dyn std::error::Error| error.to_string();
        let Some(repository) = git::open(&project.root).map_err(|error| in_words(&error))? else {
            return Ok(None);
        };
        let blobs = Blobs::of(project).map_err(|error| in_words(&error))?;
        let (a, b) = (kept(&blobs, a, job_b)?, kept(&blobs, b, job_a)?);
        repository
            .changes_between(&a, &b)
            .map_err(|error| in_words(&error))
    };
    let changes = changes().unwrap_or_else(|reason| {
        let warning = format!("the code cannot be compared: {reason}");
        context.ui.warning(&warning);
        None
    })?;
    let is_beside = |git: &GitState, path: &RawString| {
        let mut files = git.untracked.iter();
        files.any(|file| file.path == *path)
    };
    let line = |change: CodeChange| CodeLine {
        // What git does not track is known only of who read it.
        what: match change.what {
            "deleted" if is_beside(a, &change.path) => "only a read",
            "added" if is_beside(b, &change.path) => "only b read",
            what => what,
        },
        path: change.path,
        lines_added: change.lines_added,
        lines_removed: change.lines_removed,
        patch: change.patch,
    };
    Some(changes.into_iter().map(line).collect())
}

/// Kept files that are larger are data, of which the inputs tell.
const MOST_BYTES_OF_CODE: u64 = 1 << 20;

/// The code of a run, as far as it was kept. Without what the `other` run met, too, but of which
/// nothing was kept then: nobody can tell the lines in which that differs.
fn kept(blobs: &Blobs, git: &GitState, other: &JobRecord) -> Result<Code, String> {
    let is_kept = |of: &UntrackedFile| of.blob.is_some();
    let kept_there: HashSet<&RawString> = other
        .git
        .iter()
        .flat_map(|git| git.untracked.iter().filter(|file| is_kept(file)))
        .map(|file| &file.path)
        .collect();
    let met_there: HashSet<&RawString> = other.inputs.iter().map(|file| &file.path).collect();
    let at = |path: &RawString| {
        let top = git.top.as_ref()?.to_path_buf();
        Some(RawString::from_path(&top.join(path.to_path_buf())))
    };
    let is_comparable = |path: &RawString| {
        kept_there.contains(path) || at(path).is_none_or(|place| !met_there.contains(&place))
    };
    let blob = |digest: &str| {
        let content = blobs.get(&Digest::from_hex(digest));
        content.map_err(|error| error.to_string())
    };
    let patch = match &git.patch_hash {
        None => None,
        Some(digest) => match blob(digest)? {
            None => return Err("a kept patch is missing or damaged".to_owned()),
            patch => patch,
        },
    };
    let mut untracked = Vec::new();
    for file in git
        .untracked
        .iter()
        .filter(|file| is_comparable(&file.path))
    {
        let Some(digest) = &file.blob else { continue };
        let path = blobs.path(&Digest::from_hex(digest.as_str()));
        let is_code = path
            .metadata()
            .is_ok_and(|metadata| metadata.len() <= MOST_BYTES_OF_CODE);
        if is_code && let Some(content) = blob(digest)? {
            untracked.push((file.path.clone(), content));
        }
    }
    Ok(Code {
        commit: git.commit.clone(),
        patch,
        untracked,
    })
}
