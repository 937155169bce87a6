//! The threads and processes of the job, as far as their notifications show them.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use hashbrown::HashMap;
use rustix::event::epoll;
use rustix::process::{Pid, PidfdFlags};

use super::look::{self, RootId};
use super::sys;
use super::verdict::{Credentials, Lineage};

/// A thread that sent a notification.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Its thread id.
    pub(super) thread: u32,
    /// Its process.
    pub(super) process: u32,
    /// Its root or mount namespace is not roar's.
    pub(super) foreign_root: bool,
    /// Its credentials where they differ from roar's.
    pub(super) credentials: Option<Credentials>,
}

/// A process that came into view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appeared {
    /// Its id.
    pub(super) process: u32,
    /// Its parent, where that is one of the job.
    pub(super) parent: Option<u32>,
}

/// A process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its id.
    pub(super) process: u32,
    /// Its wait status, where the kernel tells (Linux 6.15) and it was reaped.
    pub(super) status: Option<i32>,
}

/// How far up a chain of processes without notifications is followed.
const MAX_ANCESTORS: usize = 32;
/// How many ends are taken at once.
const MAX_ENDED: usize = 64;
/// How many ended but not yet reaped processes are kept for their status.
const MAX_ZOMBIES: usize = 64;

/// The book of tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    known: HashMap<u32, (Task, Option<OwnedFd>)>,
    /// Threads whose end is not watched for yet.
    unwatched: Vec<u32>,
    processes: HashMap<u32, Option<u32>>,
    ended: OwnedFd,
    zombies: Vec<(u32, OwnedFd)>,
    own_root: Option<RootId>,
    own_namespace: Option<Namespace>,
    own_user: u32,
    own_group: u32,
}

impl Tasks {
    /// An empty book.
    pub(super) fn new() -> rustix::io::Result<Self> {
        Ok(Self {
            known: HashMap::new(),
            unwatched: Vec::new(),
            processes: HashMap::new(),
            ended: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            zombies: Vec::new(),
            own_root: look::root_id(None).ok(),
            own_namespace: Namespace::own().ok(),
            own_user: rustix::process::geteuid().as_raw(),
            own_group: rustix::process::getegid().as_raw(),
        })
    }

    /// The thread, looked up now if it was unknown. Only while it waits for an answer.
    pub(super) fn get(&mut self, thread: u32, appeared: &mut Vec<Appeared>) -> Option<Task> {
        if let Some((task, _)) = self.known.get(&thread) {
            return Some(task.clone());
        }
        let pidfd = open_pidfd(thread);
        let info = pidfd
            .as_ref()
            .and_then(|pidfd| sys::pid_info(pidfd.as_fd()).ok());
        let own = (self.own_user, self.own_group);
        let (credentials, lineage) = match info {
            Some(info) if (info.user, info.primary_group) == own => (
                None,
                Lineage {
                    group: info.group,
                    parent: info.parent,
                },
            ),
            _ => {
                let (found, lineage) = read_status(thread)?;
                (
                    Some(found).filter(|found| (found.user, found.group) != own),
                    lineage,
                )
            }
        };
        self.unwatched.push(thread);
        self.appear(lineage, appeared);
        let task = Task {
            thread,
            process: lineage.group,
            foreign_root: self.is_foreign(thread, pidfd.as_ref()),
            credentials,
        };
        self.known.insert(thread, (task.clone(), pidfd));
        Some(task)
    }

    /// Watches for the ends of those that came into view; it need not keep them waiting.
    pub(super) fn watch_new(&mut self) {
        for thread in self.unwatched.drain(..) {
            if let Some((_, Some(pidfd))) = self.known.get(&thread) {
                let data = epoll::EventData::new_u64(u64::from(thread));
                // One that cannot be watched is among those that were not seen to end.
                let _ = epoll::add(&self.ended, pidfd, data, epoll::EventFlags::IN);
            }
        }
    }

    /// Whether a thread that comes into view has another root than roar. Its root is that of its
    /// parent, for whoever changes a root is watched, unless it was born into a mount namespace
    /// of its own. (`/proc/N/root` tells, too, but the first look into a process's folder there, and
    /// the folder's removal when it ends, take longer than all else together.)
    fn is_foreign(&self, thread: u32, pidfd: Option<&OwnedFd>) -> bool {
        let namespace = pidfd.and_then(|pidfd| sys::mount_namespace(pidfd.as_fd()).ok());
        match (namespace, &self.own_namespace) {
            (Some(its), Some(own)) => its != own.number,
            _ => look::root_id(Some(thread)).ok() != self.own_root,
        }
    }

    /// Whether the thread was seen before.
    pub(super) fn knows(&self, thread: u32) -> bool {
        self.known.contains_key(&thread)
    }

    /// Looks a thread's root up again: it, or another that shares it, may have changed it.
    pub(super) fn refresh_root(&mut self, thread: u32) {
        let own_root = self.own_root;
        if let Some((task, _)) = self.known.get_mut(&thread) {
            task.foreign_root = look::root_id(Some(thread)).ok() != own_root;
        }
    }

    /// Looks a thread's credentials up again after a call that changes them.
    pub(super) fn refresh_credentials(&mut self, thread: u32) {
        let own = (self.own_user, self.own_group);
        if let Some((task, _)) = self.known.get_mut(&thread) {
            task.credentials = read_status(thread)
                .map(|(found, _)| found)
                .filter(|found| (found.user, found.group) != own);
        }
    }

    /// Enters a process and those of its ancestors that never sent a notification.
    fn appear(&mut self, lineage: Lineage, appeared: &mut Vec<Appeared>) {
        if self.processes.contains_key(&lineage.group) {
            return;
        }
        let mut chain = vec![lineage];
        if !self.processes.is_empty() {
            for _ in 0..MAX_ANCESTORS {
                let parent = chain.last().expect("starts with one").parent;
                if self.processes.contains_key(&parent) || parent <= 1 {
                    break;
                }
                let Some((_, next)) = read_status(parent) else {
                    break;
                };
                chain.push(next);
            }
        }
        let top = chain.last().expect("starts with one").parent;
        if !self.processes.contains_key(&top) {
            // The way to the job is lost (its parent has ended): nothing above it is of the job.
            chain.truncate(1);
        }
        for link in chain.into_iter().rev() {
            let parent = self
                .processes
                .contains_key(&link.parent)
                .then_some(link.parent);
            self.processes.insert(link.group, parent);
            appeared.push(Appeared {
                process: link.group,
                parent,
            });
        }
    }

    /// The threads and processes that ended since the last call.
    pub(super) fn ended(&mut self) -> Vec<Ended> {
        let mut result = Vec::new();
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_ENDED);
        loop {
            events.clear();
            let zero = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let found = epoll::wait(
                &self.ended,
                rustix::buffer::spare_capacity(&mut events),
                Some(&zero),
            );
            for event in &events {
                let thread = event.data.u64() as u32;
                let Some((task, Some(pidfd))) = self.known.remove(&thread) else {
                    continue;
                };
                if task.process == thread {
                    self.zombies.push((thread, pidfd));
                }
            }
            if !matches!(found, Ok(count) if count == MAX_ENDED) {
                break;
            }
        }
        let mut waiting = Vec::new();
        for (process, pidfd) in std::mem::take(&mut self.zombies) {
            let status = sys::exit_status(pidfd.as_fd());
            if status.is_some() {
                self.processes.remove(&process);
                result.push(Ended { process, status });
            } else {
                // Not reaped yet. Closing would take it off by itself.
                let _ = epoll::delete(&self.ended, &pidfd);
                waiting.push((process, pidfd));
            }
        }
        let excess = waiting.len().saturating_sub(MAX_ZOMBIES);
        for (process, _) in waiting.drain(..excess) {
            self.processes.remove(&process);
            result.push(Ended {
                process,
                status: None,
            });
        }
        self.zombies = waiting;
        result
    }

    /// Ends the book: those that ended without a status, and those that were not seen to end.
    pub(super) fn close(&mut self) -> (Vec<Ended>, Vec<u32>) {
        let mut ended = self.ended();
        for (process, _) in std::mem::take(&mut self.zombies) {
            self.processes.remove(&process);
            ended.push(Ended {
                process,
                status: None,
            });
        }
        let mut left: Vec<u32> = self.processes.keys().copied().collect();
        left.sort_unstable();
        (ended, left)
    }
}

/// A mount namespace, held open: the kernel makes its file anew for whoever asks for it while nobody
/// else has it (measured: 2.0 µs for each process, and 0.9 with this).
#[derive(Debug)]
struct Namespace {
    number: u64,
    _held: File,
}

impl Namespace {
    fn own() -> std::io::Result<Self> {
        let held = File::open("/proc/self/ns/mnt")?;
        Ok(Self {
            number: held.metadata()?.ino(),
            _held: held,
        })
    }
}

/// A pidfd of a thread (Linux 6.9) or, on older kernels, of a process.
fn open_pidfd(thread: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(thread as i32)?;
    let any_thread = PidfdFlags::from_bits_retain(libc::PIDFD_THREAD);
    rustix::process::pidfd_open(pid, any_thread)
        .or_else(|_| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        .ok()
}

fn read_status(thread: u32) -> Option<(Credentials, Lineage)> {
    let status = std::fs::read(format!("/proc/{thread}/status")).ok()?;
    Credentials::parse(&String::from_utf8_lossy(&status))
}
