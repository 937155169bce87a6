//! System calls of the supervisor: signals as a descriptor, child hooks.
#![expect(
    unsafe_code,
    reason = "signalfd, sigprocmask and prctl have no safe wrapper here"
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

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

    /// Makes this the mask of the thread. Async-signal-safe.
    pub(super) fn install(&self) -> io::Result<()> {
        // SAFETY: a valid set, no result wanted.
        let code = unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
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
pub(super) fn send_signal(process: u32, signal: libc::c_int) {
    // SAFETY: no memory is involved. A child that has ended is still ours until it is reaped.
    unsafe { libc::kill(process as libc::pid_t, signal) };
}
