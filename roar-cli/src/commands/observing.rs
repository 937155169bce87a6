//! The options of every command that observes, and the tracer, which comes before all else.

use std::path::PathBuf;
use std::thread::JoinHandle;

use clap::Args;

use super::runner::no_tracer;
use crate::error::{CommandError, ErrorKind};
use crate::model::HashAlgorithm;
use crate::privilege::{self, PrivilegeError};
use crate::settings::TracerChoice;
use crate::timings;
use crate::trace::{NoTracer, Tracer, Wanted};

/// How a command is observed and what is told of it.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
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

    /// Say where roar's own time goes.
    #[arg(long)]
    pub(super) timings: bool,

    /// Under sudo: run the command as root, not as the user who invoked sudo.
    #[arg(long)]
    pub(super) as_root: bool,

    /// Also observe whatever runs in this cgroup (v2) meanwhile: a SLURM step, a pod, a systemd
    /// scope. A folder, or a path as /proc/PID/cgroup shows it. Needs eBPF.
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Option<PathBuf>,
}

impl Observing {
    /// Attachment takes longest, so that it is begun before the project is looked at. Under sudo, everything but the attachment of the tracer is done as the user who invoked
    /// it: the tracer comes first, before any file of that user's is looked at.
    ///
    /// # Errors
    /// roar cannot become that user.
    pub(super) fn attach_first(&self) -> Result<Early, CommandError> {
        if self.as_root {
            return Ok(self.begin());
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
            return Ok(self.begin());
        };
        // What does not work is told later, when the settings have been read.
        let wanted = Wanted {
            cgroup: self.cgroup.as_deref(),
            ..Wanted::default()
        };
        let tracer = {
            let _phase = timings::phase("attach the tracer");
            Tracer::select(wanted)
        };
        invoker.become_for_good().map_err(failed)?;
        if self.cgroup.is_some() {
            return tracer.map(|it| Early::Attached(Ok(it))).map_err(no_tracer);
        }
        Ok(Early::Attached(tracer))
    }

    /// Has a thread attach the tracer that the settings will most likely ask for. Not for a
    /// cgroup, whose processes would join the job before there is one.
    fn begin(&self) -> Early {
        let choice = match self.tracer.as_deref() {
            None | Some("auto") => TracerChoice::Auto,
            Some("ebpf") => TracerChoice::Ebpf,
            Some(_) => return Early::None,
        };
        if self.cgroup.is_some() {
            return Early::None;
        }
        let attach = move || {
            let _phase = timings::phase("attach the tracer");
            Tracer::select(Wanted {
                choice,
                ..Wanted::default()
            })
        };
        let coming = std::thread::Builder::new().spawn(attach);
        coming.map_or(Early::None, Early::Coming)
    }
}

/// The tracer of the first command.
#[derive(Default)]
pub(super) enum Early {
    /// Nothing was begun.
    #[default]
    None,
    /// Attached, or found impossible, with rights that roar has given up since.
    Attached(Result<Tracer, NoTracer>),
    /// On its way, while the settings are read that may want another.
    Coming(JoinHandle<Result<Tracer, NoTracer>>),
}

impl Early {
    /// What came of it, if it is what the settings ask for. One with debug messages of the kernel
    /// side has to be made for the purpose.
    pub(super) fn suiting(
        self,
        choice: TracerChoice,
        with_messages: bool,
    ) -> Option<Result<Tracer, NoTracer>> {
        match self {
            Self::None => None,
            Self::Attached(Ok(tracer)) => tracer.suiting(choice),
            Self::Attached(Err(error)) => error.suiting(choice).map(Err),
            Self::Coming(_) if with_messages || choice == TracerChoice::Seccomp => None,
            Self::Coming(coming) => match coming.join().unwrap_or(Err(NoTracer::Panicked)) {
                Ok(tracer) => tracer.suiting(choice),
                Err(error) => error.suiting(choice).map(Err),
            },
        }
    }
}
