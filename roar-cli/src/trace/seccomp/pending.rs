//! Name changes that were let through and not yet confirmed.
//!
//! A notification comes before its call; whether a rename or a creation succeeded shows
//! afterwards. Each is looked at again at the next notification of anybody, and given up at
//! the next one of the same thread: by then the call is over.

use rustix::fs::Statx;

use super::look::{self, Entry};
use crate::event::NameChange;

/// What a call will have done when it succeeds.
#[derive(Debug)]
pub(super) enum Effect {
    /// A file comes into being, opened so that it can be mapped for writing or not.
    Created { entry: Entry, mappable: bool },
    /// A directory does.
    DirectoryMade(Entry),
    /// A symbolic link does, with this text.
    Symlinked(Entry, Vec<u8>),
    /// What was at `from` gets (also) the name `to`.
    Renamed {
        from: Entry,
        to: Entry,
        from_path: Vec<u8>,
        to_path: Vec<u8>,
        moved: Statx,
        change: NameChange,
    },
    /// A file that had no name (O_TMPFILE) gets one.
    Named { to: Entry, file: Statx },
    /// A name goes.
    Removed {
        entry: Entry,
        path: Vec<u8>,
        was: Statx,
    },
}

impl Effect {
    /// Whether paths that were looked up before may lead elsewhere after it.
    pub(super) fn moves_folders(&self) -> bool {
        let regular = |status: &Statx| look::is_regular(status);
        match self {
            Self::Created { .. } | Self::DirectoryMade(_) | Self::Named { .. } => false,
            Self::Symlinked(..) => true,
            Self::Renamed { moved, .. } => !regular(moved),
            Self::Removed { was, .. } => !regular(was),
        }
    }

    /// Whether the effect shows.
    pub(super) fn is_done(&self) -> bool {
        let mode = |entry: &Entry, kind: u32| {
            entry
                .status()
                .is_ok_and(|now| u32::from(now.stx_mode) & libc::S_IFMT == kind)
        };
        let holds = |entry: &Entry, file: &Statx| {
            entry.status().is_ok_and(|now| look::same_file(&now, file))
        };
        match self {
            Self::Created { entry, .. } => entry.open(true).is_ok(),
            Self::DirectoryMade(entry) => mode(entry, libc::S_IFDIR),
            Self::Symlinked(entry, _) => mode(entry, libc::S_IFLNK),
            Self::Renamed {
                to,
                moved,
                change: NameChange::Link,
                ..
            }
            | Self::Named { to, file: moved } => holds(to, moved),
            // The new name may have been taken by somebody else since.
            Self::Renamed {
                from, to, moved, ..
            } => holds(to, moved) || !holds(from, moved),
            Self::Removed { entry, was, .. } => !holds(entry, was),
        }
    }
}

/// An unconfirmed change.
#[derive(Debug)]
pub(super) struct Pending {
    /// The thread whose call it is.
    pub(super) thread: u32,
    /// Its process.
    pub(super) process: u32,
    /// What it will have done.
    pub(super) effect: Effect,
}
