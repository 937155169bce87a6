//! Which file it is, where the kernel's device and inode number do not say.
//!
//! All subvolumes of a btrfs have one device, and a snapshot's files keep their inode numbers. An
//! overlay whose layers are on different file systems passes their inode numbers on. stat(2) tells
//! such files apart, so it is asked: once for each folder of a btrfs, once for each overlay.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::decode::FileRecord;
use crate::event::FileId;
use crate::model::RawString;

const BTRFS: u32 = 0x9123_683e;
pub(super) const OVERLAY: u32 = 0x794c_7630;

/// Where a file system that the kernel makes up is mounted by custom, in a sandbox, too: what is
/// in it is nobody's file, whichever mount shows it.
pub(super) fn usual_place(magic: u32) -> Option<&'static [u8]> {
    const PROC: u32 = 0x9fa0;
    const SYSFS: u32 = 0x6265_6572;
    match magic {
        PROC => Some(b"/proc"),
        SYSFS => Some(b"/sys"),
        _ => None,
    }
}

/// What stat(2) has told so far.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// The device of the subvolume that a folder is in. Forgotten between batches.
    subvolumes: HashMap<Vec<u8>, u32>,
    /// The devices, as the kernel has them, of each btrfs seen.
    btrfs: HashSet<u32>,
    /// Whether inode numbers are unique in an overlay, by its device.
    overlays: HashMap<u32, bool>,
}

impl Identities {
    /// To be called between batches: folders may have changed places since.
    pub(super) fn forget_directories(&mut self) {
        self.subvolumes.clear();
    }

    /// The identity of a file; none where only its name tells it from others.
    pub(super) fn of(&mut self, file: &FileRecord<'_>, path: &[u8]) -> Option<FileId> {
        let device = match file.magic {
            BTRFS => {
                self.btrfs.insert(file.device);
                self.subvolume(path).unwrap_or(file.device)
            }
            OVERLAY if !self.is_unique(file, path) => return None,
            _ => file.device,
        };
        Some(FileId {
            device: u64::from(device),
            inode: file.inode,
            generation: file.generation,
        })
    }

    /// Whether a device that stat(2) told is the one of this file system's identities.
    pub(super) fn is_device(&self, stat_device: u32, device: u32) -> bool {
        stat_device == device || self.btrfs.contains(&device)
    }

    /// The device of the subvolume that a file is in: that of the nearest folder still there.
    fn subvolume(&mut self, path: &[u8]) -> Option<u32> {
        let parent = path.iter().rposition(|byte| *byte == b'/')?;
        let directory = &path[..parent];
        if let Some(device) = self.subvolumes.get(directory) {
            return Some(*device);
        }
        let at = RawString::new(if directory.is_empty() {
            b"/"
        } else {
            directory
        });
        let device = match stat_device(&at) {
            Some(device) => device,
            None => self.subvolume(directory)?,
        };
        self.subvolumes.insert(directory.to_vec(), device);
        Some(device)
    }

    fn is_unique(&mut self, file: &FileRecord<'_>, path: &[u8]) -> bool {
        if let Some(unique) = self.overlays.get(&file.device) {
            return *unique;
        }
        let Some(device) = stat_device(&RawString::new(path)) else {
            // Gone already: another file will tell.
            return true;
        };
        let unique = device == file.device;
        self.overlays.insert(file.device, unique);
        unique
    }
}

/// The device of what a path names, in the kernel's encoding.
fn stat_device(path: &RawString) -> Option<u32> {
    let metadata = Path::new(&path.to_os_string()).symlink_metadata().ok()?;
    Some(kernel_device(metadata.dev()))
}

/// A device number of stat(2) as the kernel has it: major << 20 | minor.
pub(super) fn kernel_device(device: u64) -> u32 {
    rustix::fs::major(device) << 20 | rustix::fs::minor(device)
}
