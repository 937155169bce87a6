//! Tracing by eBPF: complete, cheap, and in need of CAP_BPF and CAP_PERFMON.
//!
//! `load` puts the programs into the kernel, `decode` reads what they send, `translate` makes
//! events of it; `loader` does the first for users who may not. What the programs do is told in
//! roar-ebpf. Minimum kernel: 5.17 with BTF.

mod attached;
mod backlog;
mod btf;
mod cgroup;
mod classes;
mod decode;
mod fill;
mod gaps;
mod identity;
mod layout;
mod links;
mod load;
pub mod loader;
mod mounts;
mod named;
mod network;
mod passed;
mod places;
mod refusal;
mod ring;
mod sys;
mod text;
mod translate;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use roar_common::{ANY_OWNER, Config, REGISTER_PRCTL, lost, role};

pub use cgroup::CgroupError;
pub use load::{BtfErrorBox, KernelLog, LoadError};
pub use refusal::{Refusal, is_user_namespace};

use self::attached::Loaded;
use self::translate::Translator;
use super::Summary;
use crate::event::TraceEvent;
use crate::model::{Gap, GapKind, LostEvents};

/// Size of the ring buffer unless told otherwise.
const RING_BYTES: u32 = 8 << 20;

/// An eBPF tracer, attached and waiting for its command to register itself.
pub struct EbpfTracer {
    loaded: Loaded,
    cookie: u64,
    translator: Translator,
    malformed: u64,
    through_loader: bool,
}

/// What the kernel side has room for.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The event ring, in bytes; a power of two.
    pub ring_bytes: u32,
    /// Processes that live at a time; as many as the programs say when none. A loader has its own.
    pub processes: Option<u32>,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            ring_bytes: RING_BYTES,
            processes: None,
        }
    }
}

impl EbpfTracer {
    /// Loads and attaches the programs: with own capabilities, else through the installed
    /// loader. `log` takes the programs'
    /// debug messages, which are compiled out without it. Besides the command, everything that
    /// runs in `cgroup` (v2) is traced. The loader offers neither.
    ///
    /// # Errors
    /// The kernel lacks what is needed, or refuses; there is no such cgroup.
    pub fn attach(
        cgroup: Option<&Path>,
        sizes: Sizes,
        log: Option<KernelLog>,
    ) -> Result<Self, LoadError> {
        let cgroup = cgroup.map(cgroup::open).transpose()?;
        // Who may not alone would learn that only after 10 ms of preparations.
        if let Some(loader) =
            loader::installed().filter(|_| cgroup.is_none() && !refusal::has_capabilities())
        {
            return Self::attach_through(&loader, sizes);
        }
        let cookie = random_number();
        let config = Config {
            with_cgroup: u64::from(cgroup.is_some()),
            ..config(cookie, sizes.ring_bytes)
        };
        let parts = load::load(&config, sizes, log.is_some())?;
        let loaded = Loaded::from_parts(parts, sizes.ring_bytes, log)?;
        if let Some(cgroup) = cgroup {
            // roar may be in that cgroup itself.
            super::sys::prctl_unknown(REGISTER_PRCTL, cookie, role::OBSERVER);
            loaded.trace_cgroup(cgroup.as_fd())?;
        }
        Ok(Self::of(loaded, cookie, false))
    }

    /// Has a loader load and attach the programs.
    ///
    /// # Errors
    /// As [`Self::attach`], and what can be wrong with the loader.
    pub fn attach_through(loader: &Path, sizes: Sizes) -> Result<Self, LoadError> {
        let cookie = random_number();
        let loaded = loader::ask(loader, cookie, sizes.ring_bytes)?;
        Ok(Self::of(loaded, cookie, true))
    }

    fn of(loaded: Loaded, cookie: u64, through_loader: bool) -> Self {
        let translator = Translator::new(loaded.follows_uring);
        Self {
            loaded,
            cookie,
            translator,
            malformed: 0,
            through_loader,
        }
    }

    /// Whether the installed loader attached the programs.
    pub fn is_through_loader(&self) -> bool {
        self.through_loader
    }

    /// What the forked child does right before it executes the command: one call that only the
    /// programs understand.
    pub fn registration(&self) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
        let cookie = self.cookie;
        move || {
            super::sys::prctl_unknown(REGISTER_PRCTL, cookie, role::COMMAND);
            Ok(())
        }
    }

    /// Has a thread empty the ring from now on, with the rights that roar has now.
    ///
    /// # Errors
    /// The process is out of descriptors or threads.
    pub fn start_reading(&mut self) -> io::Result<()> {
        let ring = self.loaded.events_descriptor().try_clone_to_owned()?;
        self.loaded.events.start(ring)
    }

    /// Becomes readable when the ring fills.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn wake_descriptor(&self) -> io::Result<OwnedFd> {
        self.loaded.events_descriptor().try_clone_to_owned()
    }

    /// Makes events of all records up to now.
    pub fn drain(&mut self, sink: &mut dyn FnMut(TraceEvent)) {
        self.translator.forget_directories();
        if let Some(log) = &mut self.loaded.log {
            log.flush();
        }
        for item in self.loaded.events.take().iter() {
            match decode::decode(item) {
                Some(record) => self.translator.translate(&record, sink),
                None => self.malformed += 1,
            }
        }
    }

    /// What was lost so far.
    pub fn summary(&self) -> Summary {
        let mut lost_events = LostEvents::new();
        let mut gaps = Vec::new();
        match self.loaded.lost_counts() {
            Ok(counts) => {
                for (index, class) in LOST_CLASSES {
                    let count = counts[index as usize];
                    if count > 0 {
                        lost_events.insert(class.to_owned(), count);
                    }
                }
                for (index, detail) in GAP_CLASSES {
                    let count = counts[index as usize];
                    if count > 0 {
                        let kind = GapKind::UnresolvedPath;
                        gaps.push(Gap {
                            kind,
                            detail: detail.to_owned(),
                            count,
                        });
                    }
                }
            }
            Err(error) => gaps.push(Gap {
                kind: GapKind::ObserverLost,
                detail: format!("the loss counters could not be read: {error}"),
                count: 1,
            }),
        }
        match self.loaded.recursion_misses() {
            Ok(0) => {}
            Ok(misses) => {
                lost_events.insert("skipped".to_owned(), misses);
            }
            Err(error) => gaps.push(Gap {
                kind: GapKind::ObserverLost,
                detail: format!("the count of skipped program runs could not be read: {error}"),
                count: 1,
            }),
        }
        if self.translator.core_files() > 0 {
            gaps.push(Gap {
                kind: GapKind::UnresolvedPath,
                detail: "a process crashed, and the kernel wrote a core file of it".to_owned(),
                count: self.translator.core_files(),
            });
        }
        if self.malformed > 0 {
            lost_events.insert("malformed".to_owned(), self.malformed);
        }
        Summary {
            lost_events,
            gaps,
            notes: Vec::new(),
        }
    }
}

/// Makes events of records that are at hand, without a kernel: for benchmarks.
pub struct Offline(Translator);

impl Offline {
    /// With the mounts that there are now.
    pub fn new() -> Self {
        Self(Translator::new(true))
    }

    /// Whether the bytes are a record.
    pub fn is_record(bytes: &[u8]) -> bool {
        decode::decode(bytes).is_some()
    }

    /// The events that a record stands for; none for what is no record.
    pub fn events(&mut self, bytes: &[u8], sink: &mut dyn FnMut(TraceEvent)) {
        if let Some(record) = decode::decode(bytes) {
            self.0.translate(&record, sink);
        }
    }
}

impl Default for Offline {
    fn default() -> Self {
        Self::new()
    }
}

/// Counters that are lost events.
const LOST_CLASSES: [(u32, &str); 6] = [
    (lost::PROCESS, "process"),
    (lost::FILE, "file"),
    (lost::NAME, "name"),
    (lost::NOTE, "note"),
    (lost::NETWORK, "network"),
    (lost::UNTRACKED_PROCESS, "untracked_process"),
];

/// Counters that are gaps.
const GAP_CLASSES: [(u32, &str); 3] = [
    (
        lost::UNREADABLE_PATH,
        "a path argument could not be read from the process's memory",
    ),
    (
        lost::VANISHED_DESCRIPTOR,
        "a descriptor was closed by another thread during the call",
    ),
    (
        lost::UNREADABLE_KERNEL,
        "a memory mapping could not be looked up",
    ),
];

/// The settings of a run by this user.
fn config(cookie: u64, ring_bytes: u32) -> Config {
    let user = rustix::process::getuid();
    Config {
        cookie,
        wakeup_bytes: u64::from(ring_bytes / 8),
        with_cgroup: 0,
        owner: if user.is_root() {
            ANY_OWNER
        } else {
            user.as_raw().into()
        },
        secret: random_number(),
    }
}

/// A value that no other program passes by chance.
fn random_number() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
