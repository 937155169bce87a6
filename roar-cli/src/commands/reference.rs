//! What a reference on the command line means: a step, a job, a content, a file.

use std::path::Path;

use super::reading::{self, OnDisk};
use crate::capture::hash::Unhashed;
use crate::error::CommandError;
use crate::model::{Digest, HashPrefix, JobKind, RawString, StepRef};
use crate::present::artifact::AskedPath;
use crate::present::{human, inert, shell};
use crate::store::{ArtifactRow, CollectionRow, JobSummary, Store};

/// What was found.
#[derive(Debug)]
pub(super) enum Target {
    /// A job: the latest of a step, or by uid.
    Job(JobSummary),
    /// A content.
    Artifact(FoundArtifact),
    /// A tree of contents.
    Collection(CollectionRow),
}

/// A content, and the path by which it was asked for.
#[derive(Debug)]
pub(super) struct FoundArtifact {
    pub(super) artifact: ArtifactRow,
    /// The path asked for, and what is there now; none for a hash.
    pub(super) asked: Option<AskedPath>,
}

impl FoundArtifact {
    /// Says when the answer is not about what is at the path now.
    pub(super) fn warn_if_changed(&self, context: &super::Context) {
        let Some(AskedPath { path, content }) = &self.asked else {
            return;
        };
        match content {
            Some(content) if *content == self.artifact.hash => {}
            Some(_) => context.ui.warning(&format!(
                "the content of '{path}' is not recorded; this is what was last recorded there"
            )),
            None => context.ui.warning(&format!(
                "'{path}' cannot be read any more; this is what was last recorded there"
            )),
        }
    }
}

/// A content that was found.
#[derive(Debug)]
pub(super) enum Content {
    /// Of a file.
    Artifact(FoundArtifact),
    /// Of a tree of files.
    Collection(CollectionRow),
}

/// At most so many candidates are listed for an ambiguous prefix.
const CANDIDATES: u32 = 20;

/// Finds what `text` refers to: `@N`, `@BN`, a job uid or artifact hash (or the beginning of
/// one), or a path. A path is hashed and found by content first.
///
/// # Errors
/// Nothing recorded is meant, or more than one thing.
pub(super) fn resolve(
    store: &Store,
    cwd: &Path,
    text: &std::ffi::OsStr,
) -> Result<Target, CommandError> {
    if let Some(word) = text.to_str() {
        if word.starts_with('@') && !cwd.join(word).exists() {
            return step(store, word).map(Target::Job);
        }
        if let Some(found) = by_prefix(store, word)? {
            return Ok(found);
        }
    }
    by_path(store, cwd, Path::new(text)).map(Target::Artifact)
}

/// The content that `text` refers to: a hash (or the beginning of one) of an artifact or a
/// collection, or a path.
///
/// # Errors
/// Nothing recorded is meant, or more than one thing.
pub(super) fn resolve_content(
    store: &Store,
    cwd: &Path,
    text: &std::ffi::OsStr,
) -> Result<Content, CommandError> {
    let artifact = resolve_artifact(store, cwd, text);
    if artifact.is_err()
        && let Some(word) = text.to_str()
        && let Some(Target::Collection(found)) = by_prefix(store, word)?
    {
        return Ok(Content::Collection(found));
    }
    artifact.map(Content::Artifact)
}

/// The content that `text` refers to: a hash (or the beginning of one) or a path.
///
/// # Errors
/// Nothing recorded is meant, or more than one thing.
pub(super) fn resolve_artifact(
    store: &Store,
    cwd: &Path,
    text: &std::ffi::OsStr,
) -> Result<FoundArtifact, CommandError> {
    if let Some(prefix) = text
        .to_str()
        .and_then(|word| word.parse::<HashPrefix>().ok())
    {
        let mut artifacts = store.artifacts_by_prefix(&prefix, CANDIDATES)?;
        if artifacts.len() > 1 {
            return Err(ambiguous(store, prefix.as_str(), &[], &artifacts)?);
        }
        if let Some(artifact) = artifacts.pop() {
            return Ok(FoundArtifact {
                artifact,
                asked: None,
            });
        }
    }
    by_path(store, cwd, Path::new(text)).map_err(|error| match text.to_str() {
        Some(word) if word.parse::<StepRef>().is_ok() => {
            error.hint(format!("for the job of a step: roar show {word}"))
        }
        _ => error,
    })
}

/// The latest job of the step `@N` or `@BN` of the active session.
///
/// # Errors
/// There is no such step.
pub(super) fn step(store: &Store, text: &str) -> Result<JobSummary, CommandError> {
    let session = store.active_session()?;
    let hint = || match &session {
        Some(session) => reading::steps_in_words(store, session.id),
        None => Ok("nothing is recorded yet; begin with: roar run COMMAND".to_owned()),
    };
    let Ok(wanted) = text.parse::<StepRef>() else {
        let shown = inert(text);
        return Err(CommandError::user(format!(
            "'{shown}' is not a step reference (@N or @BN, N from 1)"
        ))
        .hint(hint()?));
    };
    let job = match &session {
        Some(session) => store.latest_job_of_step(session.id, wanted.number)?,
        None => None,
    };
    match job {
        None => Err(CommandError::user(format!("there is no step {wanted}")).hint(hint()?)),
        Some(job) if wanted.build && job.kind != JobKind::Build => Err(CommandError::user(
            format!("step {} is not a build step", wanted.number),
        )
        .hint(format!("did you mean @{}?", wanted.number))),
        Some(job) => Ok(job),
    }
}

fn by_prefix(store: &Store, word: &str) -> Result<Option<Target>, CommandError> {
    let Ok(prefix) = word.parse::<HashPrefix>() else {
        return Ok(None);
    };
    let mut jobs = store.job_by_uid_prefix(prefix.as_str())?;
    // A whole uid means that job, even if a hash begins alike.
    if let Some(at) = jobs
        .iter()
        .position(|job| job.uid.as_str() == prefix.as_str())
    {
        return Ok(Some(Target::Job(jobs.swap_remove(at))));
    }
    let mut artifacts = store.artifacts_by_prefix(&prefix, CANDIDATES)?;
    match (jobs.len(), artifacts.len()) {
        (0, 0) => match store.collections_by_prefix(&prefix, 2)? {
            mut one if one.len() == 1 => Ok(one.pop().map(Target::Collection)),
            none if none.is_empty() => Ok(None),
            _ => Err(CommandError::user(format!("'{prefix}' is ambiguous"))
                .hint("several collections begin so: give more digits")),
        },
        (1, 0) => Ok(jobs.pop().map(Target::Job)),
        (0, 1) => Ok(artifacts.pop().map(|artifact| {
            Target::Artifact(FoundArtifact {
                artifact,
                asked: None,
            })
        })),
        _ => Err(ambiguous(store, prefix.as_str(), &jobs, &artifacts)?),
    }
}

fn ambiguous(
    store: &Store,
    prefix: &str,
    jobs: &[JobSummary],
    artifacts: &[ArtifactRow],
) -> Result<CommandError, CommandError> {
    let mut error = CommandError::user(format!("'{prefix}' is ambiguous"));
    for job in jobs.iter().take(CANDIDATES as usize) {
        error = error.hint(format!(
            "job      {}  {}",
            job.uid,
            shell::one_line(&job.argv)
        ));
    }
    for artifact in artifacts {
        let known_as = store
            .last_use(artifact.id, false)?
            .map_or(String::new(), |one| one.path.to_string());
        let size = artifact.size_bytes.map(human::size).unwrap_or_default();
        let digits = artifact.hash.as_str();
        let shown = digits.get(..prefix.len().max(8) + 8).unwrap_or(digits);
        error = error.hint(format!("artifact {shown}  {size}  {known_as}"));
    }
    Ok(error)
}

fn by_path(store: &Store, cwd: &Path, path: &Path) -> Result<FoundArtifact, CommandError> {
    let OnDisk {
        path: absolute,
        content,
    } = reading::hash_path(store, cwd, path);
    let raw = RawString::from_path(&absolute);
    if let Ok(digest) = &content
        && let Some(artifact) = store.artifact(digest)?
    {
        return Ok(FoundArtifact {
            artifact,
            asked: Some(AskedPath {
                path: raw,
                content: content.ok(),
            }),
        });
    }
    if let Some(last) = store.last_content_at(&raw)?
        && let Some(artifact) = store.artifact_by_id(last)?
    {
        return Ok(FoundArtifact {
            artifact,
            asked: Some(AskedPath {
                path: raw,
                content: content.ok(),
            }),
        });
    }
    Err(not_found(path, content))
}

fn not_found(path: &Path, content: Result<Digest, Unhashed>) -> CommandError {
    let shown = reading::shown(path);
    match content {
        Ok(digest) => CommandError::user(format!(
            "'{shown}' ({}) is not known: no recorded job read or wrote this content",
            digest.short()
        ))
        .hint("only files that a `roar run` command met are recorded; see: roar log"),
        Err(Unhashed::Missing) => {
            let error = CommandError::user(format!(
                "'{shown}' is no recorded job, no recorded artifact and no file"
            ));
            let hexadecimal = shown.len() < 4 && shown.bytes().all(|b| b.is_ascii_hexdigit());
            if hexadecimal && !shown.is_empty() {
                error.hint("a job uid or hash needs at least 4 digits")
            } else {
                error.hint("see what is recorded with: roar log, roar show")
            }
        }
        Err(reason) => CommandError::user(format!("'{shown}' {reason}")),
    }
}
