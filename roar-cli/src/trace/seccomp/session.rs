//! One traced command: the filter in the child, the supervisor's thread, its stand-in, the
//! guard, and the end.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::closing::Closing;
use super::filter;
use super::guard::Guard;
use super::probe::Features;
use super::serve::{Watch, serve, stand_by};
use super::supervisor::{Sink, Supervisor};
use super::sys::{self, Slots};
use crate::event::TraceEvent;
use crate::model::{Gap, GapKind, LostEvents};
use crate::trace::descriptors;

/// How long the end waits for a supervisor that hangs in a file system.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Tracing could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}")]
pub struct StartError {
    operation: &'static str,
    source: io::Error,
}

impl StartError {
    fn during<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self {
            operation,
            source: source.into(),
        }
    }
}

/// What is to be said after the end of a traced command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was missed. The events carry no gaps: these are all of them.
    pub gaps: Vec<Gap>,
    /// Events that the receiver did not take.
    pub lost: LostEvents,
    /// Remarks that take nothing from the record's completeness.
    pub notes: Vec<String>,
}

/// Everything a command needs to be traced; nothing runs yet.
#[derive(Debug)]
pub struct Prepared {
    filter: Arc<[libc::sock_filter]>,
    features: Features,
    ours: OwnedFd,
    childs: OwnedFd,
}

/// Prepares the tracing of one command.
///
/// # Errors
/// No more descriptors.
pub fn prepare(features: Features) -> Result<Prepared, StartError> {
    let (ours, childs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(StartError::during("make a socket pair"))?;
    Ok(Prepared {
        filter: filter::assemble().into(),
        features,
        ours,
        childs,
    })
}

impl Prepared {
    /// Whether signals leave a call alone while it is looked at.
    pub fn is_undisturbed(&self) -> bool {
        self.features.wait_killable
    }

    /// What the forked child has to run last before its exec
    /// (`std::os::unix::process::CommandExt::pre_exec`). Safe after a fork: it takes no lock
    /// and no memory. It leaves stdin, stdout, stderr, terminal, process group, signals and
    /// environment as they are, and no descriptor of roar's stays open in the command.
    ///
    /// Every call that is watched waits for the supervisor from then on: start the
    /// session BEFORE the command is spawned.
    pub fn child_hook(&self) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
        let filter = Arc::clone(&self.filter);
        let (roars, socket): (RawFd, RawFd) = (self.ours.as_raw_fd(), self.childs.as_raw_fd());
        let features = self.features;
        move || {
            // With a copy of roar's end the child would keep its own listener alive, and wait
            // for ever for a roar that was killed before it took it.
            sys::close_copy(roars);
            enter(&filter, features, socket)
        }
    }

    /// Starts the supervisor. It waits for the child's listener, then sends what it sees to
    /// `sink`, in a thread of its own. The sink should not block for long: the next call of
    /// the command waits meanwhile. It returns false for an event that it could not take;
    /// such events are counted.
    ///
    /// # Errors
    /// No more threads, memory or descriptors, or no `/proc`.
    pub fn start(
        self,
        sink: impl FnMut(TraceEvent) -> bool + Send + 'static,
    ) -> Result<Session, StartError> {
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(StartError::during("make an event descriptor"))?;
        let stop = Arc::new(stop);
        let slots = Slots::new().map_err(StartError::during("map shared memory"))?;
        let watch = Arc::new(Watch::default());
        let (done, finished) = channel();
        let run = Run {
            socket: self.ours,
            stop: Arc::clone(&stop),
            slots: Arc::new(slots),
            watch,
            sink: Box::new(sink),
            done,
            is_interruptible: !self.features.wait_killable,
        };
        thread::Builder::new()
            .name("roar-seccomp".to_owned())
            .spawn(move || run.supervise())
            .map_err(StartError::during("start a thread"))?;
        Ok(Session {
            stop,
            finished,
            childs: self.childs,
        })
    }
}

/// Runs in the forked child.
fn enter(filter: &[libc::sock_filter], features: Features, socket: RawFd) -> io::Result<()> {
    let flags = if features.wait_killable {
        sys::WAIT_KILLABLE_RECV
    } else {
        0
    };
    let listener = match sys::install_filter(filter, flags) {
        // Without CAP_SYS_ADMIN a filter may only be had by giving up set-user-ID programs.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            sys::set_no_new_privileges()?;
            sys::install_filter(filter, flags)?
        }
        result => result?,
    };
    sys::send_descriptor(socket, listener.as_fd())
}

/// A running observation.
pub struct Session {
    stop: Arc<OwnedFd>,
    finished: Receiver<Closing>,
    childs: OwnedFd,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Ends the observation, after the command has ended and was waited for (or could not be
    /// started). Processes of the job that are still there are waited for, up to
    /// `late_patience`; after that they run on unobserved, and the summary says so.
    pub fn finish(self, late_patience: Duration) -> Summary {
        // The supervisor learns from the end of the socket that no listener will come.
        drop(self.childs);
        let mut closing = self.finished.recv_timeout(late_patience);
        if matches!(closing, Err(RecvTimeoutError::Timeout)) {
            let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
            closing = self.finished.recv_timeout(CLOSE_PATIENCE);
        }
        match closing {
            Ok(Closing { gaps, lost, notes }) => Summary { gaps, lost, notes },
            Err(reason) => {
                let detail = match reason {
                    RecvTimeoutError::Timeout => "a file system did not answer at the end",
                    RecvTimeoutError::Disconnected => "the supervisor failed",
                };
                let gap = Gap {
                    kind: GapKind::ObserverLost,
                    detail: detail.to_owned(),
                    count: 1,
                };
                Summary {
                    gaps: vec![gap],
                    ..Summary::default()
                }
            }
        }
    }
}

/// What the supervisor's thread needs.
struct Run {
    socket: OwnedFd,
    stop: Arc<OwnedFd>,
    slots: Arc<Slots>,
    watch: Arc<Watch>,
    sink: Sink,
    done: Sender<Closing>,
    is_interruptible: bool,
}

impl Run {
    fn supervise(self) {
        let Self {
            socket,
            stop,
            slots,
            watch,
            sink,
            done,
            is_interruptible,
        } = self;
        let Some(listener) = receive_listener(&socket, &stop) else {
            let _ = done.send(Closing::default());
            return;
        };
        drop(socket);
        // Before anything can fail: a dropped guard takes over.
        let guard = Guard::start(&listener, &slots);
        let listener = Arc::new(listener);
        let (_ending, ended) = channel::<()>();
        let stand_in = {
            let (listener, stop) = (Arc::clone(&listener), Arc::clone(&stop));
            let (slots, watch) = (Arc::clone(&slots), Arc::clone(&watch));
            thread::Builder::new()
                .name("roar-seccomp-watch".to_owned())
                .spawn(move || stand_by(&listener, &stop, &slots, &watch, &ended))
        };
        if stand_in.is_ok() {
            watch.may_interrupt_me();
        }
        let supervisor = Supervisor::new(Arc::clone(&listener), sink, is_interruptible);
        let Ok(mut supervisor) = supervisor else {
            return;
        };
        if guard.is_err() || stand_in.is_err() {
            let detail = "the guard against the end of roar could not be started";
            supervisor.gap(GapKind::ObserverLost, detail);
        }
        let all_gone = serve(&mut supervisor, &listener, &stop, &slots, &watch);
        match guard {
            Ok(guard) if all_gone => guard.dismiss(),
            Ok(guard) => guard.leave(),
            Err(_) => {}
        }
        let (taken, unseen) = (watch.taken(), watch.unseen());
        if unseen > 0 {
            let detail = "calls that could not wait for a file system that did not answer";
            supervisor.gaps_of(GapKind::UnresolvedPath, detail, unseen);
        }
        let _ = done.send(supervisor.close(all_gone, taken));
    }
}

/// Waits for the child's listener; none when it will not come.
fn receive_listener(socket: &OwnedFd, stop: &OwnedFd) -> Option<OwnedFd> {
    loop {
        let mut fds = [
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        }
        if fds[0].revents().is_empty() {
            return None;
        }
        return take_descriptor(socket);
    }
}

/// Takes one descriptor from a socket.
pub(super) fn take_descriptor(socket: &OwnedFd) -> Option<OwnedFd> {
    let (_, descriptors) = descriptors::receive(socket.as_fd(), &mut [0]).ok()?;
    descriptors.into_iter().next()
}
