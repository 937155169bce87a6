//! System calls of the supervisor: signals as a descriptor, child hooks.
#![expect(
    unsafe_code,
    reason = "signalfd, sigaction, fork, prctl and scheduling have no safe wrapper here"
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A `prctl` that the kernel does not know: only the eBPF programs see it.
pub(super) fn prctl_unknown(option: u32, first: u64, second: u64) {
    // SAFETY: an unknown option touches no memory; the answer is EINVAL.
    unsafe { libc::prctl(option as libc::c_int, first, second, 0, 0) };
}

/// Runs a hook in the forked child, right before it executes the command.
///
/// The hook must only make system calls: the child of a process with threads may not
/// allocate or lock.
pub(super) fn before_exec(
    command: &mut Command,
    hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the hooks of this crate make system calls only.
    unsafe { command.pre_exec(hook) };
}

/// Makes the event loop wait on a descriptor's readability.
pub(super) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open, and the same, as long as the AsyncFd owns it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(super) struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// The given signals.
    pub(super) fn of(signals: &[libc::c_int]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised above.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: an initialised set.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        Self(set)
    }

    /// All signals.
    fn all() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: initialised above.
        Self(unsafe { set.assume_init() })
    }

    /// Blocks these signals for this thread; returns the mask that was in force.
    pub(super) fn block(&self) -> io::Result<Self> {
        let mut old = MaybeUninit::uninit();
        // SAFETY: both point to sets.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const self.0, old.as_mut_ptr()) };
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: filled by the call.
        Ok(Self(unsafe { old.assume_init() }))
    }

    /// Whether a signal is in the set.
    pub(super) fn contains(&self, signal: libc::c_int) -> bool {
        // SAFETY: an initialised set; a number that is no signal is an error, which is not 1.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }

    /// Without those that are in the other set.
    pub(super) fn unless_in(mut self, other: &Self) -> Self {
        for signal in (1..=libc::SIGRTMAX()).filter(|signal| other.contains(*signal)) {
            // SAFETY: an initialised set.
            unsafe { libc::sigdelset(&raw mut self.0, signal) };
        }
        self
    }

    /// Lets these signals in again, for this thread.
    pub(super) fn unblock(&self) -> io::Result<()> {
        self.change(libc::SIG_UNBLOCK)
    }

    /// Makes this the mask of the thread. Async-signal-safe.
    pub(super) fn install(&self) -> io::Result<()> {
        self.change(libc::SIG_SETMASK)
    }

    fn change(&self, how: libc::c_int) -> io::Result<()> {
        // SAFETY: a valid set, no result wanted.
        let code = unsafe { libc::pthread_sigmask(how, &raw const self.0, std::ptr::null_mut()) };
        if code == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(code))
        }
    }

    /// A descriptor that reads these signals.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: a valid set.
        let fd = unsafe {
            libc::signalfd(
                -1,
                &raw const self.0,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Makes the calling thread one that takes only what nobody else wants of the machine, and that
/// no signal is delivered to. There is no way back for an ordinary user.
pub(super) fn step_back() {
    const IO_OF_A_THREAD: libc::c_int = 1;
    const IDLE_IO: libc::c_int = 3 << 13;
    // Each of these may fail, and then the next best holds.
    drop(SignalSet::all().block());
    // SAFETY: no memory is involved; 0 is this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    // SAFETY: no memory is involved; 0 is this thread.
    unsafe { libc::syscall(libc::SYS_ioprio_set, IO_OF_A_THREAD, 0, IDLE_IO) };
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: valid parameters; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

/// A signal as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) signal: libc::c_int,
    /// Sent by the kernel (a terminal): the whole foreground group has it.
    pub(super) from_kernel: bool,
}

/// Takes one signal from a descriptor of [`SignalSet::descriptor`]; none when there is none.
pub(super) fn next_signal(descriptor: &OwnedFd) -> Option<Arrived> {
    const SI_KERNEL: i32 = 0x80;
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let length = mem::size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer has the stated length.
    let count = unsafe { libc::read(descriptor.as_raw_fd(), info.as_mut_ptr().cast(), length) };
    if count != length as isize {
        return None;
    }
    // SAFETY: filled by the call.
    let info = unsafe { info.assume_init() };
    Some(Arrived {
        signal: info.ssi_signo as libc::c_int,
        from_kernel: info.ssi_code == SI_KERNEL,
    })
}

/// Sends a signal to a process that is our unreaped child.
pub(super) fn send_signal(process: Pid, signal: libc::c_int) {
    // SAFETY: no memory is involved. A child that has ended is still ours until it is reaped.
    unsafe { libc::kill(process.as_raw_nonzero().get(), signal) };
}

/// Stops this process by a signal that is blocked, until it is continued; not when `undone` says
/// that the reason is gone. A SIGCONT after that question takes the signal back.
pub(super) fn stop(signal: libc::c_int, undone: impl FnOnce() -> bool) {
    let set = SignalSet::of(&[signal]);
    if signal == libc::SIGSTOP {
        if !undone() {
            // SAFETY: no memory is involved.
            unsafe { libc::raise(signal) };
        }
        return;
    }
    // To this thread, so that it is taken right here.
    // SAFETY: no memory is involved.
    unsafe { libc::raise(signal) };
    if undone() {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both point to values; no information is wanted.
        unsafe { libc::sigtimedwait(&raw const set.0, std::ptr::null_mut(), &raw const now) };
        return;
    }
    // Failing, they leave the signal where it is: roar then runs on.
    let _ = set.unblock();
    let _ = set.block();
}

/// Whether this process's terminal, if it has one, listens to one of two groups: its own, or that
/// of a process.
pub(super) fn is_in_foreground(own: Pid, process: Pid) -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    let foreground = rustix::termios::tcgetpgrp(&terminal);
    foreground
        .is_ok_and(|group| group == own || rustix::process::getpgid(Some(process)) == Ok(group))
}

/// Whether SIGPIPE was ignored when roar was started: Rust's runtime ignores it in any case.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Which of the descriptors 0 to 2 were closed when roar was started: Rust's runtime opens
/// /dev/null in their places.
static WERE_CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Runs before the runtime does.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look_before_main;

extern "C" fn look_before_main() {
    PIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    for (descriptor, was_closed) in (0..).zip(&WERE_CLOSED) {
        // SAFETY: asks for a number, and changes nothing.
        let code = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        was_closed.store(code < 0, Ordering::Relaxed);
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action; the old one is written to its place.
    let code = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: filled by the call, and zeroed before.
    code == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn set_ignored(signal: libc::c_int, ignored: bool) {
    let disposition = if ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: no handler is installed.
    unsafe { libc::signal(signal, disposition) };
}

/// Makes the ends of children known to roar, even if whoever started it ignores theirs. Returns
/// what gives the command back what roar was started with: signals that are ignored, and
/// standard descriptors that are closed. Async-signal-safe.
pub(super) fn as_inherited() -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    let children_ignored = is_ignored(libc::SIGCHLD);
    if children_ignored {
        set_ignored(libc::SIGCHLD, false);
    }
    move || {
        set_ignored(libc::SIGPIPE, PIPE_WAS_IGNORED.load(Ordering::Relaxed));
        if children_ignored {
            set_ignored(libc::SIGCHLD, true);
        }
        for (descriptor, was_closed) in (0..).zip(&WERE_CLOSED) {
            if was_closed.load(Ordering::Relaxed) {
                // SAFETY: the command is about to replace this program.
                unsafe { libc::close(descriptor) };
            }
        }
        Ok(())
    }
}

/// Whether the kernel has close_range(2) (Linux 5.9). No descriptor has such a number.
fn has_close_range() -> bool {
    // SAFETY: no memory is involved, and no descriptor.
    unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0_u32) == 0 }
}

/// What a witness does. All signals are blocked.
extern "C" fn witness(_: *mut libc::c_void) -> libc::c_int {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    // It must hold nothing open: somebody may wait for the end of a pipe.
    // SAFETY: the descriptors are the witness's own, and nothing of it uses one.
    unsafe { libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0_u32) };
    loop {
        // Not pause(3), which notes in the thread's memory that it waits.
        // SAFETY: no memory is involved.
        unsafe { libc::syscall(libc::SYS_ppoll, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
    }
}

/// A process of roar's process group that blocks every signal: what is pending there was sent
/// to the whole group, and not to roar alone. The kernel signals the youngest of a group first.
pub(super) struct Witness {
    process: libc::pid_t,
    /// Where it does not have one of its own.
    _stack: Option<Box<[MaybeUninit<u128>]>>,
}

impl Witness {
    /// Makes it. It lives until it is dropped, or roar is killed.
    pub(super) fn start() -> io::Result<Self> {
        let mask = SignalSet::all().block()?;
        let (process, stack) = if has_close_range() {
            // It shares roar's memory: a copy takes half a millisecond, and until its end each
            // page that roar writes to is copied, too.
            let mut stack = Box::<[u128]>::new_uninit_slice(512);
            let top = stack.as_mut_ptr_range().end;
            let flags = libc::CLONE_VM | libc::SIGCHLD;
            // SAFETY: a stack of its own, which stays until it is gone; the child makes system calls
            // that succeed, so that it does not write to `errno`, which this thread has, too.
            let process = unsafe { libc::clone(witness, top.cast(), flags, std::ptr::null_mut()) };
            (process, Some(stack))
        } else {
            // SAFETY: the child makes system calls only, and never returns.
            let process = unsafe { libc::fork() };
            if process == 0 {
                witness(std::ptr::null_mut());
            }
            (process, None)
        };
        let failed = (process < 0).then(io::Error::last_os_error);
        mask.install()?;
        failed.map_or_else(
            || {
                Ok(Self {
                    process,
                    _stack: stack,
                })
            },
            Err,
        )
    }

    /// Whether a signal was sent to the group since this witness came.
    pub(super) fn saw(&self, signal: libc::c_int) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process));
        let pending = status.ok().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
            u64::from_str_radix(line?.trim(), 16).ok()
        });
        pending.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // SAFETY: an unreaped child of ours.
        unsafe { libc::kill(self.process, libc::SIGKILL) };
        // SAFETY: no status is wanted.
        unsafe { libc::waitpid(self.process, std::ptr::null_mut(), 0) };
    }
}
