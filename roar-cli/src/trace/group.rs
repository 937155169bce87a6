//! The process group that roar shares with its command: which signals roar passes on, and how
//! it stops and continues as the command does.
//!
//! A shell sees roar alone, and goes by whether roar is stopped. So signals that stop are not
//! roar's to obey: it stops when its command has stopped, by the same signal. A command that
//! takes no notice keeps roar running, as it would the shell's job without roar.

use std::process::Child;

use rustix::process::{Pid, WaitId, WaitIdOptions, getpgid, getpgrp, getpid, getsid, waitid};

use super::sys::{self, Arrived, SignalSet, Witness};

/// Signals that ask a program to end.
const ENDING: [libc::c_int; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];

/// Signals by which terminals and shells stop a job.
const STOPPING: [libc::c_int; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The signals that roar takes while a command runs.
pub(super) fn taken() -> SignalSet {
    SignalSet::of(&[
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGWINCH,
        libc::SIGCHLD,
    ])
}

/// Those of them that wait, blocked, when no command runs: what roar does then is to be finished.
pub(super) fn ending() -> SignalSet {
    SignalSet::of(&ENDING)
}

/// Those that are nobody's business when no command runs: a key may stop roar then.
pub(super) fn of_jobs() -> SignalSet {
    SignalSet::of(&[
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGWINCH,
        libc::SIGCHLD,
    ])
}

/// Roar's process group, with the command in it.
pub(super) struct Group {
    command: Pid,
    witness: Option<Witness>,
}

impl Group {
    pub(super) fn around(command: &Child) -> Self {
        Self {
            command: Pid::from_child(command),
            // Without one, every signal is passed on: twice is better than never.
            witness: Witness::start().ok(),
        }
    }

    /// Deals with a signal that roar got while its command lived. Returns whether it asked to end.
    pub(super) fn take(&mut self, arrived: Arrived) -> bool {
        if arrived.signal == libc::SIGCHLD {
            self.stop_as_the_command_did();
        } else if !self.has(arrived) {
            sys::send_signal(self.command, arrived.signal);
        }
        ENDING.contains(&arrived.signal)
    }

    /// Whether a signal that roar got has reached the command, too.
    fn has(&mut self, arrived: Arrived) -> bool {
        if arrived.from_kernel {
            // A terminal's keys go to its foreground group. Its hang-up goes to the leader of the
            // session, whose place roar may have taken.
            let is_hangup = matches!(arrived.signal, libc::SIGHUP | libc::SIGCONT);
            return !(is_hangup && getsid(None).is_ok_and(|leader| leader == getpid()));
        }
        let Some(witness) = &self.witness else {
            return false;
        };
        if !witness.saw(arrived.signal) {
            return false;
        }
        // What it has seen stays pending: the next signal needs a new one.
        self.witness = Witness::start().ok();
        // A command that made a group of its own (a shell with job control) was not meant.
        getpgid(Some(self.command)).is_ok_and(|group| group == getpgrp())
    }

    /// Stops roar, if that is what happened to the command.
    fn stop_as_the_command_did(&self) {
        let Some(signal) = self.stopped_by() else {
            return;
        };
        // Who stops a command by SIGSTOP outside of a terminal's job control (a batch system)
        // continues just that, and would leave roar stopped.
        if STOPPING.contains(&signal) || sys::is_in_foreground(getpgrp(), self.command) {
            sys::stop(signal, || self.continued());
        }
    }

    /// The signal that has stopped the command, told once each time.
    fn stopped_by(&self) -> Option<libc::c_int> {
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(self.command), stopped).ok()??;
        status.stopping_signal()
    }

    /// Whether the command runs again.
    fn continued(&self) -> bool {
        let continued = WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.command), continued).is_ok_and(|status| status.is_some())
    }
}
