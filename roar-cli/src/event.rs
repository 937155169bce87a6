//! The vocabulary between a tracer and the fold: what the traced processes did.
//!
//! A leaf: no I/O, no back-end types. Every back-end (eBPF, seccomp, a recorded log)
//! speaks it, and the fold cannot tell which one did. Events arrive in the order in
//! which the back-end saw them; order across processes is the order of completion.
//!
//! Paths are absolute, real (symlinks of the directory part resolved) and those of
//! roar's own mount namespace wherever such a path exists; where none does,
//! [`PathQuality`] says so.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::{Gap, Protocol, RawString};

/// A process (thread group) id as the host's initial pid namespace numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u32);

/// The kernel's identity of a file within one boot.
///
/// Comparable only with other `FileId`s of the same back-end: on btrfs and overlayfs
/// `stat` shows other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Superblock device, as the kernel has it: major << 20 | minor.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Inode generation, to tell a re-used inode number from the old file; 0 where unknown.
    pub generation: u32,
}

/// How far a path can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathQuality {
    /// Complete, and valid in roar's mount namespace.
    #[default]
    Full,
    /// Cut: longer than a record can hold. Only the end of the path is known.
    Truncated,
    /// The file had no name any more (or none yet, `O_TMPFILE`) when it was touched.
    Unlinked,
    /// No mount of roar's namespace shows this file: the path is as the process saw it.
    Foreign,
}

/// A file as it was when an event about it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Identity; none where the back-end could only see a path.
    pub id: Option<FileId>,
    /// Where the file was.
    pub path: RawString,
    /// How far `path` can be trusted.
    #[serde(default)]
    pub quality: PathQuality,
    /// Size in bytes at the event.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since the Unix epoch.
    pub ctime_ns: i64,
}

/// What was done to a file. Sent once per process, file and kind of access, at least;
/// repetitions are harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Bytes were read (or the end of an empty file was).
    Read,
    /// Mapped readable or executable.
    Mapped,
    /// Became a process's program image.
    Executed,
    /// Opened for reading; the back-end cannot see whether bytes were read.
    OpenedRead,
    /// Opened for writing and not emptied: the state is the one BEFORE any write through this
    /// descriptor. No evidence of a write by itself.
    OpenedWrite,
    /// Opened for writing, and the back-end infers from the file's state that it was written.
    InferredWrite,
    /// Bytes were written. `bytes` is the length of this first write, and the state's size is
    /// the one after it.
    Written {
        /// Bytes written by this call.
        bytes: u64,
    },
    /// Mapped shared and writable.
    MappedWrite,
    /// Opened so that it can be mapped shared and writable; the back-end does not see whether it
    /// was. No evidence of a write by itself.
    Mappable,
    /// Came into being by this open (empty).
    Created,
    /// Emptied or cut (O_TRUNC, truncate, ftruncate) to `FileState::size_bytes`.
    Truncated,
}

/// How a name came to stand for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameChange {
    /// `rename`: `from` is gone, `to` now names the file (or directory) `from` named.
    Rename,
    /// `renameat2(RENAME_EXCHANGE)`: the two names swapped.
    Exchange,
    /// `link`: `to` is a further name of `from`'s file.
    Link,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A process of the job came into being. `parent` is none for the command itself.
    Started {
        /// The process that forked it.
        parent: Option<ProcessId>,
    },
    /// The process replaced its image.
    Executed {
        /// The program image (an interpreter, for a script).
        image: Option<FileState>,
        /// Arguments.
        argv: Vec<RawString>,
        /// Whether arguments were cut.
        argv_truncated: bool,
    },
    /// The process (all its threads) ended.
    Exited {
        /// Exit code, when it exited.
        code: Option<i32>,
        /// Signal, when one killed it.
        signal: Option<i32>,
    },
    /// A regular file was touched.
    Touched {
        /// The file.
        file: FileState,
        /// What was done.
        access: Access,
    },
    /// The content of a regular file, taken before the command could change it.
    Content {
        /// The file, in a state that no change since can have left as it is.
        file: FileState,
        /// Its BLAKE3 hash.
        blake3: [u8; 32],
    },
    /// A name changed.
    Renamed {
        /// The old (or linked, or first) path.
        from: RawString,
        /// The new (or second) path.
        to: RawString,
        /// How.
        change: NameChange,
        /// Identity of what `to` names after the change, where the back-end could look.
        id: Option<FileId>,
    },
    /// A symbolic link was made.
    Symlinked {
        /// Where the link is.
        path: RawString,
        /// What it says.
        target: RawString,
    },
    /// A name was removed (`unlink`, `rmdir`).
    Removed {
        /// The name.
        path: RawString,
    },
    /// A directory was made.
    DirectoryMade {
        /// Its path.
        path: RawString,
    },
    /// A connection was made or begun, or a datagram was sent.
    Contacted {
        /// Where to.
        address: IpAddr,
        /// The port; 0 where the protocol has none.
        port: u16,
        /// How.
        protocol: Protocol,
    },
    /// A name server answered.
    Resolved {
        /// The name that was asked for.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Something was or may have been missed.
    Gap(Gap),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Monotonic clock (`CLOCK_MONOTONIC`), nanoseconds.
    pub at_ns: u64,
    /// The process that did it (for `Started`: the new process).
    pub process: ProcessId,
    /// What happened.
    pub kind: EventKind,
}
