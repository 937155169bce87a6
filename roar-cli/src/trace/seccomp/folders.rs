//! Folders whose real path is known for a moment: most opens of a command go to few of
//! them, and in a known folder one `statx` tells all of a file (measured: three system
//! calls of four saved on each open).
//!
//! A folder is trusted for a tenth of a second and only while nobody in the job renames a
//! directory, makes a link, changes a working directory or a mount; what happens outside of
//! the job in that time may show a path that was right a moment ago.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{Equivalent, HashMap};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx};
use rustix::io::Errno;

use super::decode::AT_FDCWD;
use super::look::{self, FileSystem, Looker, MASK};
use super::reach::{self, Task};
use crate::event::{FileState, PathQuality};

/// How long a folder is trusted, nanoseconds.
pub(super) const TRUST_NS: u64 = 100_000_000;
/// How many folders are kept open.
const MAX_FOLDERS: usize = 64;
/// How many links are remembered.
const MAX_LINKS: usize = 1024;
/// How many files of a folder are.
const MAX_SEEN: usize = 64;

/// A folder that was looked up.
#[derive(Debug)]
struct Folder {
    descriptor: OwnedFd,
    path: Vec<u8>,
    mount: u64,
    device: (u32, u32),
    kind: FileSystem,
    found_at_ns: u64,
    /// What was seen of files that nobody in the job can change, in a folder of that kind; none
    /// for other folders. It lasts as long as the folder is trusted: programs that start one after
    /// the other open the same libraries.
    seen: Option<Mutex<SeenByName>>,
}

/// What was seen of files, by their names.
type SeenByName = HashMap<Box<[u8]>, (FileState, Statx)>;

impl Folder {
    fn seen(&self) -> Option<MutexGuard<'_, SeenByName>> {
        let seen = self.seen.as_ref()?;
        Some(seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a user, and with it the job, can change neither the file or folder nor its rights.
fn is_out_of_reach(user: u32, status: &Statx) -> bool {
    // The group's bits are the most that an access list gives.
    user != 0 && status.stx_uid != user && status.stx_mode & 0o022 == 0
}

/// See [`is_out_of_reach`], of roar's user.
fn is_out_of_my_reach(status: &Statx) -> bool {
    is_out_of_reach(rustix::process::geteuid().as_raw(), status)
}

/// What a name in a known folder stands for.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are files, and each is taken apart at once"
)]
pub(super) enum Seen {
    /// A regular file.
    File(FileState, Statx),
    /// Nothing, or no regular file.
    NoFile,
    /// That takes a closer look: a symbolic link, or a file on another mount.
    Unclear,
}

/// A name in a known folder.
#[derive(Debug)]
pub(super) struct Near {
    folder: Arc<Folder>,
    name: Vec<u8>,
}

impl Near {
    /// What the name stands for.
    pub(super) fn look(&self) -> Seen {
        if let Some(seen) = self.folder.seen()
            && let Some((state, status)) = seen.get(&*self.name)
        {
            return Seen::File(state.clone(), *status);
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let descriptor = self.folder.descriptor.as_fd();
        let status = match rustix::fs::statx(descriptor, &self.name[..], flags, MASK) {
            Ok(status) => status,
            Err(Errno::NOENT | Errno::NOTDIR) => return Seen::NoFile,
            Err(_) => return Seen::Unclear,
        };
        if u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFLNK || !self.is_beside(&status) {
            return Seen::Unclear;
        }
        if !look::is_regular(&status) {
            return Seen::NoFile;
        }
        let id = look::file_id(self.folder.kind, &status);
        let path = super::mounts::join(&self.folder.path, &self.name);
        let state = look::file_state(id, path, PathQuality::Full, &status);
        if let Some(mut seen) = self.folder.seen()
            && seen.len() < MAX_SEEN
            && is_out_of_my_reach(&status)
        {
            seen.insert(self.name.as_slice().into(), (state.clone(), status));
        }
        Seen::File(state, status)
    }

    /// Whether a file is on the mount that its folder is on.
    fn is_beside(&self, status: &Statx) -> bool {
        // Zero: a kernel before 5.8 does not tell.
        if status.stx_mnt_id == 0 {
            (status.stx_dev_major, status.stx_dev_minor) == self.folder.device
        } else {
            status.stx_mnt_id == self.folder.mount
        }
    }

    /// Whether a look may wait for a network, or for a process of the job.
    pub(super) fn may_block(&self) -> bool {
        self.folder.kind == FileSystem::Remote
    }

    /// Opens what the name stands for, for looking only.
    pub(super) fn open(&self, follow: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let folder = self.folder.descriptor.as_fd();
        rustix::fs::openat(folder, &self.name[..], flags, Mode::empty())
    }
}

/// A path as a process means it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    /// The process; 0 where the path is absolute.
    owner: u32,
    path: Box<[u8]>,
}

/// A [`Place`] to look up.
#[derive(Hash)]
struct PlaceRef<'a> {
    owner: u32,
    path: &'a [u8],
}

impl Equivalent<Place> for PlaceRef<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.owner == place.owner && *self.path == *place.path
    }
}

impl PlaceRef<'_> {
    fn to_owned(&self) -> Place {
        Place {
            owner: self.owner,
            path: self.path.into(),
        }
    }
}

/// Whether links on the way may mean something else to every process (`/dev/fd`), or what is there
/// is hardly ever a file.
fn is_of_devices(path: &[u8]) -> bool {
    path.starts_with(b"/dev/") && !path.starts_with(b"/dev/shm/")
}

/// What a symbolic link led to.
#[derive(Debug)]
struct Target {
    path: Vec<u8>,
    found_at_ns: u64,
}

/// The folders known now.
#[derive(Debug, Default)]
pub(super) struct Folders {
    known: HashMap<Place, Arc<Folder>>,
    /// Links to regular files, under the same trust.
    links: HashMap<Place, Target>,
    /// Threads on the way into another working directory, with their processes.
    moving: Vec<(u32, u32)>,
}

impl Folders {
    /// Forgets everything: a directory or a link may have changed.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.links.clear();
    }

    /// Whether folders are held open.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Lets go of the folders that are not trusted any more: an open one keeps its file
    /// system from being unmounted.
    pub(super) fn expire(&mut self, now_ns: u64) {
        self.known
            .retain(|_, folder| now_ns.saturating_sub(folder.found_at_ns) < TRUST_NS);
        self.links
            .retain(|_, link| now_ns.saturating_sub(link.found_at_ns) < TRUST_NS);
    }

    /// A path led, through a link as its last name, to the regular file at another path.
    pub(super) fn leads_to(&mut self, task: &Task, path: &[u8], target: &FileState, now_ns: u64) {
        let is_absolute = path.starts_with(b"/");
        let is_plain = target.quality == PathQuality::Full && !task.foreign_root;
        if !is_plain
            || target.path.as_bytes() == path
            || !is_absolute && self.is_moving(task.process)
        {
            return;
        }
        if self.links.len() >= MAX_LINKS {
            self.links.clear();
        }
        let owner = if is_absolute { 0 } else { task.process };
        let link = Target {
            path: target.path.as_bytes().to_vec(),
            found_at_ns: now_ns,
        };
        self.links.insert(PlaceRef { owner, path }.to_owned(), link);
    }

    /// A thread is about to change the working directory of its process. (One that shares it
    /// with another process, CLONE_FS without CLONE_THREAD, is right again after the time of
    /// trust.)
    pub(super) fn moves(&mut self, task: &Task) {
        self.moving.push((task.thread, task.process));
    }

    /// A thread's last call is over.
    pub(super) fn arrived(&mut self, thread: u32) {
        if self.moving.iter().any(|(other, _)| *other == thread) {
            self.moving.retain(|(other, _)| *other != thread);
            self.known.retain(|place, _| place.owner == 0);
            self.links.retain(|place, _| place.owner == 0);
        }
    }

    /// A process has ended: its number may come up again.
    pub(super) fn ended(&mut self, process: u32) {
        self.moving.retain(|(_, other)| *other != process);
        self.known.retain(|place, _| place.owner != process);
        self.links.retain(|place, _| place.owner != process);
    }

    fn is_moving(&self, process: u32) -> bool {
        self.moving.iter().any(|(_, other)| *other == process)
    }

    /// The file at a path, when its folder is known or can be found now. Only while the
    /// thread waits for its answer.
    pub(super) fn near(
        &mut self,
        looker: &mut Looker,
        task: &Task,
        dirfd: i32,
        path: &[u8],
        follow: bool,
        now_ns: u64,
    ) -> Option<Near> {
        let absolute = path.starts_with(b"/");
        if task.foreign_root
            || path.ends_with(b"/")
            || (!absolute && (dirfd != AT_FDCWD || self.is_moving(task.process)))
            || path.starts_with(b"/proc/")
            || is_of_devices(path)
        {
            return None;
        }
        let mut owner = if absolute { 0 } else { task.process };
        let link = self.links.get(&PlaceRef { owner, path });
        let target = link
            .filter(|link| follow && now_ns.saturating_sub(link.found_at_ns) < TRUST_NS)
            .map(|link| link.path.clone());
        if target.is_some() {
            owner = 0;
        }
        let (parent, name) = look::split(target.as_deref().unwrap_or(path))?;
        let key = PlaceRef {
            owner,
            path: parent,
        };
        if let Some(folder) = self.known.get(&key)
            && now_ns.saturating_sub(folder.found_at_ns) < TRUST_NS
        {
            return Some(Near {
                folder: Arc::clone(folder),
                name: name.to_vec(),
            });
        }
        let located = reach::locate(task, dirfd, parent.to_vec()).ok()?;
        let descriptor = located.open(true, ResolveFlags::empty()).ok()?;
        let status = Looker::status(descriptor.as_fd()).ok()?;
        let (path, quality) = looker.path(descriptor.as_fd(), &status, task.process);
        if quality != PathQuality::Full {
            return None;
        }
        if self.known.len() >= MAX_FOLDERS {
            self.known.clear();
        }
        let kind = looker.file_system(descriptor.as_fd(), &status);
        let folder = Folder {
            descriptor,
            path,
            mount: status.stx_mnt_id,
            device: (status.stx_dev_major, status.stx_dev_minor),
            kind,
            found_at_ns: now_ns,
            seen: is_out_of_my_reach(&status).then(Mutex::default),
        };
        let folder = Arc::new(folder);
        // An open folder keeps its file system mounted, and one that is served by a process
        // keeps that process waiting.
        if kind != FileSystem::Remote {
            self.known.insert(key.to_owned(), Arc::clone(&folder));
        }
        Some(Near {
            folder,
            name: name.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_that_a_job_cannot_change() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let own = rustix::process::geteuid().as_raw();
        for (user, mode, expected) in [
            (own + 1, 0o644, true),
            (own + 1, 0o664, false),
            (own + 1, 0o646, false),
            (own, 0o444, false),
            (0, 0o444, false),
        ] {
            let permissions = std::fs::Permissions::from_mode(mode);
            file.as_file()
                .set_permissions(permissions)
                .expect("it is ours");
            let status = Looker::status(file.as_file().as_fd()).expect("a status");
            assert_eq!(is_out_of_reach(user, &status), expected, "{user} {mode:o}");
        }
    }
}
