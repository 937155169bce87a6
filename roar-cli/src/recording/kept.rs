//! Code that no commit has: the patch of a dirty work tree, and files that git does not track and
//! the job read, kept as blobs so that the run can be repeated elsewhere.
//!
//! The patch is taken before the command starts. An untracked file is copied when the command has
//! ended, and only if its content still is the one that was read; where the job itself changed or
//! removed the file, or another program did, the record says that it was too late. What an earlier
//! job of this project made is not copied: its own record tells how to make it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::git::{Patch, Repository};
use crate::capture::packages::{is_installed_module, python_source};
use crate::model::{
    Digest, GitState, JobRecord, RawString, RedactedPlace, Redaction, UntrackedFile,
};
use crate::redact::Redactor;
use crate::settings::RecordSettings;
use crate::store::{Blobs, StoreError};

/// Keeps the code of one job.
#[derive(Debug)]
pub struct Keeper<'a> {
    blobs: Blobs,
    redactor: &'a Redactor,
    max_file_bytes: u64,
    /// What may still be kept for this job.
    left_bytes: u64,
}

impl<'a> Keeper<'a> {
    /// One that keeps blobs within the limits of the settings.
    pub fn new(blobs: Blobs, redactor: &'a Redactor, settings: &RecordSettings) -> Self {
        Self {
            blobs,
            redactor,
            max_file_bytes: settings.max_file_bytes,
            left_bytes: settings.max_job_bytes,
        }
    }

    /// Keeps the patch of a dirty work tree; the answer tells which secrets were taken out of it.
    ///
    /// # Errors
    /// The patch cannot be written.
    pub fn patch(
        &mut self,
        git: &mut GitState,
        patch: Patch,
    ) -> Result<Vec<Redaction>, StoreError> {
        git.patch_note = patch.note;
        let Some(text) = patch.text else {
            return Ok(Vec::new());
        };
        if text.len() as u64 > self.left_bytes {
            let (bytes, limit) = (text.len(), self.left_bytes);
            git.patch_note = Some(format!(
                "the patch has {bytes} bytes; record.max_job_bytes allows {limit}"
            ));
            return Ok(Vec::new());
        }
        let kept = self.keep(&text)?;
        git.patch_hash = Some(kept.blob.to_string());
        git.patch_redacted = !kept.detectors.is_empty();
        Ok(redactions(&RedactedPlace::Patch, &kept.detectors))
    }

    /// Keeps the untracked files that a finished job read. `is_product` tells whether a recorded
    /// job made a content.
    pub fn untracked(
        &mut self,
        record: &mut JobRecord,
        repository: &Repository,
        is_product: &mut dyn FnMut(&Digest, &RawString) -> bool,
    ) {
        let (Some(git), Some(top)) = (&mut record.git, repository.top()) else {
            return;
        };
        let mut candidates: BTreeMap<PathBuf, Content<'_>> = BTreeMap::new();
        for input in &record.inputs {
            let content = input.hash().map_or(Content::Gone, Content::Known);
            candidates.insert(input.path.to_path_buf(), content);
        }
        // A module whose byte code was read: the source was only looked at.
        for file in &record.filtered {
            let path = file.path.to_path_buf();
            let source = python_source(&path).filter(|source| source.is_file());
            if let Some(source) = source.filter(|source| !is_installed_module(source)) {
                candidates.entry(source).or_insert(Content::Unread);
            }
        }
        candidates.retain(|path, _| path.starts_with(top));
        let paths: Vec<RawString> = candidates.keys().map(|p| RawString::from_path(p)).collect();
        let tracked = repository.tracked(&paths);
        for (path, content) in candidates {
            let raw = RawString::from_path(&path);
            let is_product = matches!(content, Content::Known(digest) if is_product(digest, &raw));
            if tracked.contains(&raw) || is_product {
                continue;
            }
            let below = path.strip_prefix(top).expect("it starts with it");
            let below = RawString::from_path(below);
            let mut file = UntrackedFile {
                path: below.clone(),
                executable: is_executable(&path),
                ..UntrackedFile::default()
            };
            match self.file(&path, content) {
                Ok(kept) => {
                    file.redacted = !kept.detectors.is_empty();
                    file.blob = Some(kept.blob.to_string());
                    let place = RedactedPlace::Untracked { path: below };
                    let found = redactions(&place, &kept.detectors);
                    record.conditions.redactions.extend(found);
                }
                Err(reason) => file.note = Some(reason),
            }
            git.untracked.push(file);
        }
    }

    fn file(&mut self, path: &Path, read: Content<'_>) -> Result<Kept, String> {
        let cannot = |error: std::io::Error| format!("cannot be copied: {error}");
        let metadata = path
            .symlink_metadata()
            .map_err(|_| "removed before it could be copied".to_owned())?;
        let bytes = metadata.len();
        if !metadata.is_file() {
            return Err("no longer a regular file".to_owned());
        }
        if bytes > self.max_file_bytes {
            return Err(format!(
                "larger than record.max_file_bytes ({})",
                self.max_file_bytes
            ));
        }
        if bytes > self.left_bytes {
            return Err("the job has more than record.max_job_bytes".to_owned());
        }
        let content = fs::read(path).map_err(cannot)?;
        let changed = match read {
            Content::Known(read) => *read != Digest::from_bytes(blake3::hash(&content).as_bytes()),
            Content::Gone => true,
            Content::Unread => false,
        };
        if changed {
            return Err("changed before it could be copied".to_owned());
        }
        self.keep(&content).map_err(|error| error.to_string())
    }

    fn keep(&mut self, content: &[u8]) -> Result<Kept, StoreError> {
        let redacted = self.redactor.text(content);
        let kept = redacted.as_ref().map_or(content, |r| r.text.as_slice());
        self.left_bytes = self.left_bytes.saturating_sub(kept.len() as u64);
        Ok(Kept {
            blob: self.blobs.put(kept)?,
            detectors: redacted.map(|r| r.detectors).unwrap_or_default(),
        })
    }
}

/// What a file held when it was read.
#[derive(Clone, Copy)]
enum Content<'a> {
    /// A content with this digest.
    Known(&'a Digest),
    /// Something that nobody can tell any more.
    Gone,
    /// It was not read itself, only what was made of it.
    Unread,
}

struct Kept {
    blob: Digest,
    detectors: Vec<&'static str>,
}

fn redactions(place: &RedactedPlace, detectors: &[&'static str]) -> Vec<Redaction> {
    detectors
        .iter()
        .map(|detector| Redaction {
            place: place.clone(),
            detector: (*detector).to_owned(),
        })
        .collect()
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    false
}
