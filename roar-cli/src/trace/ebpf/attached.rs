//! Programs at work, as the descriptors that hold them and what is read through these.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya::maps::{Map, MapData, PerCpuArray};
use aya_log::EbpfLogger;
use roar_common::{lost, names};

use super::backlog::Backlog;
use super::load::{KernelLog, LOG_MAP, LoadError, PROGRAMS, URING, damaged, missing, refused};
use super::ring::Ring;
use super::sys;

/// What is left in hand once everything is loaded and attached, in plain descriptors: they can
/// go to another process, and all is undone when the last of them is closed.
pub(super) struct Parts {
    pub(super) events: OwnedFd,
    pub(super) lost: OwnedFd,
    /// The table of the programs that report; it is emptied when this is closed. Frozen.
    pub(super) handlers: OwnedFd,
    /// Where the cgroup goes that is to be traced. Who may write it may trace others' processes:
    /// it stays with whoever loaded the programs.
    pub(super) cgroup: Option<OwnedFd>,
    pub(super) programs: Vec<OwnedFd>,
    pub(super) links: Vec<OwnedFd>,
    /// Whether io_uring is followed.
    pub(super) follows_uring: bool,
}

impl Parts {
    /// The descriptors that another process may have, in the order that [`Self::from_descriptors`] takes.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let Self {
            events,
            lost,
            handlers,
            cgroup: _,
            programs,
            links,
            follows_uring: _,
        } = self;
        [events, lost, handlers]
            .into_iter()
            .chain(programs)
            .chain(links)
    }

    /// What another process sent.
    pub(super) fn from_descriptors(
        descriptors: Vec<OwnedFd>,
        follows_uring: bool,
    ) -> Result<Self, LoadError> {
        let count = if follows_uring {
            PROGRAMS.len() + URING
        } else {
            PROGRAMS.len()
        };
        let mut descriptors = descriptors.into_iter();
        let mut next = || {
            let missing = || LoadError::Object("the loader sent too few maps".into());
            descriptors.next().ok_or_else(missing)
        };
        let (events, lost, handlers) = (next()?, next()?, next()?);
        let programs: Vec<_> = descriptors.by_ref().take(count).collect();
        let links: Vec<_> = descriptors.collect();
        if programs.len() != count || links.len() != count {
            return Err(LoadError::Object("the loader sent too few programs".into()));
        }
        Ok(Self {
            events,
            lost,
            handlers,
            cgroup: None,
            programs,
            links,
            follows_uring,
        })
    }
}

/// Loaded and attached programs; everything is undone when this is dropped.
pub(super) struct Loaded {
    pub(super) events: Backlog,
    events_fd: OwnedFd,
    cgroup: Option<OwnedFd>,
    lost: PerCpuArray<MapData, u64>,
    /// Whether io_uring is followed.
    pub(super) follows_uring: bool,
    /// The programs' debug messages, when they were asked for.
    pub(super) log: Option<EbpfLogger<KernelLog>>,
    programs: Vec<OwnedFd>,
    _links: Vec<OwnedFd>,
    _handlers: OwnedFd,
}

impl Loaded {
    /// Opens the maps for reading. Needs no capability from Linux 5.19 on; before, bpf(2) is
    /// closed to ordinary users where kernel.unprivileged_bpf_disabled is set.
    pub(super) fn from_parts(
        parts: Parts,
        ring_bytes: u32,
        log: Option<KernelLog>,
    ) -> Result<Self, LoadError> {
        let Parts {
            events,
            lost,
            handlers,
            cgroup,
            programs,
            links,
            follows_uring,
        } = parts;
        let log = match (log, programs.first()) {
            (Some(log), Some(program)) => {
                let id = sys::program_id(program.as_fd()).map_err(refused("info", LOG_MAP))?;
                Some(EbpfLogger::init_from_id_with_logger(id, log).map_err(damaged)?)
            }
            _ => None,
        };
        let ring = Ring::new(events.as_fd(), ring_bytes as usize);
        Ok(Self {
            events: Backlog::new(ring.map_err(refused("mmap", names::EVENTS))?),
            lost: PerCpuArray::try_from(map(lost)?).map_err(damaged)?,
            events_fd: events,
            cgroup,
            follows_uring,
            log,
            programs,
            _links: links,
            _handlers: handlers,
        })
    }

    /// The ring buffer's descriptor.
    pub(super) fn events_descriptor(&self) -> BorrowedFd<'_> {
        self.events_fd.as_fd()
    }

    /// From here on everything that runs in the cgroup is traced.
    pub(super) fn trace_cgroup(&self, cgroup: BorrowedFd<'_>) -> Result<(), LoadError> {
        let map = self.cgroup.as_ref().ok_or_else(|| missing(names::CGROUP))?;
        sys::put_cgroup(map.as_fd(), cgroup).map_err(refused("BPF_MAP_UPDATE_ELEM", names::CGROUP))
    }

    /// Program runs that the kernel skipped.
    pub(super) fn recursion_misses(&self) -> io::Result<u64> {
        self.programs
            .iter()
            .map(|program| sys::recursion_misses(program.as_fd()))
            .sum()
    }

    /// The counters of `roar_common::lost`, summed over the CPUs.
    pub(super) fn lost_counts(&self) -> Result<[u64; lost::COUNT as usize], aya::maps::MapError> {
        let mut counts = [0; lost::COUNT as usize];
        for (index, count) in counts.iter_mut().enumerate() {
            *count = self.lost.get(&(index as u32), 0)?.iter().sum();
        }
        Ok(counts)
    }
}

fn map(descriptor: OwnedFd) -> Result<Map, LoadError> {
    Map::from_map_data(MapData::from_fd(descriptor).map_err(damaged)?).map_err(damaged)
}
