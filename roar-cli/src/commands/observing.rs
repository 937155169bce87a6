//! The options of every command that observes, and what under sudo comes before all else.

use std::path::PathBuf;

use clap::Args;

use super::runner::no_tracer;
use crate::error::{CommandError, ErrorKind};
use crate::model::HashAlgorithm;
use crate::privilege::{self, PrivilegeError};
use crate::trace::{Tracer, Wanted};

/// How a command is observed and what is told of it.
#[derive(Debug, Args)]
pub(super) struct Observing {
    /// No report after the run.
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Also list what was filtered, and by which setting.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(super) verbose: bool,

    /// Record this content hash beside BLAKE3 (sha256, sha512, md5); may be repeated.
    #[arg(long, value_name = "ALGORITHM")]
    pub(super) hash: Vec<HashAlgorithm>,

    /// How to observe: auto takes the best that works here.
    #[arg(long, value_name = "TRACER", value_parser = ["auto", "ebpf", "seccomp"])]
    pub(super) tracer: Option<String>,

    /// A key that joins this job with those of other machines into one launch.
    #[arg(long, value_name = "KEY")]
    pub(super) join: Option<String>,

    /// Under sudo: run the command as root, not as the user who invoked sudo.
    #[arg(long)]
    pub(super) as_root: bool,

    /// Also observe whatever runs in this cgroup (v2) meanwhile: a SLURM step, a pod, a systemd
    /// scope. A folder, or a path as /proc/PID/cgroup shows it. Needs eBPF.
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Option<PathBuf>,
}

impl Observing {
    /// Under sudo, everything but the attachment of the tracer is done as the user who invoked
    /// it: the tracer comes first, before any file of that user's is looked at.
    ///
    /// # Errors
    /// roar cannot become that user.
    pub(super) fn attach_then_step_down(&self) -> Result<Option<Tracer>, CommandError> {
        if self.as_root {
            return Ok(None);
        }
        let failed = |error: PrivilegeError| {
            CommandError::new(
                ErrorKind::BeforeCommand,
                "cannot run as the user who invoked sudo",
            )
            .because(error)
            .hint("to run the command as root: sudo roar run --as-root …")
        };
        let Some(invoker) = privilege::invoker().map_err(failed)? else {
            return Ok(None);
        };
        // What does not work is told later, when the settings have been read.
        let wanted = Wanted {
            cgroup: self.cgroup.as_deref(),
            ..Wanted::default()
        };
        let tracer = Tracer::select(wanted);
        invoker.become_for_good().map_err(failed)?;
        if self.cgroup.is_some() {
            return tracer.map(Some).map_err(no_tracer);
        }
        Ok(tracer.ok())
    }
}
