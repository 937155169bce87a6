//! The one place that deletes a file of the user's or puts an earlier content in its place, and
//! all that keeps it from doing so.
//!
//! A file goes only when it lies in the project by its real path, is a regular file, and holds
//! exactly the content that is named. It knows nothing of jobs: which files may go is for the
//! caller to say.

use std::io;
use std::path::{Component, Path};

use crate::capture::hash::{NoCache, Unhashed, hash_files};
use crate::model::{Digest, HashAlgorithm};
use crate::project;

/// Why a file stays.
#[derive(Debug, thiserror::Error)]
pub enum Kept {
    /// Not below the project's folder.
    #[error("is outside the project")]
    Outside,
    /// In a folder that has a keeper of its own.
    #[error("belongs to {0}")]
    Owned(&'static str),
    /// A folder on the way is a symbolic link, or is gone.
    #[error("lies behind a symbolic link")]
    BehindLink,
    /// It has another content now.
    #[error("has been changed since")]
    Changed,
    /// Nothing is there, or nothing that has a content.
    #[error("{0}")]
    NoContent(Unhashed),
    /// The system refused.
    #[error("cannot be removed or replaced: {0}")]
    Refused(io::Error),
}

/// Whether [`discard`] would delete the file at the absolute `path`.
///
/// # Errors
/// It would not, and why.
pub fn may_discard(root: &Path, path: &Path, content: &Digest) -> Result<(), Kept> {
    Checked::new(root, path, content).map(drop)
}

/// Deletes the file at the absolute `path` if it is in the project at `root` and holds `content`.
///
/// # Errors
/// It stays, and why.
pub fn discard(root: &Path, path: &Path, content: &Digest) -> Result<(), Kept> {
    Checked::new(root, path, content)?.remove()
}

/// Puts `earlier` in the place of the file at the absolute `path`, if that is in the project at
/// `root` and holds `content`. Killed at any moment, the one content or the other is there.
///
/// # Errors
/// It stays as it is, and why.
pub fn restore(root: &Path, path: &Path, content: &Digest, earlier: &[u8]) -> Result<(), Kept> {
    Checked::new(root, path, content)?.replace(earlier)
}

/// A file that may go, and what it was when that was found out.
struct Checked<'a> {
    path: &'a Path,
    #[cfg(unix)]
    identity: (u64, u64),
}

impl<'a> Checked<'a> {
    fn new(root: &Path, path: &'a Path, content: &Digest) -> Result<Self, Kept> {
        let inside = path.strip_prefix(root).map_err(|_| Kept::Outside)?;
        for component in inside.components() {
            match component {
                Component::Normal(name) if name == project::DIRECTORY => {
                    return Err(Kept::Owned("roar"));
                }
                Component::Normal(name) if name == ".git" => return Err(Kept::Owned("git")),
                Component::Normal(_) => {}
                _ => return Err(Kept::Outside),
            }
        }
        let folder = path.parent().ok_or(Kept::Outside)?;
        if folder.canonicalize().map_or(true, |real| real != folder) {
            let gone = folder.symlink_metadata().is_err();
            return Err(if gone {
                Kept::NoContent(Unhashed::Missing)
            } else {
                Kept::BehindLink
            });
        }
        // The cache is left out: what is deleted has been read.
        let hashed = hash_files(
            &[path.to_path_buf()],
            &[HashAlgorithm::Blake3],
            &mut NoCache,
        )
        .pop()
        .unwrap_or(Err(Unhashed::Missing))
        .map_err(Kept::NoContent)?;
        if hashed.changed_during || hashed.hashes.get(&HashAlgorithm::Blake3) != Some(content) {
            return Err(Kept::Changed);
        }
        Ok(Self {
            path,
            #[cfg(unix)]
            identity: (hashed.state.device, hashed.state.inode),
        })
    }

    #[cfg(unix)]
    fn remove(self) -> Result<(), Kept> {
        let (folder, name, _) = self.still()?;
        rustix::fs::unlinkat(&folder, name, rustix::fs::AtFlags::empty()).map_err(refused)
    }

    #[cfg(unix)]
    fn replace(self, earlier: &[u8]) -> Result<(), Kept> {
        use rustix::fs::{AtFlags, OFlags};
        use std::io::Write as _;

        let (folder, name, mode) = self.still()?;
        let new = format!(".roar-restored-{}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &new, flags, mode).map_err(refused)?;
        let mut file = std::fs::File::from(file);
        let written = file
            .write_all(earlier)
            .and_then(|()| file.sync_all())
            .map_err(Kept::Refused)
            // Whatever the mask took away.
            .and_then(|()| rustix::fs::fchmod(&file, mode).map_err(refused))
            .and_then(|()| rustix::fs::renameat(&folder, &new, &folder, name).map_err(refused));
        if written.is_err() {
            // Nobody else knows of it.
            let _ = rustix::fs::unlinkat(&folder, &new, AtFlags::empty());
        }
        written
    }

    /// The folder, the name in it and the file's permissions, if it is the same file still.
    /// Through the folder itself, so that no folder on the way can be exchanged for a link.
    #[cfg(unix)]
    fn still(&self) -> Result<(std::os::fd::OwnedFd, &'a std::ffi::OsStr, rustix::fs::Mode), Kept> {
        use rustix::fs::{AtFlags, FileType, Mode, OFlags};

        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(Kept::Outside);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty()).map_err(refused)?;
        let now = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
        let is_file = FileType::from_raw_mode(now.st_mode) == FileType::RegularFile;
        #[expect(
            clippy::useless_conversion,
            reason = "the fields' types differ between systems"
        )]
        let same = (now.st_dev as u64, u64::from(now.st_ino)) == self.identity;
        if !is_file || !same {
            return Err(Kept::Changed);
        }
        Ok((opened, name, Mode::from_raw_mode(now.st_mode)))
    }

    #[cfg(not(unix))]
    fn remove(self) -> Result<(), Kept> {
        std::fs::remove_file(self.path).map_err(Kept::Refused)
    }

    #[cfg(not(unix))]
    fn replace(self, earlier: &[u8]) -> Result<(), Kept> {
        std::fs::write(self.path, earlier).map_err(Kept::Refused)
    }
}

#[cfg(unix)]
fn refused(errno: rustix::io::Errno) -> Kept {
    Kept::Refused(errno.into())
}
