//! What was, or may have been, missed: in words.

use roar_common::note;

use crate::event::FileState;
use crate::model::{Gap, GapKind};

/// A program that gained rights which the user who traces has not.
pub(super) fn not_followed(image: &FileState) -> Gap {
    Gap {
        kind: GapKind::Privileged,
        detail: format!(
            "{} has rights of its own; it and what it started were not followed (`sudo roar run` \
             follows them)",
            image.path
        ),
        count: 1,
    }
}

pub(super) fn unclear() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a name was changed in a mount namespace, or through a descriptor in /proc, that \
                 was gone when it was looked up"
            .to_owned(),
        count: 1,
    }
}

pub(super) fn changed_link() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a symbolic link from before the command was changed right after names had been \
                 changed through it"
            .to_owned(),
        count: 1,
    }
}

pub(super) fn changed_mount() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a file system was mounted or unmounted where the command had used files by their \
                 names; some may be recorded by names that are not theirs now"
            .to_owned(),
        count: 1,
    }
}

pub(super) fn unknown_script() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a script was executed through a descriptor that is closed".to_owned(),
        count: 1,
    }
}

pub(super) fn hidden_overlay() -> Gap {
    Gap {
        kind: GapKind::Namespace,
        detail: "an overlay was mounted out of roar's sight; its files are known by their names \
                 in it, and not by those in its layers"
            .to_owned(),
        count: 1,
    }
}

pub(super) fn failed_after_all() -> Gap {
    Gap {
        kind: GapKind::IoUring,
        detail: "an io_uring request that asked for silence failed; the record takes it for done"
            .to_owned(),
        count: 1,
    }
}

pub(super) fn noted(what: u32) -> Gap {
    let (kind, detail) = match what {
        note::IO_URING_SILENT => (
            GapKind::IoUring,
            "an io_uring request on a file still to be opened asked for silence about its success"
                .to_owned(),
        ),
        note::KERNEL_FILE => (
            GapKind::UnresolvedPath,
            "the kernel was told to use a file by itself (swap, accounting, a module)".to_owned(),
        ),
        note::BTRFS_SEND => (
            GapKind::UnresolvedPath,
            "a btrfs subvolume was sent; the kernel read its files".to_owned(),
        ),
        note::IO_URING => (
            GapKind::IoUring,
            "the command used io_uring; files that it read or wrote only that way are not seen"
                .to_owned(),
        ),
        other => (GapKind::Inconsistent, format!("unknown note {other}")),
    };
    Gap {
        kind,
        detail,
        count: 1,
    }
}
