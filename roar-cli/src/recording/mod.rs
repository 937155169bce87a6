//! From what was observed to what is recorded: look, select, hash, write down.
//!
//! The fold says what happened; this is where the disk is looked at afterwards. Every file
//! that the record names without a content hash carries the reason.

mod collections;
mod expand;
mod files;
mod kept;
mod secrets;

use std::collections::HashSet;

use crate::capture::packages::UsedFile;
use crate::capture::select::{self, Facts};
use crate::model::{Basis, Completeness, FileRecord, FilteredRecord, Gap, GapKind, RawString};
use crate::observe::{InputCause, Observation};
use crate::settings::Settings;
use crate::trace::Summary;

pub use crate::capture::hash::Watch;
pub use collections::collections;
pub use files::{Hashing, prior_key};
pub use kept::Keeper;
pub use secrets::{hide_secrets, hide_secrets_of_git};

/// The files of a job, as the record holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedFiles {
    /// Consumed.
    pub inputs: Vec<FileRecord>,
    /// Produced.
    pub outputs: Vec<FileRecord>,
    /// Kept out, and by what.
    pub filtered: Vec<FilteredRecord>,
}

/// Looks at the disk, selects and hashes. `tracked` answers which of the given paths git
/// tracks.
pub fn record_files(
    observation: &mut Observation,
    settings: &Settings,
    mut facts: Facts,
    tracked: impl FnOnce(&[RawString]) -> HashSet<RawString>,
    hashing: Hashing<'_>,
) -> RecordedFiles {
    expand::resolve_unknown(observation);
    expand::keep_survivors(observation);
    let root = facts.project_root.as_bytes();
    let paths: Vec<RawString> = observation
        .files
        .iter()
        .filter_map(|file| file.input.as_ref())
        .filter(|input| input.path.as_bytes().starts_with(root))
        .map(|input| input.path.clone())
        .collect();
    facts.tracked = tracked(&paths);
    let selected = select::select(observation, settings, &facts);
    let (inputs, outputs) = files::hash_selected(&selected, hashing);
    RecordedFiles {
        inputs,
        outputs,
        filtered: selected.filtered,
    }
}

/// The files that tell which software a job used: everything it consumed, filtered or not.
pub fn used_files(observation: &Observation) -> Vec<UsedFile> {
    observation
        .files
        .iter()
        .filter_map(|file| file.input.as_ref())
        .filter(|input| matches!(input.cause, InputCause::Consumed(_)))
        .map(|input| UsedFile {
            path: input.path.to_path_buf(),
            executed: input.basis() == Basis::Executed,
        })
        .collect()
}

/// Every path that the job wrote, whether the file is still there or not.
pub fn written_paths(observation: &Observation) -> impl Iterator<Item = &RawString> {
    let outputs = observation
        .files
        .iter()
        .filter_map(|file| file.output.as_ref());
    let temporaries = observation.temporaries.iter().map(|file| &file.path);
    outputs.map(|output| &output.path).chain(temporaries)
}

/// The completeness statement of a job.
pub fn completeness(
    backend: &str,
    observation: &Observation,
    summary: Summary,
    files: &RecordedFiles,
) -> Completeness {
    let mut gaps = observation.gaps.clone();
    gaps.extend(summary.gaps);
    let truncated_paths = observation.truncated_paths;
    let complete = summary.lost_events.is_empty() && gaps.is_empty() && truncated_paths == 0;
    let unhashed = files
        .inputs
        .iter()
        .chain(&files.outputs)
        .filter(|f| f.hashes.is_empty());
    let unhashed = unhashed.count() as u64;
    if unhashed > 0 {
        gaps.push(Gap {
            kind: GapKind::Unhashed,
            detail: "content that could not be hashed; each file's note says why".to_owned(),
            count: unhashed,
        });
    }
    Completeness {
        backend: backend.to_owned(),
        complete,
        lost_events: summary.lost_events,
        truncated_paths,
        gaps,
        notes: summary.notes,
    }
}
