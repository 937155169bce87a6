//! Where the time of a run goes: phases and moments, noted while roar works.
//!
//! Until someone asks for them, a phase is one look at a flag. `roar run --timings` shows them,
//! and `ROAR_TIMINGS=FILE` has them written as JSON: that is how `cargo xtask bench` tells the
//! cost of tracing from the cost of hashing.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;

use crate::clock;

/// A stretch of work on one thread. Times are those of [`clock::monotonic_ns`].
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What was done.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start_ns: u64,
    /// When it was over.
    pub end_ns: u64,
}

/// A moment of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// What happened.
    pub name: &'static str,
    /// When.
    pub at_ns: u64,
    /// Processor time that roar itself had used by then.
    pub processor_ns: u64,
    /// How much of it went into hashing beside the command.
    pub hashing_ns: u64,
}

/// The names of the moments.
pub mod moment {
    /// roar began.
    pub const BEGIN: &str = "begin";
    /// The command's process is about to be made.
    pub const LAUNCH: &str = "launch";
    /// The command has ended, and roar knows.
    pub const COMMAND_ENDED: &str = "command ended";
    /// The last event is known and the tracer gone.
    pub const TRACED: &str = "traced";
    /// The record is written.
    pub const RECORDED: &str = "recorded";
}

/// All that was noted up to now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timings {
    /// In the order in which they ended.
    pub phases: Vec<Phase>,
    /// In the order in which they came.
    pub moments: Vec<Moment>,
    /// The most memory that roar itself had in use, bytes; 0 when unknown.
    pub memory_bytes: u64,
}

static NOTED: OnceLock<Mutex<Timings>> = OnceLock::new();

/// Notes phases and moments from now on. `began_ns` is when roar began.
pub fn start(began_ns: u64) {
    let begin = Moment {
        name: moment::BEGIN,
        at_ns: began_ns,
        processor_ns: 0,
        hashing_ns: 0,
    };
    let _ = NOTED.set(Mutex::new(Timings {
        phases: Vec::new(),
        moments: vec![begin],
        memory_bytes: 0,
    }));
}

/// Opens a phase, which ends when the result is dropped.
#[must_use = "the phase ends when this is dropped"]
pub fn phase(name: impl Into<Cow<'static, str>>) -> Open {
    Open(NOTED.get().map(|_| Phase {
        name: name.into(),
        start_ns: clock::monotonic_ns(),
        end_ns: 0,
    }))
}

/// A phase that has not ended.
#[derive(Debug)]
pub struct Open(Option<Phase>);

impl Drop for Open {
    fn drop(&mut self) {
        if let (Some(mut phase), Some(noted)) = (self.0.take(), NOTED.get()) {
            phase.end_ns = clock::monotonic_ns();
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.phases.push(phase);
        }
    }
}

/// Notes that a moment has come.
pub fn moment(name: &'static str) {
    if let Some(noted) = NOTED.get() {
        let moment = Moment {
            name,
            at_ns: clock::monotonic_ns(),
            processor_ns: clock::processor_ns(),
            hashing_ns: thread_ns(HASHING_THREAD),
        };
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.moments.push(moment);
    }
}

/// What was noted; none when nobody asked.
pub fn noted() -> Option<Timings> {
    let noted = NOTED.get()?;
    let noted = noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Some(Timings {
        memory_bytes: peak_bytes().unwrap_or(0),
        ..noted
    })
}

/// The thread that hashes while the command runs.
const HASHING_THREAD: &str = "beside";

/// Processor time of this process's thread of that name, nanoseconds; 0 when there is none.
fn thread_ns(name: &str) -> u64 {
    let threads = std::fs::read_dir("/proc/self/task");
    let times = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let comm = std::fs::read_to_string(thread.path().join("comm")).ok()?;
            let schedstat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let time = schedstat.split(' ').next()?.parse::<u64>().ok()?;
            (comm.trim_end() == name).then_some(time)
        });
    times.sum()
}

/// The high-water mark of resident memory.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
