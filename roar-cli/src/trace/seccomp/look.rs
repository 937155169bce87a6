//! Looking at files as a traced process sees them, without ever opening one for access.
//!
//! Every look is an `O_PATH` descriptor: it blocks on no FIFO, breaks no lease, changes no
//! access time. Paths come out as roar's own mount namespace shows them, where it does.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use hashbrown::{HashMap, HashSet};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::mounts::{self, Mount};
use crate::event::{FileId, FileState, PathQuality};

/// Where a path of a traced process starts.
#[derive(Debug)]
pub(super) enum Base {
    /// At roar's own root: the process has the same.
    Own,
    /// At a directory: a working directory or a `dirfd`.
    Folder(OwnedFd),
    /// At the root of the process, which is not roar's; symbolic links stay below it.
    Root(OwnedFd),
}

/// A path of a traced process, bound to where it starts.
#[derive(Debug)]
pub(super) struct Located {
    /// Where it starts.
    pub(super) base: Base,
    /// What follows.
    pub(super) path: Vec<u8>,
}

impl Located {
    /// Opens what the path names, for looking only.
    pub(super) fn open(&self, follow: bool, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        self.open_path(&self.path, follow, resolve)
    }

    fn open_path(
        &self,
        path: &[u8],
        follow: bool,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let (at, resolve) = match &self.base {
            Base::Own => (CWD, resolve),
            Base::Folder(folder) => (folder.as_fd(), resolve),
            Base::Root(root) => (root.as_fd(), resolve | ResolveFlags::IN_ROOT),
        };
        if resolve.is_empty() {
            return rustix::fs::openat(at, path, flags, Mode::empty());
        }
        loop {
            match rustix::fs::openat2(at, path, flags, Mode::empty(), resolve) {
                // A rename raced with the walk of a scoped look-up (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Opens the folder that the path's last component is in.
    pub(super) fn entry(&self) -> Result<Entry, Errno> {
        let (parent, name) = split(&self.path).ok_or(Errno::INVAL)?;
        let folder = self.open_path(parent, true, ResolveFlags::empty())?;
        Ok(Entry {
            folder,
            name: name.to_vec(),
            shown: None,
        })
    }
}

/// Whether paths can be followed inside another root (`openat2`, Linux 5.6; old sandboxes
/// refuse it).
pub(super) fn follows_inside_roots() -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, c"/", flags, Mode::empty(), ResolveFlags::IN_ROOT).is_ok()
}

/// A name in a folder: what `rename`, `unlink` and their like act on.
#[derive(Debug)]
pub(super) struct Entry {
    /// The folder.
    pub(super) folder: OwnedFd,
    /// The name in it.
    pub(super) name: Vec<u8>,
    /// Its path, where it was taken beforehand: a mount namespace, and the way to the folder
    /// with it, ends with its last process.
    pub(super) shown: Option<(Vec<u8>, PathQuality)>,
}

impl Entry {
    /// What the name stands for now, symbolic links not followed.
    pub(super) fn status(&self) -> Result<Statx, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(self.folder.as_fd(), &self.name[..], flags, MASK)
    }

    /// Opens what the name stands for now, for looking only.
    pub(super) fn open(&self, follow: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        rustix::fs::openat(self.folder.as_fd(), &self.name[..], flags, Mode::empty())
    }
}

/// Splits a path into its folder and its last name; none where there is no such name.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let path = &path[..end];
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        None => (&b"."[..], path),
        Some(0) => (&b"/"[..], &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
    };
    (name != b"." && name != b"..").then_some((folder, name))
}

/// Paths that mean something else to every process, as the traced one means them.
pub(super) fn personal(path: &[u8], process: u32, thread: u32) -> Option<Vec<u8>> {
    let under = |prefix: &[u8]| mounts::below(prefix, path);
    let found = |folder: String, rest: &[u8]| Some(mounts::join(folder.as_bytes(), rest));
    if let Some(rest) = under(b"/proc/self") {
        return found(format!("/proc/{process}"), rest);
    }
    if let Some(rest) = under(b"/proc/thread-self") {
        return found(format!("/proc/{process}/task/{thread}"), rest);
    }
    if let Some(rest) = under(b"/dev/fd") {
        return found(format!("/proc/{process}/fd"), rest);
    }
    let number = match path {
        b"/dev/stdin" => 0,
        b"/dev/stdout" => 1,
        b"/dev/stderr" => 2,
        _ => return None,
    };
    Some(format!("/proc/{process}/fd/{number}").into_bytes())
}

/// What every look asks for.
pub(super) const MASK: StatxFlags = StatxFlags::BASIC_STATS
    .union(StatxFlags::BTIME)
    .union(StatxFlags::MNT_ID);

/// Kinds of file systems that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// Nothing special.
    Plain,
    /// In memory: writes through a map leave no trace but the content.
    Memory,
    /// Shows inodes of other file systems: birth times change under an unchanged inode.
    Overlay,
    /// Served by a process or a network: reading content may block.
    Remote,
}

/// Superblock magic numbers (`linux/magic.h`, and cifs, nfs and 9p beside it).
fn file_system(magic: u64) -> FileSystem {
    match magic {
        0x0102_1994 | 0x8584_58f6 => FileSystem::Memory,
        0x794c_7630 => FileSystem::Overlay,
        0x6573_5546 | 0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x00c3_6400
        | 0x0bd0_0bd0 => FileSystem::Remote,
        _ => FileSystem::Plain,
    }
}

/// Whether a status is of a regular file.
pub(super) fn is_regular(status: &Statx) -> bool {
    u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFREG
}

/// Device and inode, to compare two looks that are close in time.
pub(super) fn same_file(a: &Statx, b: &Statx) -> bool {
    (a.stx_dev_major, a.stx_dev_minor, a.stx_ino) == (b.stx_dev_major, b.stx_dev_minor, b.stx_ino)
}

/// What identifies a root: device, inode, mount.
pub(super) type RootId = (u32, u32, u64, u64);

/// The identity of a process's root.
pub(super) fn root_id(process: Option<u32>) -> Result<RootId, Errno> {
    let path = process.map_or_else(|| "/".to_owned(), |process| format!("/proc/{process}/root"));
    let status = rustix::fs::statx(CWD, path, AtFlags::empty(), MASK)?;
    Ok((
        status.stx_dev_major,
        status.stx_dev_minor,
        status.stx_ino,
        status.stx_mnt_id,
    ))
}

/// Looks at files and names them.
#[derive(Debug)]
pub(super) struct Looker {
    /// `/proc/self/fd`.
    descriptors: OwnedFd,
    own: Vec<Mount>,
    own_ids: HashSet<u64>,
    foreign: HashMap<u64, Mount>,
    file_systems: HashMap<(u32, u32), FileSystem>,
    link: Vec<u8>,
}

impl Looker {
    /// Opens `/proc` and reads roar's own mount table.
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut looker = Self {
            descriptors: rustix::fs::open("/proc/self/fd", flags, Mode::empty())?,
            own: Vec::new(),
            own_ids: HashSet::new(),
            foreign: HashMap::new(),
            file_systems: HashMap::new(),
            link: vec![0; 4096],
        };
        looker.read_own_mounts();
        Ok(looker)
    }

    fn read_own_mounts(&mut self) {
        self.own = read_mounts("/proc/self/mountinfo").unwrap_or_default();
        self.own_ids = self.own.iter().map(|mount| mount.id).collect();
    }

    /// The status of an open file.
    pub(super) fn status(file: BorrowedFd<'_>) -> Result<Statx, Errno> {
        rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, MASK)
    }

    /// The kind of file system that a file is on.
    pub(super) fn file_system(&mut self, file: BorrowedFd<'_>, status: &Statx) -> FileSystem {
        let device = (status.stx_dev_major, status.stx_dev_minor);
        *self.file_systems.entry(device).or_insert_with(|| {
            rustix::fs::fstatfs(file)
                .map_or(FileSystem::Plain, |found| file_system(found.f_type as u64))
        })
    }

    /// The identity of a file.
    pub(super) fn id(&mut self, file: BorrowedFd<'_>, status: &Statx) -> FileId {
        file_id(self.file_system(file, status), status)
    }

    /// The state of an open file, under its real path.
    pub(super) fn state(
        &mut self,
        file: BorrowedFd<'_>,
        status: &Statx,
        process: u32,
    ) -> FileState {
        let id = self.id(file, status);
        let (path, quality) = self.path(file, status, process);
        file_state(id, path, quality, status)
    }

    /// The real path of an open file.
    pub(super) fn path(
        &mut self,
        file: BorrowedFd<'_>,
        status: &Statx,
        process: u32,
    ) -> (Vec<u8>, PathQuality) {
        let number = file.as_raw_fd().to_string();
        let link = rustix::fs::readlinkat_raw(&self.descriptors, number, &mut self.link[..]);
        let Ok(length) = link else {
            return (Vec::new(), PathQuality::Truncated);
        };
        let mut path = self.link[..length].to_vec();
        if status.stx_nlink == 0 || !path.starts_with(b"/") {
            if let Some(cut) = path.strip_suffix(b" (deleted)") {
                path.truncate(cut.len());
            }
            return (path, PathQuality::Unlinked);
        }
        if length == self.link.len() {
            return (path, PathQuality::Truncated);
        }
        if self.is_own_mount(status.stx_mnt_id) {
            return (path, PathQuality::Full);
        }
        match self.translate(&path, status, process) {
            Some(path) => (path, PathQuality::Full),
            None => (path, PathQuality::Foreign),
        }
    }

    /// The path of a name in a folder.
    pub(super) fn entry_path(&mut self, entry: &Entry, process: u32) -> Option<Vec<u8>> {
        if let Some((shown, _)) = &entry.shown {
            return Some(shown.clone());
        }
        self.shown(entry, process).map(|(path, _)| path)
    }

    /// As [`Self::entry_path`], with how far it can be trusted, as it is now.
    pub(super) fn shown(&mut self, entry: &Entry, process: u32) -> Option<(Vec<u8>, PathQuality)> {
        let status = Self::status(entry.folder.as_fd()).ok()?;
        let (folder, quality) = self.path(entry.folder.as_fd(), &status, process);
        Some((mounts::join(&folder, &entry.name), quality))
    }

    fn is_own_mount(&mut self, id: u64) -> bool {
        // Zero: a kernel before 5.8 does not tell; then the path is taken as it is.
        if id == 0 || self.own_ids.contains(&id) {
            return true;
        }
        if self.foreign.contains_key(&id) {
            return false;
        }
        self.read_own_mounts();
        self.own_ids.contains(&id)
    }

    /// The path in roar's namespace of a file that was reached through a foreign mount.
    fn translate(&mut self, path: &[u8], status: &Statx, process: u32) -> Option<Vec<u8>> {
        let id = status.stx_mnt_id;
        let mut inside = self.foreign.get(&id).and_then(|m| mounts::inside(m, path));
        if inside.is_none() {
            // Not seen before, or the number was another mount's.
            let table = read_mounts(&format!("/proc/{process}/mountinfo"))?;
            let mount = table.into_iter().find(|mount| mount.id == id)?;
            inside = mounts::inside(&mount, path);
            self.foreign.insert(id, mount);
        }
        let (mount, inside) = (self.foreign.get(&id)?, inside?);
        mounts::shown_at(&self.own, mount.device, &inside)
            .into_iter()
            .find(|candidate| {
                rustix::fs::statx(CWD, &candidate[..], AtFlags::SYMLINK_NOFOLLOW, MASK)
                    .is_ok_and(|found| same_file(&found, status))
            })
    }
}

/// Puts a state together.
pub(super) fn file_state(
    id: FileId,
    path: Vec<u8>,
    quality: PathQuality,
    status: &Statx,
) -> FileState {
    FileState {
        id: Some(id),
        path: path.into(),
        quality,
        size_bytes: status.stx_size,
        mtime_ns: nanoseconds(&status.stx_mtime),
        ctime_ns: nanoseconds(&status.stx_ctime),
    }
}

/// Size, modification and change time.
pub(super) fn stamp(status: &Statx) -> (u64, i64, i64) {
    (
        status.stx_size,
        nanoseconds(&status.stx_mtime),
        nanoseconds(&status.stx_ctime),
    )
}

/// The slowest tick of a kernel, nanoseconds.
pub(super) const TICK_NS: i64 = 10_000_000;

/// Whether a local file's last change is so long ago that another one shows in its times: they are
/// stamped once a tick of the kernel's, or in whole seconds.
pub(super) fn is_settled(state: &FileState) -> bool {
    unsettled_ns(state) == 0
}

/// How long it takes until [`is_settled`] holds, nanoseconds.
pub(super) fn unsettled_ns(state: &FileState) -> i64 {
    const SECOND_NS: i64 = 1_000_000_000;
    let margin_ns = if state.ctime_ns % SECOND_NS == 0 {
        2 * SECOND_NS + TICK_NS
    } else {
        TICK_NS
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let now_ns = now.tv_sec * SECOND_NS + now.tv_nsec;
    let last_ns = state.mtime_ns.max(state.ctime_ns);
    let settled_ns = last_ns.saturating_add(margin_ns + 1);
    settled_ns.saturating_sub(now_ns).max(0)
}

/// The identity of a file on a file system of a kind.
pub(super) fn file_id(kind: FileSystem, status: &Statx) -> FileId {
    let born = status.stx_mask & StatxFlags::BTIME.bits() != 0
        && matches!(kind, FileSystem::Plain | FileSystem::Memory);
    // The birth time tells a re-used inode number from the old file, as a generation would.
    let generation = if born {
        (status.stx_btime.tv_sec as u32).rotate_left(30) ^ status.stx_btime.tv_nsec
    } else {
        0
    };
    FileId {
        device: u64::from(status.stx_dev_major) << 20 | u64::from(status.stx_dev_minor),
        inode: status.stx_ino,
        generation,
    }
}

/// The hash of a regular file's content, up to a size.
pub(super) fn content(file: BorrowedFd<'_>, limit_bytes: u64) -> Option<[u8; 32]> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // NONBLOCK: where another process holds a lease, fail instead of waiting for it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut hasher = blake3::Hasher::new();
    let mut file = File::from(file).take(limit_bytes + 1);
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            length => {
                hasher.update(&buffer[..length]);
                total += length as u64;
            }
        }
    }
    (total <= limit_bytes).then(|| *hasher.finalize().as_bytes())
}

/// Reads a small part of a regular file.
pub(super) fn read_part(file: BorrowedFd<'_>, offset: u64, length: usize) -> Option<Vec<u8>> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut part = vec![0; length];
    let read = rustix::io::pread(&file, &mut part[..], offset).ok()?;
    part.truncate(read);
    Some(part)
}

fn nanoseconds(time: &rustix::fs::StatxTimestamp) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::from(time.tv_nsec))
}

fn read_mounts(path: &str) -> Option<Vec<Mount>> {
    let mut table = Vec::new();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    File::from(file).read_to_end(&mut table).ok()?;
    Some(mounts::parse(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_their_last_name() {
        let cases: [(&str, Option<(&str, &str)>); 9] = [
            ("a", Some((".", "a"))),
            ("/a", Some(("/", "a"))),
            ("a/b//", Some(("a", "b"))),
            ("/a/b", Some(("/a", "b"))),
            ("a/..", None),
            (".", None),
            ("/", None),
            ("", None),
            ("a/.b", Some(("a", ".b"))),
        ];
        for (path, expected) in cases {
            let expected = expected.map(|(folder, name)| (folder.as_bytes(), name.as_bytes()));
            assert_eq!(split(path.as_bytes()), expected, "{path:?}");
        }
    }

    #[test]
    fn personal_paths_are_those_of_the_traced_process() {
        let cases = [
            ("/proc/self/fd/3", Some("/proc/7/fd/3")),
            ("/proc/self", Some("/proc/7")),
            ("/proc/thread-self/comm", Some("/proc/7/task/8/comm")),
            ("/dev/fd/0", Some("/proc/7/fd/0")),
            ("/dev/stdin", Some("/proc/7/fd/0")),
            ("/dev/stderr", Some("/proc/7/fd/2")),
            ("/proc/selfish", None),
            ("/dev/null", None),
            ("proc/self", None),
        ];
        for (path, expected) in cases {
            let found = personal(path.as_bytes(), 7, 8);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn a_look_names_the_real_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("exists").join("real");
        std::fs::write(&real, "x").expect("writes");
        std::os::unix::fs::symlink("real", folder.path().join("link")).expect("links");
        let mut looker = Looker::new().expect("proc is there");
        let located = Located {
            base: Base::Own,
            path: folder
                .path()
                .join("link")
                .into_os_string()
                .into_encoded_bytes(),
        };
        let file = located.open(true, ResolveFlags::empty()).expect("opens");
        let status = Looker::status(file.as_fd()).expect("a status");
        let state = looker.state(file.as_fd(), &status, std::process::id());
        assert_eq!(state.path.to_path_buf(), real);
        assert_eq!((state.quality, state.size_bytes), (PathQuality::Full, 1));
        std::fs::remove_file(&real).expect("removes");
        let status = Looker::status(file.as_fd()).expect("a status");
        let state = looker.state(file.as_fd(), &status, std::process::id());
        assert_eq!(
            (state.path.to_path_buf(), state.quality),
            (real, PathQuality::Unlinked)
        );
    }
}
