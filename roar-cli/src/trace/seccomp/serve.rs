//! The supervisor's loop, and its stand-in.
//!
//! The loop waits for notifications inside of the receiving call itself, which saves a system
//! call for each. Nothing but a notification or a signal ends that call: the stand-in, a second
//! thread, sends the signal when the job has ended, when roar has had enough, and when the
//! supervisor should tidy up. And it answers in the supervisor's place while that hangs in a
//! file system, which the traced processes themselves may serve.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::supervisor::Supervisor;
use super::sys::{self, Answer, Notification, Slots};

/// A notification that takes longer than this is answered by the stand-in.
const PATIENCE: Duration = Duration::from_millis(250);
/// How soon a signal that came too early is sent again.
const AGAIN: Duration = Duration::from_millis(1);

/// What supervisor and stand-in know of each other.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Odd while the supervisor works on a notification; grows with each.
    step: AtomicU64,
    /// The thread of a supervisor that may be interrupted; 0: it must not wait in the kernel.
    thread: AtomicU32,
    /// The supervisor holds on to things that it should let go of when nothing happens.
    tidies: AtomicBool,
    /// The stand-in is at work, or about to be.
    standing_in: AtomicBool,
    /// Held by the stand-in at work.
    turn: Mutex<()>,
    /// Calls that went on unseen.
    unseen: AtomicU64,
    /// Notifications that the stand-in took.
    taken: AtomicU64,
}

impl Watch {
    /// The calling thread is the supervisor's, and there is a stand-in.
    pub(super) fn may_interrupt_me(&self) {
        if sys::let_interrupts_through().is_ok() {
            self.thread.store(sys::own_thread(), Ordering::SeqCst);
        }
    }

    /// Calls that went on unseen.
    pub(super) fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::SeqCst)
    }

    /// Notifications that the stand-in took.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

/// What the waiting supervisor woke up for.
enum Woken {
    Notified(Notification),
    /// A caller that is gone again, or a signal.
    ForNothing,
    Idle,
    AllGone,
    Stopped,
}

/// Serves notifications to the end; true when every process has ended.
pub(super) fn serve(
    supervisor: &mut Supervisor,
    listener: &OwnedFd,
    stop: &OwnedFd,
    slots: &Slots,
    watch: &Watch,
) -> bool {
    let may_wait_in_kernel = watch.thread.load(Ordering::SeqCst) != 0;
    let mut looks_around = true;
    let mut unseen = 0;
    loop {
        if watch.standing_in.load(Ordering::SeqCst) {
            drop(watch.turn.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let unseen_now = watch.unseen();
        if unseen != unseen_now {
            unseen = unseen_now;
            supervisor.was_absent();
        }
        let woken = if looks_around || supervisor.has_pending() || !may_wait_in_kernel {
            look_around(supervisor, listener, stop, slots)
        } else {
            watch.tidies.store(supervisor.tidies(), Ordering::SeqCst);
            match sys::receive(listener.as_fd(), slots, 0) {
                Ok(notification) => Woken::Notified(notification),
                Err(_) => Woken::ForNothing,
            }
        };
        watch.step.fetch_add(1, Ordering::SeqCst);
        match woken {
            Woken::Notified(notification) => {
                supervisor.handle(&notification);
                looks_around = false;
            }
            Woken::ForNothing => looks_around = true,
            Woken::Idle => {
                supervisor.idle();
                looks_around = false;
            }
            Woken::AllGone => return true,
            Woken::Stopped => return false,
        }
        watch.step.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits for whatever comes first.
fn look_around(
    supervisor: &Supervisor,
    listener: &OwnedFd,
    stop: &OwnedFd,
    slots: &Slots,
) -> Woken {
    let mut fds = [
        PollFd::new(listener, PollFlags::IN),
        PollFd::new(stop, PollFlags::IN),
    ];
    let patience = supervisor.patience_ns().map(|nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds as i64,
    });
    let polled = rustix::event::poll(&mut fds, patience.as_ref());
    let (ready, stopped) = (fds[0].revents(), !fds[1].revents().is_empty());
    match polled {
        Ok(0) => Woken::Idle,
        Err(rustix::io::Errno::INTR) => Woken::ForNothing,
        Err(_) => Woken::Stopped,
        Ok(_) if ready.contains(PollFlags::IN) => {
            // Failure: the caller was killed meanwhile, or a signal came.
            let received = sys::receive(listener.as_fd(), slots, 0);
            received.map_or(Woken::ForNothing, Woken::Notified)
        }
        Ok(_) if ready.intersects(PollFlags::HUP | PollFlags::ERR) => Woken::AllGone,
        Ok(_) if stopped => Woken::Stopped,
        Ok(_) => Woken::ForNothing,
    }
}

/// Watches over the supervisor: interrupts it when it should look around, and answers in its
/// place while it hangs in a file system. Ends with `ended`.
pub(super) fn stand_by(
    listener: &OwnedFd,
    stop: &OwnedFd,
    slots: &Slots,
    watch: &Watch,
    ended: &Receiver<()>,
) {
    let mut is_over = false;
    let mut last = (0, Instant::now());
    loop {
        let goes_on = if is_over {
            ended.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout)
        } else {
            is_over = sees_the_end(listener, stop);
            ended.try_recv() == Err(TryRecvError::Empty)
        };
        if !goes_on {
            return;
        }
        let step = watch.step.load(Ordering::SeqCst);
        if step != last.0 {
            last = (step, Instant::now());
        }
        let is_late = last.1.elapsed() >= PATIENCE;
        let waits = step.is_multiple_of(2);
        if waits && (is_over || is_late && watch.tidies.load(Ordering::SeqCst)) {
            sys::interrupt(watch.thread.load(Ordering::SeqCst));
        } else if !waits && is_late && !stand_in(listener, slots, watch, step, ended) {
            return;
        }
    }
}

/// Waits a while for the end of the job or of roar's interest in it.
fn sees_the_end(listener: &OwnedFd, stop: &OwnedFd) -> bool {
    let patience = Timespec {
        tv_sec: 0,
        tv_nsec: PATIENCE.as_nanos() as i64,
    };
    // Of the listener only the hang-up, which poll always tells.
    let mut fds = [
        PollFd::new(listener, PollFlags::empty()),
        PollFd::new(stop, PollFlags::IN),
    ];
    matches!(rustix::event::poll(&mut fds, Some(&patience)), Ok(1..))
}

/// Lets calls go on until the supervisor comes back; false when there is nothing more to do.
fn stand_in(
    listener: &OwnedFd,
    slots: &Slots,
    watch: &Watch,
    step: u64,
    ended: &Receiver<()>,
) -> bool {
    let soon = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    let turn = watch.turn.lock().unwrap_or_else(PoisonError::into_inner);
    watch.standing_in.store(true, Ordering::SeqCst);
    let mut goes_on = true;
    while goes_on && watch.step.load(Ordering::SeqCst) == step {
        // Its call was let go on already, or goes on now, unseen.
        let held = slots.held(0);
        if held != 0 && sys::answer(listener.as_fd(), held, Answer::Continue).is_ok() {
            watch.unseen.fetch_add(1, Ordering::SeqCst);
        }
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        let polled = rustix::event::poll(&mut fds, Some(&soon));
        if polled.is_ok() && fds[0].revents().contains(PollFlags::IN) {
            if let Ok(taken) = sys::receive(listener.as_fd(), slots, 1) {
                let _ = sys::answer(listener.as_fd(), taken.id, Answer::Continue);
                watch.taken.fetch_add(1, Ordering::SeqCst);
                watch.unseen.fetch_add(1, Ordering::SeqCst);
            }
        } else {
            let waited = ended.recv_timeout(Duration::from_millis(10));
            goes_on = waited == Err(RecvTimeoutError::Timeout);
        }
    }
    watch.standing_in.store(false, Ordering::SeqCst);
    drop(turn);
    goes_on
}
