//! The supervisor's judgement of each notification: look, let the call go on, tell.
//!
//! Of files that are read the first few are looked at before their calls go on; where many follow,
//! or the file system may keep roar waiting, that is done while the program runs on. Every call
//! that changes names or content waits for its turn here, so that what was named before it is still there when it is looked at. Nothing on
//! this way may fail the program: whatever goes wrong is counted, and the call goes on.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::calls::Abi;
use super::closing::Counts;
use super::decode::{self, Call};
use super::folders::{Folders, TRUST_NS};
use super::later::Later;
use super::load::Load;
use super::look::{self, Looker};
use super::memory::{Memory, Unread};
use super::pending::{Effect, Pending};
use super::programs::Programs;
use super::sys::{self, Answer, Notification};
use super::tasks::{Appeared, Task, Tasks};
use super::turns::Turns;
use super::writes::Writes;
use crate::event::TraceEvent;
use crate::model::GapKind;

/// Takes events; false when it could not take one.
pub(super) type Sink = Box<dyn FnMut(TraceEvent) -> bool + Send>;

/// After this many notifications ended processes are looked for, so that a thread id that
/// comes up again is never taken for the old thread.
const ENDED_EVERY: u32 = 16;
/// How soon unconfirmed changes are looked at again while nothing else happens, nanoseconds.
const CONFIRM_AFTER_NS: u64 = 5_000_000;

/// The supervisor.
pub(super) struct Supervisor {
    listener: Arc<OwnedFd>,
    pub(super) later: Later,
    pub(super) looker: Looker,
    pub(super) folders: Folders,
    pub(super) programs: Programs,
    pub(super) tasks: Tasks,
    pub(super) writes: Writes,
    pending: Vec<Pending>,
    pub(super) turns: Turns,
    load: Load,
    pub(super) counts: Counts,
    /// Somebody changes roots or namespaces: no view of a root is kept.
    pub(super) roots_change: bool,
    /// Threads whose credentials may have changed.
    pub(super) credentials_change: Vec<u32>,
    /// See [`look::follows_inside_roots`].
    follows_inside_roots: bool,
    root_seen: bool,
    until_ended: u32,
    /// The time of the notification at hand.
    pub(super) now_ns: u64,
    /// Processes that came into view with it.
    pub(super) appeared: Vec<Appeared>,
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
    pub(super) fn new(
        listener: Arc<OwnedFd>,
        sink: Sink,
        is_interruptible: bool,
    ) -> Result<Self, Errno> {
        Ok(Self {
            listener,
            later: Later::new(sink),
            looker: Looker::new()?,
            folders: Folders::default(),
            programs: Programs::default(),
            tasks: Tasks::new()?,
            writes: Writes::default(),
            pending: Vec::new(),
            turns: Turns::default(),
            load: Load::new(),
            counts: Counts {
                is_interruptible,
                ..Counts::default()
            },
            roots_change: false,
            credentials_change: Vec::new(),
            follows_inside_roots: look::follows_inside_roots(),
            root_seen: false,
            until_ended: ENDED_EVERY,
            now_ns: 0,
            appeared: Vec::new(),
        })
    }

    /// How long to wait for the next notification before [`Self::idle`] is due, nanoseconds;
    /// none: for ever.
    pub(super) fn patience_ns(&self) -> Option<u64> {
        if !self.pending.is_empty() {
            Some(CONFIRM_AFTER_NS)
        } else if !self.folders.is_empty() {
            Some(TRUST_NS)
        } else {
            None
        }
    }

    /// Whether name changes wait for their confirmation.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there is something to let go of when nothing happens for a while.
    pub(super) fn tidies(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Nothing came for a while.
    pub(super) fn idle(&mut self) {
        self.now_ns = sys::monotonic_ns();
        self.folders.expire(self.now_ns);
        self.catch_up();
        self.confirm(Over::Unknown);
    }

    /// Somebody else let calls go on: whatever they changed is not known.
    pub(super) fn was_absent(&mut self) {
        self.folders.forget();
        self.roots_change = true;
    }

    /// Handles one notification; the call goes on in any case.
    pub(super) fn handle(&mut self, notification: &Notification) {
        self.now_ns = sys::monotonic_ns();
        self.counts.ids.saw(notification.id);
        let load = &self.load;
        if let Some(gathers) = self.turns.enter(notification.thread, || load.is_full()) {
            sys::prefer_same_cpu(self.listener.as_fd(), gathers);
        }
        let call = Abi::of_audit_arch(notification.arch).and_then(|abi| {
            Some((
                abi,
                decode::decode(abi, notification.number, &notification.args)?,
            ))
        });
        self.until_ended -= 1;
        let is_exec = matches!(call, Some((_, Call::Exec { .. })));
        // A thread that was not seen before cannot be taken for one that ended.
        if self.until_ended == 0 || is_exec && self.tasks.knows(notification.thread) {
            self.until_ended = ENDED_EVERY;
            self.tell_ended();
            self.folders.expire(self.now_ns);
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
        if work.task.foreign_root && !self.follows_inside_roots {
            self.gap(
                GapKind::Namespace,
                "calls of processes with another root, which cannot be followed without openat2",
            );
        }
        if self.judge(&mut work, call) == Err(Unread::Refused) {
            self.gap(
                GapKind::UnresolvedPath,
                "calls of programs whose memory may not be read",
            );
        }
        self.release(&mut work);
        self.tasks.watch_new();
        self.tell_appeared();
    }

    /// Lets the call go on; whether its caller was still there. Later calls change nothing.
    pub(super) fn release(&mut self, work: &mut Work<'_>) -> bool {
        if let Some(answered) = work.answered {
            return answered;
        }
        let id = work.notification.id;
        let there = sys::answer(self.listener.as_fd(), id, Answer::Continue).is_ok();
        self.counts.left += u64::from(!there);
        work.answered = Some(there);
        there
    }

    /// Lets the call fail.
    pub(super) fn refuse_io_uring(&mut self, work: &mut Work<'_>) {
        self.counts.refused_io_urings += 1;
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

    /// While a folder or link may be on the move no earlier look-up is trusted.
    pub(super) fn settle_folders(&mut self, thread: u32) {
        if self.pending.iter().any(|p| p.effect.moves_folders()) {
            self.confirm(Over::Thread(thread));
            self.folders.forget();
        }
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
