//! Which tracer can run here, and why not the others.

#[cfg(target_os = "linux")]
use super::ebpf::{EbpfTracer, KernelLog, LoadError, Sizes};
#[cfg(target_os = "linux")]
use super::seccomp;
#[cfg(target_os = "linux")]
use super::with_causes;
use crate::settings::TracerChoice;
use std::path::Path;

/// What is asked of a tracer.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Which one.
    pub choice: TracerChoice,
    /// A cgroup (v2) whose processes are to be observed besides the command.
    pub cgroup: Option<&'a Path>,
    /// Takes the debug messages of the kernel side.
    #[cfg(target_os = "linux")]
    pub log: Option<KernelLog>,
}

/// A tracer that is ready.
pub enum Tracer {
    /// In the kernel: complete and cheap.
    #[cfg(target_os = "linux")]
    Ebpf(Box<EbpfTracer>),
    /// Beside the command, for users without CAP_BPF.
    #[cfg(target_os = "linux")]
    Seccomp {
        /// Ready to watch one command.
        prepared: seccomp::Prepared,
        /// Why it is not eBPF, when either would have done.
        instead_of_ebpf: Option<Box<LoadError>>,
    },
}

/// Why no tracer can run.
#[derive(Debug, thiserror::Error)]
pub enum NoTracer {
    /// The eBPF tracer cannot.
    #[cfg(target_os = "linux")]
    #[error("eBPF: {0}")]
    Ebpf(Box<LoadError>),
    /// The seccomp tracer cannot.
    #[cfg(target_os = "linux")]
    #[error("seccomp: {0}")]
    Seccomp(seccomp::Unavailable),
    /// Neither can.
    #[cfg(target_os = "linux")]
    #[error("eBPF: {ebpf}; seccomp: {seccomp}")]
    Neither {
        /// Why not eBPF.
        ebpf: Box<LoadError>,
        /// Why not seccomp.
        seccomp: seccomp::Unavailable,
    },
    /// A filter is inherited, it cannot be put on processes that run already.
    #[error("seccomp observes the command only; --cgroup needs eBPF")]
    CgroupBySeccomp,
    /// roar's own preparations failed.
    #[cfg(target_os = "linux")]
    #[error("seccomp: {0}")]
    Preparation(#[from] seccomp::StartError),
    /// A defect in roar.
    #[error("the tracer failed unexpectedly while it was set up")]
    Panicked,
    /// Only Linux can be observed.
    #[error("observing a command needs Linux; every other command works here")]
    NotLinux,
}

#[cfg(target_os = "linux")]
impl Tracer {
    /// The tracer that was asked for, ready to observe: eBPF where it can run, else seccomp,
    /// when either will do. Only eBPF observes a cgroup.
    ///
    /// # Errors
    /// It cannot run here; the error says what is missing.
    pub fn select(wanted: Wanted<'_>) -> Result<Self, NoTracer> {
        let Wanted {
            choice,
            cgroup,
            log,
        } = wanted;
        let ebpf = |log| {
            EbpfTracer::attach(cgroup, sizes(), log)
                .map(Box::new)
                .map_err(Box::new)
        };
        match choice {
            TracerChoice::Seccomp if cgroup.is_some() => Err(NoTracer::CgroupBySeccomp),
            TracerChoice::Auto if cgroup.is_some() => {
                ebpf(log).map(Self::Ebpf).map_err(NoTracer::Ebpf)
            }
            TracerChoice::Ebpf => ebpf(log).map(Self::Ebpf).map_err(NoTracer::Ebpf),
            TracerChoice::Seccomp => {
                Self::seccomp(None, seccomp::probe().map_err(NoTracer::Seccomp)?)
            }
            TracerChoice::Auto => match ebpf(log) {
                Ok(tracer) => Ok(Self::Ebpf(tracer)),
                Err(ebpf) => match seccomp::probe() {
                    Ok(features) => Self::seccomp(Some(ebpf), features),
                    Err(seccomp) => Err(NoTracer::Neither { ebpf, seccomp }),
                },
            },
        }
    }

    fn seccomp(
        instead_of_ebpf: Option<Box<LoadError>>,
        features: seccomp::Features,
    ) -> Result<Self, NoTracer> {
        let prepared = seccomp::prepare(features)?;
        Ok(Self::Seccomp {
            prepared,
            instead_of_ebpf,
        })
    }

    /// Why this is not the better tracer, in one line; none when it is.
    pub fn fallback(&self) -> Option<String> {
        match self {
            Self::Seccomp {
                instead_of_ebpf: Some(error),
                ..
            } => {
                let why = if let Some(refusal) = error.refusal() {
                    refusal.mend().to_owned()
                } else {
                    let mut why = format!("eBPF cannot run here: {}", with_causes(error.as_ref()));
                    for hint in error.hints() {
                        why = format!("{why}; {hint}");
                    }
                    why
                };
                Some(format!("observing through seccomp: {why}"))
            }
            _ => None,
        }
    }

    /// This tracer if it is what was asked for. Where eBPF was, and this is seccomp in its place,
    /// the reason is known already; none: it is to be tried.
    pub fn suiting(self, choice: TracerChoice) -> Option<Result<Self, NoTracer>> {
        if self.suits(choice) {
            return Some(Ok(self));
        }
        match self {
            Self::Seccomp {
                instead_of_ebpf: Some(error),
                ..
            } => Some(Err(NoTracer::Ebpf(error))),
            _ => None,
        }
    }

    /// Whether it is what was asked for.
    fn suits(&self, choice: TracerChoice) -> bool {
        match choice {
            TracerChoice::Auto => true,
            TracerChoice::Ebpf => self.name() == "ebpf",
            TracerChoice::Seccomp => self.name() == "seccomp",
        }
    }

    /// What makes it possible here, for those who ask how it is that it works.
    pub fn through(&self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ebpf(tracer) if tracer.is_through_loader() => "the installed loader",
            #[cfg(target_os = "linux")]
            Self::Ebpf(_) => "own capabilities",
            #[cfg(target_os = "linux")]
            Self::Seccomp { prepared, .. } if prepared.is_undisturbed() => {
                "user notification that signals do not interrupt"
            }
            #[cfg(target_os = "linux")]
            Self::Seccomp { .. } => {
                "user notification; signals may interrupt calls (Linux before 5.19)"
            }
        }
    }

    /// The back-end's name on the record.
    pub fn name(&self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ebpf(_) => "ebpf",
            #[cfg(target_os = "linux")]
            Self::Seccomp { .. } => "seccomp",
        }
    }
}

impl NoTracer {
    /// What of it answers a choice; none: that one was not tried.
    pub fn suiting(self, choice: TracerChoice) -> Option<Self> {
        match (choice, self) {
            (TracerChoice::Auto, error) => Some(error),
            #[cfg(target_os = "linux")]
            (TracerChoice::Ebpf, Self::Neither { ebpf, .. }) => Some(Self::Ebpf(ebpf)),
            #[cfg(target_os = "linux")]
            (TracerChoice::Seccomp, Self::Neither { seccomp, .. }) => Some(Self::Seccomp(seccomp)),
            _ => None,
        }
    }

    /// What would mend it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Ebpf(error) => error.hints(),
            #[cfg(target_os = "linux")]
            Self::Seccomp(error) => vec![error.mend().to_owned()],
            #[cfg(target_os = "linux")]
            Self::Neither { ebpf, seccomp } => {
                let mut hints = ebpf.hints();
                hints.push(seccomp.mend().to_owned());
                hints
            }
            _ => Vec::new(),
        }
    }
}

/// `ROAR_RING_BYTES` sets the size of the event ring, `ROAR_PROCESSES` how many processes can
/// be traced at a time: for tests of loss, and for machines that the defaults are too small for.
#[cfg(target_os = "linux")]
fn sizes() -> Sizes {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let mut sizes = Sizes::default();
    if let Some(bytes) = number("ROAR_RING_BYTES").filter(|bytes| *bytes >= 4096) {
        sizes.ring_bytes = bytes.next_power_of_two();
    }
    if let Some(processes) = number("ROAR_PROCESSES").filter(|processes| *processes > 0) {
        sizes.processes = Some(processes);
    }
    sizes
}
