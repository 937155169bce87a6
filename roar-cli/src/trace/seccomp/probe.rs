//! Whether this back-end can run here, found out by doing: a child is put under the filter
//! and one `openat` of it is sent through. Versions say little: outer filters, sandboxes
//! and emulated kernels refuse what the kernel's version promises.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::calls::Abi;
use super::decode::{self, Call};
use super::filter;
use super::memory::Memory;
use super::session::take_descriptor;
use super::sys::{self, Answer, Slots};

/// What of the mechanism this kernel has beyond the necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Signals do not interrupt a call that is being looked at (Linux 5.19).
    pub wait_killable: bool,
}

/// Why this back-end cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// A listener watches this process already.
    #[error("this process is itself watched through seccomp (a `roar run` inside a `roar run`?)")]
    Nested,
    /// The system call or the notification is missing or forbidden.
    #[error("the kernel or sandbox refuses seccomp notifications ({0})")]
    Refused(String),
    /// CONTINUE is missing.
    #[error("the kernel cannot let a watched call go on (Linux 5.5 is needed): {0}")]
    NoContinue(String),
    /// Memory of the command may not be read.
    #[error("memory of a child process may not be read ({0})")]
    NoMemory(String),
    /// The test itself failed.
    #[error("could not find out: {0}")]
    Untested(String),
}

impl Unavailable {
    /// What would mend it, in one line.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Nested => {
                "the outer `roar run` records this command too; run it outside, or use `--tracer ebpf` inside"
            }
            Self::Refused(_) | Self::NoContinue(_) => {
                "let the eBPF tracer do it: `sudo roar setup` once, or `sudo roar run …` (in a container: \
                 `--cap-add BPF --cap-add PERFMON`; a sandbox like gVisor has neither: use another runtime, \
                 such as runc)"
            }
            Self::NoMemory(_) => {
                "allow process_vm_readv for child processes (`sysctl kernel.yama.ptrace_scope=1` or lower; in a container: `--cap-add SYS_PTRACE`)"
            }
            Self::Untested(_) => "try again, or use `sudo roar run …`",
        }
    }
}

/// How far the test's child came: its exit status.
const CHILD_FILTER: i32 = 10;
const CHILD_NESTED: i32 = 11;
const CHILD_SEND: i32 = 12;
const CHILD_OPEN: i32 = 13;
const CHILD_NOT_SUPPORTED: i32 = 14;

/// How long the test's child is waited for, milliseconds.
const PATIENCE_MS: i64 = 2000;

/// Finds out whether this back-end can run.
///
/// # Errors
/// It cannot; the error says what refused.
pub fn probe() -> Result<Features, Unavailable> {
    match attempt(true) {
        Err(Unavailable::Refused(_)) => attempt(false).map(|()| Features {
            wait_killable: false,
        }),
        result => result.map(|()| Features {
            wait_killable: true,
        }),
    }
}

fn untested(error: impl Into<io::Error>) -> Unavailable {
    Unavailable::Untested(error.into().to_string())
}

fn attempt(wait_killable: bool) -> Result<(), Unavailable> {
    let (ours, childs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(untested)?;
    let program = filter::assemble();
    let slots = Slots::new().map_err(untested)?;
    let child = sys::fork(|| {
        // See `Prepared::child_hook`.
        sys::close_copy(ours.as_raw_fd());
        child(&program, wait_killable, &childs)
    })
    .map_err(untested)?;
    drop(childs);
    let outcome = converse(&ours, &slots);
    if outcome.is_err() {
        sys::kill(child);
    }
    let status = sys::reap(child).map_err(untested)?;
    judge(status, outcome)
}

/// What the child's end and the conversation with it mean together.
fn judge(status: i32, outcome: Result<(), Unavailable>) -> Result<(), Unavailable> {
    let said = |text: &str| text.to_owned();
    if libc::WIFEXITED(status) {
        match libc::WEXITSTATUS(status) {
            0 => return outcome,
            CHILD_NESTED => return Err(Unavailable::Nested),
            CHILD_FILTER => {
                return Err(Unavailable::Refused(said(
                    "installing a filter is forbidden",
                )));
            }
            CHILD_NOT_SUPPORTED => {
                return Err(Unavailable::Refused(said(
                    "the filter or its listener is not supported",
                )));
            }
            CHILD_OPEN => return Err(Unavailable::NoContinue(said("the test's open failed"))),
            _ => {}
        }
    }
    outcome.and(Err(Unavailable::Untested(format!(
        "the test process ended with status {status:#x}"
    ))))
}

/// The test's child: runs after a fork, so it takes no lock and no memory.
fn child(program: &[libc::sock_filter], wait_killable: bool, socket: &OwnedFd) -> i32 {
    let flags = if wait_killable {
        sys::WAIT_KILLABLE_RECV
    } else {
        0
    };
    let mut installed = sys::install_filter(program, flags);
    if matches!(&installed, Err(error) if error.raw_os_error() == Some(libc::EACCES)) {
        if sys::set_no_new_privileges().is_err() {
            return CHILD_FILTER;
        }
        installed = sys::install_filter(program, flags);
    }
    let listener = match installed {
        Ok(listener) => listener,
        Err(error) => {
            return match error.raw_os_error() {
                Some(libc::EBUSY) => CHILD_NESTED,
                Some(libc::EINVAL | libc::ENOSYS) => CHILD_NOT_SUPPORTED,
                _ => CHILD_FILTER,
            };
        }
    };
    if sys::send_descriptor(socket.as_raw_fd(), listener.as_fd()).is_err() {
        return CHILD_SEND;
    }
    drop(listener);
    match rustix::fs::openat(CWD, c"/dev/null", OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => 0,
        Err(_) => CHILD_OPEN,
    }
}

/// roar's side of the test.
fn converse(socket: &OwnedFd, slots: &Slots) -> Result<(), Unavailable> {
    wait(socket)?;
    let listener = take_descriptor(socket)
        .ok_or_else(|| Unavailable::Untested("the test process sent no listener".to_owned()))?;
    wait(&listener)?;
    let taken = sys::receive(listener.as_fd(), slots, 0).map_err(untested)?;
    let decoded = Abi::of_audit_arch(taken.arch)
        .and_then(|abi| decode::decode(abi, taken.number, &taken.args));
    let path = match decoded {
        Some(Call::Open { at, .. }) => Memory::of(taken.thread).path(at.path),
        _ => {
            return Err(Unavailable::Untested(
                "an unexpected call was notified".to_owned(),
            ));
        }
    };
    sys::answer(listener.as_fd(), taken.id, Answer::Continue)
        .map_err(|error| Unavailable::NoContinue(error.to_string()))?;
    match path {
        Ok(path) if path == b"/dev/null" => Ok(()),
        Ok(_) => Err(Unavailable::NoMemory(
            "what was read is not what was there".to_owned(),
        )),
        Err(_) => Err(Unavailable::NoMemory(
            "process_vm_readv and /proc/PID/mem".to_owned(),
        )),
    }
}

fn wait(descriptor: &OwnedFd) -> Result<(), Unavailable> {
    let timeout = Timespec {
        tv_sec: PATIENCE_MS / 1000,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::new(descriptor, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(Unavailable::Untested("the test took too long".to_owned())),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(untested(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_childs_end_tells_what_refused() {
        let exited = |code: i32| code << 8;
        let refused = |text: &str| Err(Unavailable::Refused(text.to_owned()));
        let odd = Unavailable::Untested("odd".to_owned());
        let memory = Err(Unavailable::NoMemory("x".to_owned()));
        let cases = [
            (exited(0), Ok(()), Ok(())),
            (exited(0), memory.clone(), memory),
            (
                exited(CHILD_NESTED),
                Err(odd.clone()),
                Err(Unavailable::Nested),
            ),
            (
                exited(CHILD_FILTER),
                Err(odd.clone()),
                refused("installing a filter is forbidden"),
            ),
            (libc::SIGKILL, Err(odd.clone()), Err(odd)),
        ];
        for (status, outcome, expected) in cases {
            assert_eq!(judge(status, outcome), expected, "{status:#x}");
        }
    }
}
