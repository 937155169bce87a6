//! The supervisor's judgement of each notification: look, let the call go on, tell.
//!
//! Reads are let go on as soon as path and directory are in hand; the file is looked at
//! while the program runs on. Every call that changes names or content waits for its turn
//! here, so that what was named before it is still there when it is looked at. Nothing on
//! this way may fail the program: whatever goes wrong is counted, and the call goes on.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, Statx};
use rustix::io::Errno;

use super::calls::{self, Abi, Call};
use super::folders::Folders;
use super::look::{self, Entry, Looker};
use super::memory::{Memory, Unread};
use super::pending::{Effect, Pending};
use super::programs::Programs;
use super::sys::{self, Answer, Notification};
use super::tasks::{Appeared, Ended, Task, Tasks};
use super::writes::{Finding, Writes};
use crate::event::{Access, EventKind, FileState, NameChange, PathQuality, ProcessId, TraceEvent};
use crate::model::{Gap, GapKind, LostEvents, RawString};

/// Takes events; false when it could not take one.
pub(super) type Sink = Box<dyn FnMut(TraceEvent) -> bool + Send>;

/// After this many notifications ended processes are looked for, so that a thread id that
/// comes up again is never taken for the old thread.
const ENDED_EVERY: u32 = 16;

/// What remains to be said at the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// What was missed.
    pub(super) gaps: Vec<Gap>,
    /// Events that the sink did not take.
    pub(super) lost: LostEvents,
    /// Remarks that are no gaps.
    pub(super) notes: Vec<String>,
}

/// The supervisor.
pub(super) struct Supervisor {
    listener: Arc<OwnedFd>,
    sink: Sink,
    pub(super) looker: Looker,
    pub(super) folders: Folders,
    pub(super) programs: Programs,
    tasks: Tasks,
    pub(super) writes: Writes,
    pending: Vec<Pending>,
    gaps: BTreeMap<(GapKind, String), u64>,
    lost: u64,
    refused_io_urings: u64,
    ids: Ids,
    /// Somebody changes roots or namespaces: no view of a root is kept.
    pub(super) roots_change: bool,
    /// Threads whose credentials may have changed.
    pub(super) credentials_change: Vec<u32>,
    root_seen: bool,
    until_ended: u32,
    /// The time of the notification at hand.
    pub(super) now_ns: u64,
    /// Processes that came into view with it.
    appeared: Vec<Appeared>,
}

/// A call in work.
pub(super) struct Work<'a> {
    /// Its notification.
    pub(super) notification: &'a Notification,
    /// Who made it.
    pub(super) task: Task,
    /// Its interface.
    pub(super) abi: Abi,
    /// The caller's memory.
    pub(super) memory: Memory,
    /// The caller was there when it was answered; none before that.
    answered: Option<bool>,
}

impl Supervisor {
    /// A supervisor that answers on `listener` and tells `sink`.
    pub(super) fn new(listener: Arc<OwnedFd>, sink: Sink) -> Result<Self, Errno> {
        Ok(Self {
            listener,
            sink,
            looker: Looker::new()?,
            folders: Folders::default(),
            programs: Programs::default(),
            tasks: Tasks::new()?,
            writes: Writes::default(),
            pending: Vec::new(),
            gaps: BTreeMap::new(),
            lost: 0,
            refused_io_urings: 0,
            ids: Ids::default(),
            roots_change: false,
            credentials_change: Vec::new(),
            root_seen: false,
            until_ended: ENDED_EVERY,
            now_ns: 0,
            appeared: Vec::new(),
        })
    }

    /// Whether name changes wait for their confirmation.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Handles one notification; the call goes on in any case.
    pub(super) fn handle(&mut self, notification: &Notification) {
        self.now_ns = sys::monotonic_ns();
        self.ids.saw(notification.id);
        let call = Abi::of_audit_arch(notification.arch).and_then(|abi| {
            Some((
                abi,
                calls::decode(abi, notification.number, &notification.args)?,
            ))
        });
        self.until_ended -= 1;
        if self.until_ended == 0 || matches!(call, Some((_, Call::Exec { .. }))) {
            self.until_ended = ENDED_EVERY;
            self.tell_ended();
        }
        let task = match notification.thread {
            0 => None,
            thread => self.tasks.get(thread, &mut self.appeared),
        };
        let (Some((abi, call)), Some(task)) = (call, task) else {
            if sys::answer(self.listener.as_fd(), notification.id, Answer::Continue).is_ok() {
                self.gap(
                    GapKind::UnresolvedPath,
                    "calls of processes that roar cannot look at",
                );
            }
            return;
        };
        let memory = Memory::of(task.thread);
        let mut work = Work {
            notification,
            task,
            abi,
            memory,
            answered: None,
        };
        self.bring_up_to_date(&mut work);
        if !self.root_seen {
            self.root_seen = true;
            self.tell_appeared();
            self.tell_inherited(&work.task);
        }
        if self.judge(&mut work, call) == Err(Unread::Refused) {
            self.gap(
                GapKind::UnresolvedPath,
                "calls of programs whose memory may not be read",
            );
        }
        self.release(&mut work);
        self.tell_appeared();
    }

    /// Lets the call go on; whether its caller was still there. Later calls change nothing.
    pub(super) fn release(&self, work: &mut Work<'_>) -> bool {
        let listener = self.listener.as_fd();
        *work.answered.get_or_insert_with(|| {
            sys::answer(listener, work.notification.id, Answer::Continue).is_ok()
        })
    }

    /// Lets the call fail.
    pub(super) fn refuse_io_uring(&mut self, work: &mut Work<'_>) {
        self.refused_io_urings += 1;
        let refusal = Answer::Fail(libc::ENOSYS);
        let there = sys::answer(self.listener.as_fd(), work.notification.id, refusal).is_ok();
        work.answered = Some(there);
    }

    fn bring_up_to_date(&mut self, work: &mut Work<'_>) {
        let thread = work.task.thread;
        let mut changed = false;
        self.folders.arrived(thread);
        if self.roots_change {
            self.folders.forget();
            self.tasks.refresh_root(thread);
            changed = true;
        }
        if self.credentials_change.contains(&thread) {
            self.credentials_change.retain(|other| *other != thread);
            self.tasks.refresh_credentials(thread);
            changed = true;
        }
        if changed && let Some(task) = self.tasks.get(thread, &mut self.appeared) {
            work.task = task;
        }
    }

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
        if !(self.sink)(event) {
            self.lost += 1;
        }
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
        *self.gaps.entry((kind, detail.to_owned())).or_default() += count;
    }

    fn tell_appeared(&mut self) {
        for Appeared { process, parent } in std::mem::take(&mut self.appeared) {
            let parent = parent.map(ProcessId);
            self.send(process, EventKind::Started { parent });
        }
    }

    fn tell_ended(&mut self) {
        let ended = self.tasks.ended();
        if !ended.is_empty() {
            // What they did comes before their end.
            self.confirm(Over::Unknown);
        }
        for ended in ended {
            self.tell_end(ended);
        }
    }

    fn tell_end(&mut self, Ended { process, status }: Ended) {
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
    fn tell_inherited(&mut self, task: &Task) {
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
                self.touched(task.process, state, Access::OpenedWrite);
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

    fn tell_findings(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Written(process, file) => {
                    self.touched(process, file, Access::InferredWrite);
                }
                Finding::Unknown(path) => {
                    let path = RawString::new(path);
                    let detail = format!("whether {path} was written through a memory map");
                    self.gap(GapKind::Unhashed, &detail);
                }
            }
        }
    }

    /// Remembers a change to be confirmed.
    pub(super) fn expect(&mut self, task: &Task, effect: Effect) {
        let Task {
            thread, process, ..
        } = *task;
        self.pending.push(Pending {
            thread,
            process,
            effect,
        });
    }

    /// Confirms what shows by now. Changes of `over`, whose call has ended, are given up if
    /// they do not show; none: those of every thread are.
    pub(super) fn confirm(&mut self, over: Over) {
        for pending in std::mem::take(&mut self.pending) {
            if pending.effect.is_done() {
                self.tell_effect(pending);
            } else if over != Over::All && over != Over::Thread(pending.thread) {
                self.pending.push(pending);
            }
        }
    }

    fn tell_effect(
        &mut self,
        Pending {
            process, effect, ..
        }: Pending,
    ) {
        if effect.moves_folders() {
            self.folders.forget();
        }
        let kind = match effect {
            Effect::Created(entry) => {
                let Ok(file) = entry.open(true) else { return };
                let Ok(status) = Looker::status(file.as_fd()) else {
                    return;
                };
                if look::is_regular(&status) {
                    let mut state = self.looker.state(file.as_fd(), &status, process);
                    self.writes.mark_written(state.id);
                    state.size_bytes = 0;
                    self.touched(process, state, Access::Created);
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
                    self.touched(process, state, Access::InferredWrite);
                }
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

    /// Ends the observation. `all_gone`: every process of the job has ended;
    /// `taken_elsewhere`: notifications that others received.
    pub(super) fn close(mut self, all_gone: bool, taken_elsewhere: u64) -> Closing {
        self.now_ns = sys::monotonic_ns();
        self.confirm(Over::All);
        let writes = std::mem::take(&mut self.writes);
        let found = writes.finish(&mut self.looker);
        self.tell_findings(found);
        let (ended, left) = self.tasks.close();
        for end in ended {
            self.tell_end(end);
        }
        for process in left {
            if all_gone {
                self.tell_end(Ended {
                    process,
                    status: None,
                });
            } else {
                self.gap(GapKind::LateProcess, "processes that outlived the command");
            }
        }
        let mut notes = Vec::new();
        if self.refused_io_urings > 0 {
            notes.push(format!(
                "io_uring was refused {} times (a program that cannot do without it needs the eBPF tracer)",
                self.refused_io_urings
            ));
        }
        let vanished = self.ids.missing().saturating_sub(taken_elsewhere);
        if vanished > 0 {
            notes.push(format!(
                "{vanished} calls were interrupted by signals before they could be looked at \
                 (a handler without SA_RESTART saw EINTR)"
            ));
        }
        let lost = (self.lost > 0).then(|| ("queue".to_owned(), self.lost));
        Closing {
            gaps: self
                .gaps
                .into_iter()
                .map(|((kind, detail), count)| Gap {
                    kind,
                    detail,
                    count,
                })
                .collect(),
            lost: lost.into_iter().collect(),
            notes,
        }
    }
}

/// The kernel numbers a listener's notifications one by one. A number that was never
/// received belongs to a call that a signal interrupted, or whose process was killed,
/// before its turn came.
#[derive(Clone, Copy, Debug, Default)]
struct Ids {
    first: Option<u64>,
    last: u64,
    seen: u64,
}

impl Ids {
    fn saw(&mut self, id: u64) {
        let first = *self.first.get_or_insert(id);
        // Numbers start anywhere and may wrap.
        self.last = self.last.max(id.wrapping_sub(first));
        self.seen += 1;
    }

    fn missing(&self) -> u64 {
        self.first
            .map_or(0, |_| (self.last + 1).saturating_sub(self.seen))
    }
}

/// Whose calls are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nobody's for certain.
    Unknown,
    /// This thread's.
    Thread(u32),
    /// Everybody's.
    All,
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
    fn numbers_that_never_came_are_counted() {
        let cases: [(&[u64], u64); 5] = [
            (&[], 0),
            (&[7], 0),
            (&[7, 8, 9], 0),
            (&[7, 9, 12], 3),
            (&[u64::MAX, 1], 1),
        ];
        for (seen, expected) in cases {
            let mut ids = Ids::default();
            for id in seen {
                ids.saw(*id);
            }
            assert_eq!(ids.missing(), expected, "{seen:?}");
        }
    }

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
