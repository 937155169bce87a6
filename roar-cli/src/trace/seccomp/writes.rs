//! Which opens for writing led to a write: the file as it was before is compared with the
//! file as it is later. Opens are all that this back-end sees; a write leaves its mark in
//! size and time, or, through a map on tmpfs, in nothing but the content.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, Statx};

use super::look::{self, FileSystem, Looker};
use super::verdict::{self, Change, Look};
use crate::event::{FileId, FileState, PathQuality};

/// Up to this size the content of any file opened for writing is compared.
const CONTENT_BYTES: u64 = 64 * 1024;
/// Up to this size the content of a file that is about to be emptied or removed is taken: a
/// millisecond.
const TAKEN_BYTES: u64 = 1024 * 1024;
/// How long calls may wait for files to settle, all together, nanoseconds.
const MAX_WAITED_NS: u64 = 500_000_000;
/// Up to this size where only the content can tell.
const MAPPED_CONTENT_BYTES: u64 = 8 * 1024 * 1024;

/// An open for writing whose outcome is not known yet.
#[derive(Clone, Debug)]
struct Watched {
    process: u32,
    path: Vec<u8>,
    before: Look,
    /// A write through a map would leave no trace but the content.
    maps: bool,
}

/// What a comparison concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The process wrote the file, which now is as given.
    Written(u32, FileState),
    /// What the file held that the process is about to change.
    Content(u32, FileState, [u8; 32]),
    /// Nothing can tell whether the file at this path was written.
    Unknown(Vec<u8>),
}

/// The book of opens for writing.
#[derive(Debug, Default)]
pub(super) struct Writes {
    open: HashMap<FileId, Vec<Watched>>,
    /// Known to be the job's work already: their content need not be compared.
    written: HashSet<FileId>,
    /// How long calls have waited for files to settle, nanoseconds.
    waited_ns: u64,
}

impl Writes {
    /// The file is the job's work from here on.
    pub(super) fn mark_written(&mut self, id: Option<FileId>) {
        self.written.extend(id);
    }

    /// Enters an open for writing. `state` is the file before it; `mappable`: opened for
    /// reading too, without which it cannot be mapped for writing.
    pub(super) fn opened(
        &mut self,
        looker: &mut Looker,
        process: u32,
        file: BorrowedFd<'_>,
        status: &Statx,
        state: &FileState,
        mappable: bool,
    ) -> Vec<Finding> {
        let Some(id) = state.id else {
            return Vec::new();
        };
        let kind = looker.file_system(file, status);
        let maps = mappable && matches!(kind, FileSystem::Memory | FileSystem::Remote);
        let mut findings = self.compare(id, file, state);
        let before = self.look(id, file, state, kind, maps);
        findings.extend(
            before
                .content
                .and_then(|content| told(process, file, state, content)),
        );
        let entries = self.open.entry(id).or_default();
        let known = |entry: &Watched| entry.process == process && entry.before == before;
        if !entries.iter().any(known) {
            let path = state.path.as_bytes().to_vec();
            entries.push(Watched {
                process,
                path,
                before,
                maps,
            });
        }
        findings
    }

    /// A process is about to empty or remove a file: what it holds, of which nothing is left in a
    /// moment. Of one that the job read its call waits, for a tick of the kernel's or two, until
    /// the content belongs to its state for certain.
    pub(super) fn taken(
        &mut self,
        looker: &mut Looker,
        process: u32,
        file: BorrowedFd<'_>,
        status: &Statx,
        state: &FileState,
        was_read: bool,
    ) -> Option<Finding> {
        let id = state.id?;
        let is_wanted = !self.written.contains(&id)
            && (1..=TAKEN_BYTES).contains(&state.size_bytes)
            && looker.file_system(file, status) != FileSystem::Remote;
        if is_wanted && was_read {
            self.wait_until_settled(state);
        }
        let content = is_wanted.then(|| look::content(file, TAKEN_BYTES))??;
        told(process, file, state, content)
    }

    fn wait_until_settled(&mut self, state: &FileState) {
        loop {
            let left_ns = look::unsettled_ns(state);
            // A stamp may be ahead of the kernel's coarse clock by a tick. Longer than that take
            // stamps of whole seconds, or of the future.
            let waits = 0 < left_ns && left_ns <= 2 * look::TICK_NS + 1;
            if !waits || self.waited_ns >= MAX_WAITED_NS {
                return;
            }
            self.waited_ns += left_ns.unsigned_abs();
            std::thread::sleep(Duration::from_nanos(left_ns.unsigned_abs()));
        }
    }

    fn look(
        &self,
        id: FileId,
        file: BorrowedFd<'_>,
        state: &FileState,
        kind: FileSystem,
        maps: bool,
    ) -> Look {
        let limit = if maps {
            MAPPED_CONTENT_BYTES
        } else {
            CONTENT_BYTES
        };
        // Served by a process, maybe one of the job: reading could wait for ourselves.
        let wanted =
            kind != FileSystem::Remote && !self.written.contains(&id) && state.size_bytes <= limit;
        Look {
            size_bytes: state.size_bytes,
            mtime_ns: state.mtime_ns,
            content: wanted.then(|| look::content(file, limit)).flatten(),
        }
    }

    /// Whether anybody has this file open for writing.
    pub(super) fn watches(&self, id: FileId) -> bool {
        self.open.contains_key(&id)
    }

    /// Compares a file with what it was when it was opened; writers that are found are done.
    pub(super) fn compare(
        &mut self,
        id: FileId,
        file: BorrowedFd<'_>,
        state: &FileState,
    ) -> Vec<Finding> {
        let Some(entries) = self.open.remove(&id) else {
            return Vec::new();
        };
        let needs_content = entries.iter().any(|entry| {
            entry.before.content.is_some() && entry.before.size_bytes == state.size_bytes
        });
        let content = needs_content
            .then(|| look::content(file, MAPPED_CONTENT_BYTES))
            .flatten();
        let now = Look {
            size_bytes: state.size_bytes,
            mtime_ns: state.mtime_ns,
            content,
        };
        let (written, rest): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| verdict::change(&entry.before, &now, entry.maps) == Change::Written);
        if !rest.is_empty() {
            self.open.insert(id, rest);
        }
        if !written.is_empty() {
            self.written.insert(id);
        }
        written
            .into_iter()
            .map(|entry| Finding::Written(entry.process, state.clone()))
            .collect()
    }

    /// A name changed: what was at `from`, or below it, is at `to`.
    pub(super) fn renamed(&mut self, from: &[u8], to: &[u8], exchanged: bool) {
        for entry in self.open.values_mut().flatten() {
            if let Some(rest) = super::mounts::below(from, &entry.path) {
                entry.path = super::mounts::join(to, rest);
            } else if exchanged && let Some(rest) = super::mounts::below(to, &entry.path) {
                entry.path = super::mounts::join(from, rest);
            }
        }
    }

    /// Compares everything that is still open, at the end.
    pub(super) fn finish(mut self, looker: &mut Looker) -> Vec<Finding> {
        let mut result = Vec::new();
        let mut ids: Vec<FileId> = self.open.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(first) = self.open.get(&id).and_then(|entries| entries.first()) else {
                continue;
            };
            let (process, path) = (first.process, first.path.clone());
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = rustix::fs::openat(CWD, &path[..], flags, Mode::empty())
                .ok()
                .and_then(|file| Some((Looker::status(file.as_fd()).ok()?, file)));
            // Gone: the file was removed (compared then), and what has no name is no output.
            let Some((status, file)) = found else {
                continue;
            };
            let state = looker.state(file.as_fd(), &status, process);
            if state.id != Some(id) || state.quality == PathQuality::Unlinked {
                continue;
            }
            let still = FileState {
                quality: PathQuality::Full,
                ..state
            };
            result.extend(self.compare(id, file.as_fd(), &still));
            let now = Look {
                size_bytes: still.size_bytes,
                mtime_ns: still.mtime_ns,
                content: None,
            };
            let unclear = |entry: &Watched| {
                entry.before.content.is_none()
                    && verdict::change(&entry.before, &now, entry.maps) == Change::Unknown
            };
            let left = self.open.get(&id).into_iter().flatten();
            if !self.written.contains(&id) && left.clone().any(unclear) {
                result.push(Finding::Unknown(path));
            }
        }
        result
    }
}

/// What to tell of a content that was just taken. None where the file may have changed meanwhile,
/// or so shortly before that another change need not show in its state.
fn told(
    process: u32,
    file: BorrowedFd<'_>,
    state: &FileState,
    content: [u8; 32],
) -> Option<Finding> {
    let status = Looker::status(file).ok()?;
    let now = look::stamp(&status);
    let is_same = now == (state.size_bytes, state.mtime_ns, state.ctime_ns);
    (is_same && look::is_settled(state)).then(|| Finding::Content(process, state.clone(), content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    fn enter(writes: &mut Writes, looker: &mut Looker, process: u32, path: &std::path::Path) {
        let file = File::open(path).expect("opens");
        let status = Looker::status(file.as_fd()).expect("a status");
        let state = looker.state(file.as_fd(), &status, process);
        writes.opened(looker, process, file.as_fd(), &status, &state, true);
    }

    fn writers(findings: Vec<Finding>) -> Vec<u32> {
        let mut found: Vec<u32> = findings
            .into_iter()
            .filter_map(|finding| match finding {
                Finding::Written(process, _) => Some(process),
                Finding::Content(..) | Finding::Unknown(_) => None,
            })
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn only_changed_files_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().canonicalize().expect("exists").join(name);
        let mut looker = Looker::new().expect("proc is there");
        let mut writes = Writes::default();
        for (process, name) in [(1, "same"), (2, "longer"), (3, "other"), (4, "touched")] {
            std::fs::write(path(name), "abc").expect("writes");
            enter(&mut writes, &mut looker, process, &path(name));
        }
        let mut longer = File::options()
            .append(true)
            .open(path("longer"))
            .expect("opens");
        longer.write_all(b"d").expect("writes");
        std::fs::write(path("other"), "xyz").expect("writes");
        let touched = File::options()
            .write(true)
            .open(path("touched"))
            .expect("opens");
        touched
            .set_modified(std::time::UNIX_EPOCH)
            .expect("sets the time");
        assert_eq!(writers(writes.finish(&mut looker)), [2, 3]);
    }

    #[test]
    fn a_renamed_file_is_found_under_its_new_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("exists");
        std::fs::create_dir(folder.join("a")).expect("makes a folder");
        std::fs::write(folder.join("a/x"), "abc").expect("writes");
        let mut looker = Looker::new().expect("proc is there");
        let mut writes = Writes::default();
        enter(&mut writes, &mut looker, 1, &folder.join("a/x"));
        std::fs::write(folder.join("a/x"), "abcd").expect("writes");
        std::fs::rename(folder.join("a"), folder.join("b")).expect("renames");
        let name = |name: &str| folder.join(name).into_os_string().into_encoded_bytes();
        writes.renamed(&name("a"), &name("b"), false);
        assert_eq!(writers(writes.finish(&mut looker)), [1]);
    }

    #[test]
    fn what_is_about_to_be_emptied_is_hashed_once_its_state_is_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("exists").join("file");
        std::fs::write(&path, "abc").expect("writes");
        let mut looker = Looker::new().expect("proc is there");
        let file = File::open(&path).expect("opens");
        let status = Looker::status(file.as_fd()).expect("a status");
        let state = looker.state(file.as_fd(), &status, 1);
        let mut writes = Writes::default();
        let mut tell = |writes: &mut Writes, was_read| {
            writes.taken(&mut looker, 1, file.as_fd(), &status, &state, was_read)
        };
        let expected = Some(Finding::Content(
            1,
            state.clone(),
            *blake3::hash(b"abc").as_bytes(),
        ));
        // What the job read is waited for.
        assert_eq!(tell(&mut writes, true), expected);
        let waited_ns = writes.waited_ns;
        assert!(waited_ns < 4 * look::TICK_NS as u64, "{waited_ns}");
        assert_eq!(tell(&mut writes, false), expected, "it is settled now");

        std::fs::write(&path, "other").expect("writes");
        assert_eq!(tell(&mut writes, true), None, "it is in another state");
        assert_eq!(writes.waited_ns, waited_ns);
        writes.mark_written(state.id);
        assert_eq!(tell(&mut writes, true), None, "it is the job's work");
    }
}
