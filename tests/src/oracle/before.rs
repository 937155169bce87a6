//! What stood in a folder before the command: names, and which of them are one file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The regular files of a folder: name to (device, inode).
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Every name with its file's device and inode number.
    pub files: BTreeMap<PathBuf, (u64, u64)>,
}

impl Before {
    /// Looks through a folder, without following symbolic links.
    pub fn look(folder: &Path) -> Self {
        let mut before = Self::default();
        before.look_into(folder);
        before
    }

    fn look_into(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            if metadata.is_dir() {
                self.look_into(&path);
            } else if metadata.is_file() {
                self.files.insert(path, (metadata.dev(), metadata.ino()));
            }
        }
    }
}
