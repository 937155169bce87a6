//! The cgroup that `--cgroup` names: found in the unified hierarchy, wherever that is mounted.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};

use super::mounts;

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Why a cgroup cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Nothing of that name, neither as a path nor inside the hierarchy.
    #[error("no cgroup '{}' of version 2, whose hierarchy is mounted at {}", path.display(), mount.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
        /// Where cgroups of version 2 are.
        mount: PathBuf,
    },
    /// There are no cgroups of version 2.
    #[error("no cgroup v2 hierarchy is mounted (a cgroup of version 1 cannot be traced)")]
    NotMounted,
    /// It is there and cannot be opened.
    #[error("cannot open the cgroup '{}'", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Opens a cgroup: a directory of a cgroup v2 file system, or a path inside that hierarchy as
/// `/proc/PID/cgroup` shows it.
pub(super) fn open(path: &Path) -> Result<OwnedFd, CgroupError> {
    if let Some(directory) = open_v2(path)? {
        return Ok(directory);
    }
    // Hybrid systems have it below a tmpfs, containers anywhere.
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts::point_of(&table, b"cgroup2").ok_or(CgroupError::NotMounted)?;
    let mount = PathBuf::from(std::ffi::OsStr::from_bytes(&mount));
    let inside = path.strip_prefix("/").unwrap_or(path);
    open_v2(&mount.join(inside))?.ok_or_else(|| CgroupError::NotFound {
        path: path.to_path_buf(),
        mount,
    })
}

/// The directory, when there is one and it is a cgroup of version 2.
fn open_v2(path: &Path) -> Result<Option<OwnedFd>, CgroupError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(errno) => {
            return Err(CgroupError::Open {
                path: path.to_path_buf(),
                source: errno.into(),
            });
        }
    };
    let is_v2 = fstatfs(&directory).is_ok_and(|system| system.f_type as u64 == CGROUP2_MAGIC);
    Ok(is_v2.then_some(directory))
}
