//! What a record may lack: every job carries this statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Events lost, by class (`read`, `name`, `process`, …) and cause.
pub type LostEvents = BTreeMap<String, u64>;

/// How complete a job's record is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completeness {
    /// The back-end that observed: `ebpf`, `seccomp` or `replay`.
    pub backend: String,
    /// No access was lost, cut or unseen: the lists of files are whole. Content that could not
    /// be hashed is a gap as well, but takes no file off the lists.
    pub complete: bool,
    /// Events that the kernel side or the queue had to drop.
    pub lost_events: LostEvents,
    /// Paths that were longer than a record can hold.
    pub truncated_paths: u64,
    /// What else may be missing.
    pub gaps: Vec<Gap>,
    /// What tracing changed for the command, in words: nothing is missing for it.
    pub notes: Vec<String>,
}

impl Completeness {
    /// The total of lost events over all classes.
    pub fn lost_total(&self) -> u64 {
        self.lost_events.values().sum()
    }
}

/// Something that the tracer could not see or resolve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// The kind of gap.
    pub kind: GapKind,
    /// What it concerns, in words for the user.
    pub detail: String,
    /// How often it happened.
    pub count: u64,
}

/// The kinds of gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// Processes of the job were still alive when observation ended.
    LateProcess,
    /// A path could not be read or resolved.
    UnresolvedPath,
    /// A file's content could not be hashed.
    Unhashed,
    /// The process changed its root or mount namespace in a way that hides paths.
    Namespace,
    /// io_uring was used where it cannot be observed.
    IoUring,
    /// A program ran with a foreign system-call interface that is not covered.
    ForeignAbi,
    /// A set-user-ID or file-capability program could not be observed.
    Privileged,
    /// The observer itself stopped early.
    ObserverLost,
    /// The event stream was inconsistent (an event of an unknown process, a bad record).
    Inconsistent,
}
