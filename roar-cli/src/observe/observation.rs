//! What a job did, as the fold concludes it.

use serde::{Deserialize, Serialize};

use crate::event::{FileId, FileState, PathQuality, ProcessId};
use crate::model::{Basis, Gap, Network, RawString};

/// The result of a fold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Every process of the job, in order of appearance.
    pub processes: Vec<ObservedProcess>,
    /// Every file that was an input, an output, or both, in order of first appearance.
    pub files: Vec<ObservedFile>,
    /// Files that came into being and lost their last name inside the job: neither input
    /// nor output, listed once for each path so that nothing vanishes silently.
    pub temporaries: Vec<TemporaryFile>,
    /// Directories from before the job that it moved: the files in them that no event named
    /// came into their places too. Whoever may do I/O lists them.
    pub placed_directories: Vec<PlacedDirectory>,
    /// The endpoints that it contacted.
    #[serde(default)]
    pub network: Network,
    /// Gaps, merged by kind and detail, in order of first appearance.
    pub gaps: Vec<Gap>,
    /// Files whose path came truncated.
    pub truncated_paths: u64,
}

/// One file (one identity).
///
/// At least one of `input` and `output` is set. Both are set when the job consumed what the
/// file held before and also changed or moved it; the two paths differ where it was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedFile {
    /// The kernel's identity, where known.
    pub id: Option<FileId>,
    /// Whether it is known to be a regular file.
    pub kind: FileKind,
    /// Set when the job consumed the content from before the job. Apart, since a job may make a
    /// million files that it never consumed.
    pub input: Option<Box<Input>>,
    /// Set when the job produced, changed or placed the file and it still has a name.
    pub output: Option<Output>,
    /// Came into being in this job.
    pub created: bool,
    /// Names it had during the job and lost, the path of `input` excepted.
    pub former_paths: Vec<RawString>,
    /// Processes that read it, in order of first read.
    pub readers: Vec<ProcessIndex>,
    /// Processes that wrote or placed it, in order of first write.
    pub writers: Vec<ProcessIndex>,
}

/// How the job consumed a file's content from before the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The path at the first read; the former path where the job had moved it before.
    pub path: RawString,
    /// How far `path` can be trusted.
    pub quality: PathQuality,
    /// Why it counts as an input.
    pub cause: InputCause,
    /// The file as it was before the job's first write, at its first touch: what a hash
    /// cache is asked with. None when the first thing seen was the write itself, or only a
    /// change of names.
    pub state: Option<FileStamp>,
    /// What became of the content.
    pub fate: InputFate,
}

impl Input {
    /// The basis on the record: what was seen of the consumption, [`Basis::Opened`] where
    /// it is inferred (content kept or moved).
    pub fn basis(&self) -> Basis {
        match self.cause {
            InputCause::Consumed(basis) => basis,
            InputCause::Kept | InputCause::Moved => Basis::Opened,
        }
    }
}

/// Why a file counts as an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputCause {
    /// Read, mapped, executed, or opened for reading.
    Consumed(Basis),
    /// Written into without having been emptied: earlier content is part of the output.
    Kept,
    /// Renamed or linked to another place: its content is that output's content.
    Moved,
}

/// Where an input's content is when the job has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputFate {
    /// Unchanged, at the input's path.
    Intact,
    /// Unchanged, but under this other name.
    MovedTo(RawString),
    /// The job wrote into the file: the content is gone from disk.
    Changed,
    /// No known name is left.
    Removed,
}

/// How a file's content is the job's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The path at the end.
    pub path: RawString,
    /// How far `path` can be trusted.
    pub quality: PathQuality,
    /// What was seen.
    pub evidence: WriteEvidence,
    /// Mapped shared and writable, too: its times need not tell of every store, so that its state
    /// says nothing about its content.
    #[serde(default)]
    pub shared_mapping: bool,
    /// Further names at the end (hard links), each an output place as well.
    pub links: Vec<RawString>,
}

/// Evidence that a file's content is the job's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteEvidence {
    /// Written, created or emptied ([`Basis::Written`]), or mapped shared and writable
    /// ([`Basis::Mapped`]).
    Seen(Basis),
    /// Inferred from the state of the file (back-ends that see only opens).
    Inferred,
    /// A file from before the job came into this place by rename or link; its bytes are not
    /// the job's own.
    Placed,
}

/// What is known of the type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// Only names were seen, never a touch: whoever may do I/O looks at the output's path.
    /// A regular file is what the record says; a directory is a [`PlacedDirectory`] from the
    /// input's to the output's path; anything else is no file of the job.
    Unknown,
}

/// Size and times of a file at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileStamp {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since the Unix epoch.
    pub ctime_ns: i64,
}

impl From<&FileState> for FileStamp {
    fn from(state: &FileState) -> Self {
        Self {
            size_bytes: state.size_bytes,
            mtime_ns: state.mtime_ns,
            ctime_ns: state.ctime_ns,
        }
    }
}

/// A file made and deleted inside the job; the first of those at its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryFile {
    /// The kernel's identity, where known.
    pub id: Option<FileId>,
    /// The newest of the names it had.
    pub path: RawString,
}

/// A directory from before the job that the job moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedDirectory {
    /// Its path before the job.
    pub from: RawString,
    /// Its path at the end.
    pub to: RawString,
}

/// A process, as an index into [`Observation::processes`]: process ids are re-used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessIndex(pub u32);

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedProcess {
    /// Its id.
    pub id: ProcessId,
    /// Its parent, when the parent is of the job.
    pub parent: Option<ProcessIndex>,
    /// Arguments of its last exec; empty when it never exec'd.
    pub argv: Vec<RawString>,
    /// Path of its last program image.
    pub image: Option<RawString>,
    /// Exit code.
    pub code: Option<i32>,
    /// Killing signal.
    pub signal: Option<i32>,
    /// Whether its end was seen.
    pub ended: bool,
}
