//! From what the supervisor found to what it tells: events in order, gaps counted.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags, Statx};

use super::look::{self, Entry, Looker};
use super::pending::{Effect, Pending};
use super::supervisor::{Over, Supervisor};
use super::tasks::{Appeared, Ended, Task};
use super::writes::Finding;
use crate::event::{Access, EventKind, FileState, NameChange, PathQuality, ProcessId, TraceEvent};
use crate::model::{GapKind, RawString};

impl Supervisor {
    /// Tells the sink; whatever came into view with the notification comes first.
    pub(super) fn emit(&mut self, process: u32, kind: EventKind) {
        self.tell_appeared();
        self.send(process, kind);
    }

    fn send(&mut self, process: u32, kind: EventKind) {
        let event = TraceEvent {
            at_ns: self.now_ns,
            process: ProcessId(process),
            kind,
        };
        self.later.tell(event);
    }

    /// Tells of an access to a regular file.
    pub(super) fn touched(&mut self, process: u32, file: FileState, access: Access) {
        if file.path.as_bytes().is_empty() {
            self.gap(
                GapKind::UnresolvedPath,
                "files whose path could not be found",
            );
            return;
        }
        self.emit(process, EventKind::Touched { file, access });
    }

    /// Counts something that was missed.
    pub(super) fn gap(&mut self, kind: GapKind, detail: &str) {
        self.gaps_of(kind, detail, 1);
    }

    /// Counts things that were missed.
    pub(super) fn gaps_of(&mut self, kind: GapKind, detail: &str, count: u64) {
        *self
            .counts
            .gaps
            .entry((kind, detail.to_owned()))
            .or_default() += count;
    }

    pub(super) fn tell_appeared(&mut self) {
        for Appeared { process, parent } in std::mem::take(&mut self.appeared) {
            let parent = parent.map(ProcessId);
            self.send(process, EventKind::Started { parent });
        }
    }

    pub(super) fn tell_ended(&mut self) {
        let ended = self.tasks.ended();
        if !ended.is_empty() {
            // What they did comes before their end.
            self.catch_up();
            self.confirm(Over::Unknown);
        }
        for ended in ended {
            self.tell_end(ended);
        }
    }

    pub(super) fn tell_end(&mut self, Ended { process, status }: Ended) {
        self.credentials_change.retain(|thread| *thread != process);
        self.folders.ended(process);
        let code = status
            .filter(|status| libc::WIFEXITED(*status))
            .map(|s| libc::WEXITSTATUS(s));
        let signal = status
            .filter(|status| libc::WIFSIGNALED(*status))
            .map(|s| libc::WTERMSIG(s));
        self.emit(process, EventKind::Exited { code, signal });
    }

    /// What the command inherited open: redirections made before it started.
    pub(super) fn tell_inherited(&mut self, task: &Task) {
        let folder = format!("/proc/{}/fd", task.thread);
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let number = entry.file_name();
            let file = rustix::fs::openat(
                CWD,
                entry.path(),
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
            );
            let Ok(file) = file else { continue };
            let Ok(status) = Looker::status(file.as_fd()) else {
                continue;
            };
            if !look::is_regular(&status) {
                continue;
            }
            let info = format!("/proc/{}/fdinfo/{}", task.thread, number.display());
            let flags = std::fs::read_to_string(info)
                .ok()
                .and_then(|info| descriptor_flags(&info));
            // The kernel writes O_LARGEFILE and its like as well; only these matter.
            let Some(flags) = flags.filter(|flags| flags & libc::O_CLOEXEC == 0) else {
                continue;
            };
            let state = self.looker.state(file.as_fd(), &status, task.process);
            let mode = flags & libc::O_ACCMODE;
            if flags & libc::O_PATH == 0 && mode != libc::O_WRONLY {
                self.touched(task.process, state.clone(), Access::OpenedRead);
            }
            if flags & libc::O_PATH == 0 && mode != libc::O_RDONLY {
                self.opened_for_writing(
                    task.process,
                    file.as_fd(),
                    &status,
                    &state,
                    mode == libc::O_RDWR,
                );
                self.touched(task.process, state.clone(), Access::OpenedWrite);
                if mode == libc::O_RDWR {
                    self.touched(task.process, state, Access::Mappable);
                }
            }
        }
    }

    /// Enters a file as it is before a write.
    pub(super) fn opened_for_writing(
        &mut self,
        process: u32,
        file: BorrowedFd<'_>,
        status: &Statx,
        state: &FileState,
        mappable: bool,
    ) {
        let found = self
            .writes
            .opened(&mut self.looker, process, file, status, state, mappable);
        self.tell_findings(found);
    }

    /// Looks whether earlier openers wrote a file, before its name changes.
    pub(super) fn compare_before_change(&mut self, entry: &Entry, status: &Statx, process: u32) {
        if !look::is_regular(status) {
            return;
        }
        let Ok(file) = entry.open(false) else { return };
        let id = self.looker.id(file.as_fd(), status);
        if self.writes.watches(id) {
            let state = self.looker.state(file.as_fd(), status, process);
            let found = self.writes.compare(id, file.as_fd(), &state);
            self.tell_findings(found);
        }
    }

    /// A file is about to lose a name, perhaps its last: what it holds is taken, where it was read
    /// just now, by whom or whatever in the job.
    pub(super) fn take_before_removal(&mut self, entry: &Entry, status: &Statx, process: u32) {
        if !look::is_regular(status) || status.stx_nlink > 1 {
            return;
        }
        let Ok(file) = entry.open(false) else { return };
        let id = self.looker.id(file.as_fd(), status);
        if self.later.was_just_read(id) {
            let state = self.looker.state(file.as_fd(), status, process);
            let looker = &mut self.looker;
            let found = self
                .writes
                .taken(looker, process, file.as_fd(), status, &state, true);
            self.tell_findings(found.into_iter().collect());
        }
    }

    pub(super) fn tell_findings(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Written(process, file) => {
                    self.touched(process, file, Access::InferredWrite);
                }
                Finding::Content(process, file, blake3) => {
                    self.emit(process, EventKind::Content { file, blake3 });
                }
                Finding::Unknown(path) => {
                    let path = RawString::new(path);
                    let detail = format!("whether {path} was written through a memory map");
                    self.gap(GapKind::Unhashed, &detail);
                }
            }
        }
    }

    pub(super) fn tell_effect(
        &mut self,
        Pending {
            process, effect, ..
        }: Pending,
    ) {
        if effect.moves_folders() {
            self.folders.forget();
        }
        let kind = match effect {
            Effect::Created { entry, mappable } => {
                let Ok(file) = entry.open(true) else { return };
                let Ok(status) = Looker::status(file.as_fd()) else {
                    return;
                };
                if look::is_regular(&status) {
                    let mut state = self.looker.state(file.as_fd(), &status, process);
                    let is_link =
                        |now: Statx| u32::from(now.stx_mode) & libc::S_IFMT == libc::S_IFLNK;
                    if !entry.status().is_ok_and(is_link)
                        && let Some((shown, quality)) = entry.shown
                    {
                        (state.path, state.quality) = (shown.into(), quality);
                    }
                    self.writes.mark_written(state.id);
                    state.size_bytes = 0;
                    self.touched(process, state.clone(), Access::Created);
                    if mappable {
                        self.touched(process, state, Access::Mappable);
                    }
                }
                return;
            }
            Effect::Named { to, file } => {
                let Ok(found) = to.open(false) else { return };
                let state = self.looker.state(found.as_fd(), &file, process);
                let state = FileState {
                    quality: PathQuality::Full,
                    ..state
                };
                let Some(path) = self.looker.entry_path(&to, process) else {
                    return;
                };
                let state = FileState {
                    path: path.into(),
                    ..state
                };
                self.writes.mark_written(state.id);
                self.touched(
                    process,
                    FileState {
                        size_bytes: 0,
                        ..state.clone()
                    },
                    Access::Created,
                );
                if state.size_bytes > 0 {
                    self.touched(process, state.clone(), Access::InferredWrite);
                }
                self.touched(process, state, Access::Mappable);
                return;
            }
            Effect::DirectoryMade(entry) => match self.looker.entry_path(&entry, process) {
                Some(path) => EventKind::DirectoryMade { path: path.into() },
                None => return,
            },
            Effect::Symlinked(entry, target) => match self.looker.entry_path(&entry, process) {
                Some(path) => EventKind::Symlinked {
                    path: path.into(),
                    target: target.into(),
                },
                None => return,
            },
            Effect::Renamed {
                to,
                from_path,
                to_path,
                moved,
                change,
                ..
            } => {
                if change != NameChange::Link {
                    let exchanged = change == NameChange::Exchange;
                    self.writes.renamed(&from_path, &to_path, exchanged);
                }
                let id = to
                    .open(false)
                    .ok()
                    .map(|file| self.looker.id(file.as_fd(), &moved));
                EventKind::Renamed {
                    from: from_path.into(),
                    to: to_path.into(),
                    change,
                    id,
                }
            }
            Effect::Removed { path, .. } => EventKind::Removed { path: path.into() },
        };
        self.emit(process, kind);
    }
}

/// The flags line of `/proc/PID/fdinfo/N`.
fn descriptor_flags(info: &str) -> Option<i32> {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8)
        .ok()
        .map(|flags| flags as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_flags_are_octal() {
        let info = "pos:\t0\nflags:\t02100002\nmnt_id:\t22\n";
        assert_eq!(
            descriptor_flags(info),
            Some(libc::O_RDWR | libc::O_CLOEXEC | 0o100_000)
        );
        assert_eq!(descriptor_flags("pos:\t0\n"), None);
    }
}
