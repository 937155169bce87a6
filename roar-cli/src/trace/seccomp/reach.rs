//! How a traced process reaches a file: from which root, directory or descriptor, and
//! with what rights.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, Statx};
use rustix::io::Errno;

use super::decode::AT_FDCWD;
use super::look::{self, Base, Located};
use super::mounts;
use super::sys;
pub(super) use super::tasks::Task;
use super::verdict::{self, READ};

/// Whether a process may access a file.
pub(super) fn may(task: &Task, file: &OwnedFd, status: &Statx, want: u32) -> bool {
    let mode = u32::from(status.stx_mode);
    if let Some(credentials) = &task.credentials {
        return verdict::permits(credentials, mode, status.stx_uid, status.stx_gid, want);
    }
    // Open to all: no access list takes that away in practice, and it saves a call.
    if want == READ && mode & 0o444 == 0o444 {
        return true;
    }
    sys::may_access(file.as_fd(), want as i32).unwrap_or(true)
}

impl Task {
    /// Whether the process may read a file, where its mode alone tells.
    pub(super) fn may_read_by_mode(&self, status: &Statx) -> bool {
        self.credentials.is_none() && u32::from(status.stx_mode) & 0o444 == 0o444
    }
}

/// A descriptor of the process, as one of roar's for looking only.
pub(super) fn descriptor(task: &Task, number: i32) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{}/fd/{number}", task.thread);
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn folder(task: &Task, dirfd: i32) -> Result<OwnedFd, Errno> {
    if dirfd == AT_FDCWD {
        link(task, "cwd")
    } else {
        descriptor(task, dirfd)
    }
}

fn link(task: &Task, name: &str) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{}/{name}", task.thread);
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Binds a path to where it starts. Only while the thread waits for its answer.
pub(super) fn locate(task: &Task, dirfd: i32, path: Vec<u8>) -> Result<Located, Errno> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.starts_with(b"/") {
        if let Some(path) = look::personal(&path, task.process, task.thread) {
            return Ok(Located {
                base: Base::Own,
                path,
            });
        }
        let base = if task.foreign_root {
            Base::Root(link(task, "root")?)
        } else {
            Base::Own
        };
        return Ok(Located { base, path });
    }
    let start = folder(task, dirfd)?;
    if task.foreign_root
        && let Some(inside) = inside_root(task, dirfd)
    {
        // From the root, so that absolute links on the way stay inside it.
        let path = mounts::join(&inside, &path);
        return Ok(Located {
            base: Base::Root(link(task, "root")?),
            path,
        });
    }
    Ok(Located {
        base: Base::Folder(start),
        path,
    })
}

/// The path of a directory as the process itself would write it.
fn inside_root(task: &Task, dirfd: i32) -> Option<Vec<u8>> {
    let read = |name: String| {
        let path = format!("/proc/{}/{name}", task.thread);
        rustix::fs::readlink(path, Vec::new())
            .ok()
            .map(std::ffi::CString::into_bytes)
    };
    let root = read("root".to_owned())?;
    let name = if dirfd == AT_FDCWD {
        "cwd".to_owned()
    } else {
        format!("fd/{dirfd}")
    };
    let folder = read(name)?;
    Some(mounts::join(b"/", mounts::below(&root, &folder)?))
}
