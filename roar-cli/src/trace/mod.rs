//! Tracers: how the accesses of a process tree are observed.
//!
//! A tracer sees to it that the command is observed from its first instruction, hands over
//! [`TraceEvent`](crate::event::TraceEvent)s in order, and says what it lost. It knows nothing of artifacts, hashes or
//! the database.

pub mod replay;

#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
pub mod ebpf;
#[cfg(target_os = "linux")]
mod group;
#[cfg(target_os = "linux")]
pub mod seccomp;
#[cfg(target_os = "linux")]
mod supervise;
#[cfg(target_os = "linux")]
mod sys;

mod select;

use std::ffi::OsString;
use std::io;

#[cfg(target_os = "linux")]
pub use ebpf::KernelLog;
pub use select::{NoTracer, Tracer, Wanted};

#[cfg(target_os = "linux")]
pub use supervise::{Finished, Launch, asked_to_end, hold_signals, run, step_back};

use crate::model::{Gap, LostEvents};

/// An error and everything behind it, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

/// What a tracer says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events that were lost, by class.
    pub lost_events: LostEvents,
    /// What else was or may have been missed.
    pub gaps: Vec<Gap>,
    /// What tracing changed for the command; nothing is missing for it.
    pub notes: Vec<String>,
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such program.
    #[error("command not found: {}", program.to_string_lossy())]
    NotFound {
        /// What was asked for.
        program: OsString,
    },
    /// It exists, but cannot be executed.
    #[error("cannot execute {}", program.to_string_lossy())]
    CannotExecute {
        /// What was asked for.
        program: OsString,
        /// The kernel's answer.
        source: io::Error,
    },
    /// roar itself failed.
    #[error("cannot {operation}")]
    Failed {
        /// What roar was doing.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}
