//! Starting the command under a tracer and waiting for it, without disturbing it.
//!
//! The command stays in roar's process group and on its terminal: keys that send signals
//! reach it directly, and roar stops when its command does. roar takes signals through a
//! descriptor, so none of them ends it before the record is written; a signal that was sent
//! to roar alone, and not to the whole group, is passed on.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::ebpf::EbpfTracer;
use super::group::{self, Group};
use super::seccomp;
use super::sys::{self, SignalSet};
use super::{LaunchError, Summary, Tracer};
use crate::event::{EventKind, TraceEvent};
use crate::model::{Gap, GapKind};
use crate::timings::{self, moment};

/// How often the events are fetched while the ring is far from full.
const TICK: Duration = Duration::from_millis(50);

/// How long processes that outlive the command are waited for.
const LATE_GRACE: Duration = Duration::from_millis(300);

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Variables to set in addition to the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder to start it in; roar's own when none.
    pub folder: Option<PathBuf>,
}

/// How it went.
#[derive(Debug)]
pub struct Finished {
    /// The command's status.
    pub status: ExitStatus,
    /// Whether a signal asked the command or roar to end.
    pub interrupted: bool,
    /// When the command was started and when it ended (monotonic).
    pub duration: Duration,
    /// What the tracer lost.
    pub summary: Summary,
}

/// The signal mask that roar was started with, which is every command's: the signals that are
/// blocked for the first command stay blocked until roar ends.
static ORIGINAL_MASK: OnceLock<SignalSet> = OnceLock::new();

/// Whether a signal asked roar to end while no command was running; such signals wait, blocked,
/// from the first command on. They are taken, and the answer stays.
pub fn asked_to_end() -> bool {
    static ASKED: AtomicBool = AtomicBool::new(false);
    if ASKED.load(Ordering::Relaxed) {
        return true;
    }
    let asked = ORIGINAL_MASK.get().is_some()
        && group::ending()
            .descriptor()
            .is_ok_and(|arrivals| std::iter::from_fn(|| sys::next_signal(&arrivals)).count() > 0);
    ASKED.fetch_or(asked, Ordering::Relaxed) || asked
}

/// Makes the calling thread one that leaves the machine to everybody else: the idle scheduling
/// class, idle disk priority, no signals. For work beside a command that it must not notice.
pub fn step_back() {
    sys::step_back();
}

/// Blocks the signals that are roar's own while a command runs: threads that are started from
/// now on, until it has run, inherit that. A signal to a thread that lets it in would stop or end
/// roar.
///
/// # Errors
/// The system refuses; it has no reason to.
pub fn hold_signals() -> io::Result<()> {
    let previous_mask = group::taken().block()?;
    ORIGINAL_MASK.get_or_init(|| previous_mask);
    Ok(())
}

/// The mask that the command gets.
fn original_mask() -> SignalSet {
    *ORIGINAL_MASK.get_or_init(|| SignalSet::of(&[]))
}

/// Runs the command to its end; every event goes to `sink`, in order. May be called again for
/// another command.
///
/// # Errors
/// The command could not be started. Once it runs, nothing fails: what goes wrong is counted
/// in the summary.
pub fn run(
    tracer: Tracer,
    launch: &Launch,
    sink: &mut dyn FnMut(TraceEvent),
) -> Result<Finished, LaunchError> {
    let failed = |operation| move |source| LaunchError::Failed { operation, source };
    hold_signals().map_err(failed("block signals"))?;
    let original_mask = original_mask();
    let arrivals = group::taken()
        .descriptor()
        .map_err(failed("watch signals"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed("start the event loop"))?;

    timings::moment(moment::LAUNCH);
    let started = Instant::now();
    let phase = timings::phase("fork and execute");
    let (mut tracer, mut child) = start(tracer, launch, original_mask)?;
    drop(phase);
    let phase = timings::phase("witness");
    let mut group = Group::around(&child);
    drop(phase);
    let end = end_of(&child).map_err(failed("watch the command"))?;

    let mut interrupted = false;
    let mut outlet = Outlet { sink, living: 0 };
    let waited = runtime.block_on(async {
        let ended = sys::watch(end)?;
        let ring = tracer.wake_descriptor()?.map(sys::watch).transpose()?;
        let signal = sys::watch(arrivals)?;
        let mut tick = tokio::time::interval(TICK);
        let mut take_signals = |child_lives: bool| {
            while let Some(arrived) = sys::next_signal(signal.get_ref()) {
                // What comes with the command's end is not passed on, but counts.
                interrupted |= if child_lives {
                    group.take(arrived)
                } else {
                    group::ending().contains(arrived.signal)
                };
            }
        };
        loop {
            tokio::select! {
                ready = ended.readable() => {
                    ready?.clear_ready();
                    // What ended the command may have come in the same moment.
                    take_signals(false);
                    break;
                }
                ready = signal.readable() => {
                    ready?.clear_ready();
                    take_signals(true);
                }
                ready = filled(ring.as_ref()) => {
                    ready?.clear_ready();
                    outlet.drain(&mut tracer);
                }
                _ = tick.tick() => outlet.drain(&mut tracer),
            }
        }
        Ok::<(), io::Error>(())
    });
    let status = child.wait().map_err(failed("wait for the command"))?;
    let duration = started.elapsed();
    timings::moment(moment::COMMAND_ENDED);
    group::of_jobs()
        .unless_in(&original_mask)
        .unblock()
        .map_err(failed("unblock signals"))?;
    let _phase = timings::phase("last events, detach");
    outlet.drain(&mut tracer);
    let mut summary = tracer.finish(&mut outlet);
    if let Err(error) = waited {
        summary.gaps.push(Gap {
            kind: GapKind::ObserverLost,
            detail: format!("the event loop failed while the command ran: {error}"),
            count: 1,
        });
    }
    Ok(Finished {
        status,
        interrupted,
        duration,
        summary,
    })
}

/// What becomes readable when the command has ended: a pidfd or, where a sandbox refuses
/// those, a pipe that closes.
fn end_of(child: &Child) -> io::Result<OwnedFd> {
    let pid = Pid::from_child(child);
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK) {
        return Ok(pidfd);
    }
    let (end, living) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    std::thread::Builder::new().spawn(move || {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), ended), Err(Errno::INTR)) {}
        drop(living);
    })?;
    Ok(end)
}

/// A tracer at work.
enum Running {
    Ebpf(Box<EbpfTracer>),
    Seccomp {
        session: seccomp::Session,
        events: Receiver<TraceEvent>,
    },
}

impl Running {
    /// What becomes readable when events should be fetched before the next tick.
    fn wake_descriptor(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Ebpf(tracer) => tracer.wake_descriptor().map(Some),
            Self::Seccomp { .. } => Ok(None),
        }
    }

    /// The last events, those of processes that end a little later included.
    fn finish(self, outlet: &mut Outlet<'_>) -> Summary {
        match self {
            Self::Ebpf(tracer) => {
                let mut running = Self::Ebpf(tracer);
                outlet.wait_for_the_late(&mut running);
                match running {
                    Self::Ebpf(tracer) => tracer.summary(),
                    Self::Seccomp { .. } => Summary::default(),
                }
            }
            Self::Seccomp { session, events } => {
                let seccomp::Summary {
                    mut gaps,
                    lost,
                    notes,
                } = session.finish(LATE_GRACE);
                for event in events.try_iter() {
                    (outlet.sink)(event);
                }
                gaps.dedup();
                Summary {
                    lost_events: lost,
                    gaps,
                    notes,
                }
            }
        }
    }
}

/// Waits for the ring to fill; for ever where there is none.
async fn filled(ring: Option<&AsyncFd<OwnedFd>>) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
    match ring {
        Some(ring) => ring.readable().await,
        None => std::future::pending().await,
    }
}

/// Forks, registers and executes; returns once the command's program has replaced the child.
fn start(
    tracer: Tracer,
    launch: &Launch,
    mask: SignalSet,
) -> Result<(Running, Child), LaunchError> {
    let Some((program, arguments)) = launch.argv.split_first() else {
        return Err(LaunchError::NotFound {
            program: OsString::new(),
        });
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(launch.environment.iter().map(|(k, v)| (k, v)));
    sys::before_exec(&mut command, sys::as_inherited());
    if let Some(folder) = &launch.folder {
        command.current_dir(folder);
    }
    sys::before_exec(&mut command, move || mask.install());
    let running = match tracer {
        Tracer::Ebpf(mut tracer) => {
            tracer
                .start_reading()
                .map_err(|source| LaunchError::Failed {
                    operation: "start the reader of the event ring",
                    source,
                })?;
            sys::before_exec(&mut command, tracer.registration());
            Running::Ebpf(tracer)
        }
        Tracer::Seccomp { prepared, .. } => {
            sys::before_exec(&mut command, prepared.child_hook());
            let (sender, events) = std::sync::mpsc::channel();
            // From here on the child's calls wait for the supervisor.
            let session = prepared
                .start(move |event| sender.send(event).is_ok())
                .map_err(|error| LaunchError::Failed {
                    operation: "start the seccomp tracer",
                    source: io::Error::other(error),
                })?;
            Running::Seccomp { session, events }
        }
    };
    spawn(&mut command, program, launch.folder.as_deref()).map(|child| (running, child))
}

fn spawn(
    command: &mut Command,
    program: &OsString,
    folder: Option<&Path>,
) -> Result<Child, LaunchError> {
    command.spawn().map_err(|source| {
        let program = program.clone();
        match source.kind() {
            // A script whose interpreter is missing fails like a missing program.
            // Folders of PATH that may not be searched make it a refusal.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                if found(&program, folder).is_none() =>
            {
                LaunchError::NotFound { program }
            }
            io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => LaunchError::Failed {
                operation: "fork",
                source,
            },
            _ => LaunchError::CannotExecute { program, source },
        }
    })
}

/// The file that a command name stands for in a folder.
fn found(program: &OsString, folder: Option<&Path>) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        let path = folder.unwrap_or(Path::new("")).join(path);
        return path.exists().then_some(path);
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(path))
        .find(|candidate| candidate.is_file())
}

/// Where events go, with a count of the processes that still live.
struct Outlet<'a> {
    sink: &'a mut dyn FnMut(TraceEvent),
    living: i64,
}

impl Outlet<'_> {
    fn drain(&mut self, tracer: &mut Running) {
        let mut take = |event: TraceEvent| {
            match event.kind {
                EventKind::Started { .. } => self.living += 1,
                EventKind::Exited { .. } => self.living -= 1,
                _ => {}
            }
            (self.sink)(event);
        };
        match tracer {
            Running::Ebpf(tracer) => tracer.drain(&mut take),
            Running::Seccomp { events, .. } => events.try_iter().for_each(take),
        }
    }

    /// Gives processes that outlive the command a moment to end; those that do not are a gap,
    /// which the fold states.
    fn wait_for_the_late(&mut self, tracer: &mut Running) {
        let since = Instant::now();
        let mut pause = Duration::from_micros(200);
        while self.living > 0 && since.elapsed() < LATE_GRACE {
            // Their end is a single record, which does not wake the reader: look again soon.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            self.drain(tracer);
        }
    }
}
