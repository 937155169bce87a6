//! Empties the ring as fast as memory can be copied, on a thread of its own.
//!
//! Making events of records takes ten times longer than copying them, and on a busy machine the
//! thread that does it gets a small share of the processors. What it has not come to yet waits
//! here, where there is room, and not in the ring, where it would be lost.

use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::epoll;

use super::ring::Ring;

/// The most bytes that wait here; what comes then fills the ring, and is counted there when lost.
const MOST_BYTES: usize = 1 << 30;

/// A ring, what was taken out of it, and the thread that does so.
pub(super) struct Backlog {
    shared: Arc<Mutex<Shared>>,
    /// Closed to end the thread.
    reader: Option<(PipeWriter, JoinHandle<()>)>,
}

struct Shared {
    ring: Ring,
    records: Records,
}

/// Records in the order in which they came.
#[derive(Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Backlog {
    /// A backlog of a ring that nobody reads yet but who asks.
    pub(super) fn new(ring: Ring) -> Self {
        let records = Records::default();
        Self {
            shared: Arc::new(Mutex::new(Shared { ring, records })),
            reader: None,
        }
    }

    /// Starts the thread, with the rights that the caller has now. `ring` is the map's descriptor.
    ///
    /// # Errors
    /// The process is out of descriptors or threads.
    pub(super) fn start(&mut self, ring: OwnedFd) -> io::Result<()> {
        let (stop, stopper) = io::pipe()?;
        let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // The ring is readable as long as it holds anything; the edge is when it fills.
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&waiter, &ring, epoll::EventData::new_u64(0), edge)?;
        let end = epoll::EventFlags::HUP;
        epoll::add(&waiter, &stop, epoll::EventData::new_u64(1), end)?;
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("ring reader".to_owned())
            .spawn(move || {
                let _open = (ring, stop);
                read(&waiter, &shared);
            })?;
        self.reader = Some((stopper, thread));
        Ok(())
    }

    /// Takes all records that there are up to now.
    pub(super) fn take(&mut self) -> Records {
        let mut shared = lock(&self.shared);
        shared.pull();
        std::mem::take(&mut shared.records)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        if let Some((stopper, thread)) = self.reader.take() {
            drop(stopper);
            // It has nothing to tell.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn pull(&mut self) {
        while self.records.bytes.len() < MOST_BYTES {
            if self.ring.next_into(&mut self.records.bytes).is_none() {
                return;
            }
            self.records.ends.push(self.records.bytes.len());
        }
    }
}

impl Records {
    /// Each record's bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Empties the ring whenever it fills, until the stopper is closed.
fn read(waiter: &OwnedFd, shared: &Mutex<Shared>) {
    // Only the privileged may; where it is refused, a busy machine may lose more.
    let own = rustix::thread::gettid();
    let _ = rustix::process::setpriority_process(Some(own), -20);
    let mut events = [epoll::Event {
        flags: epoll::EventFlags::empty(),
        data: epoll::EventData::new_u64(0),
    }; 2];
    loop {
        let count = match epoll::wait(waiter, &mut events, None) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            // The event loop reads, too, if more slowly.
            Err(_) => return,
        };
        if events[..count].iter().any(|event| event.data.u64() == 1) {
            return;
        }
        lock(shared).pull();
    }
}

/// A thread that panicked leaves whole records behind.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
