//! Hashing beside a command while it runs, so that little is left to hash when it has ended.
//!
//! One thread, at idle priority: it gets what the command and everybody else leave of the
//! processors, and while it has to wait for the disk it pauses as long again. It takes
//!
//! - files that are read, as soon as they are seen, and before the job writes over them where that
//!   can be;
//! - files that were written, or came into their place by a rename, once nobody has written to them
//!   for a moment; again when that turns out to have been a pause.
//!
//! What it finds is a hash of a *state*, by the same rules as every other (`settled`). At the end
//! the state decides whether it still holds, so that nothing here needs to be complete: what was
//! dropped because the queue was full is hashed then.
//!
//! The command must not notice. An open file keeps a file system from being unmounted, and a file
//! system that the command itself serves could wait for it: so only local file systems are
//! touched, through mounts that were there before the command. A removed file's blocks are not held
//! for longer than [`LOOK_BYTES`] take to hash.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::digest::{self, Watch};
use super::found::{Found, FoundBeside};
use super::settled::{self, FileSystem};
use super::{HashCache, Unhashed, from_cache, open, wanted};
use crate::event::{Access, EventKind, FileId, PathQuality, TraceEvent};
use crate::model::{CacheKey, Digest, HashAlgorithm, Hashes, RawString};
use crate::observe::FileStamp;

/// Candidates that may wait to be taken.
const QUEUE: usize = 4096;

/// Folders of files that hardly ever count, and that every program touches.
const SYSTEM: [&[u8]; 5] = [b"/usr/", b"/lib", b"/etc/", b"/proc/", b"/sys/"];

/// How often the queue is looked at while there is nothing to do.
const TICK: Duration = Duration::from_millis(50);

/// For how long nobody may have written to a file.
const QUIET_NS: u64 = 300_000_000;

/// When a file that was hashed after a pause is looked at again; four times as long each time.
const AGAIN_NS: u64 = 2_000_000_000;

/// Files that are looked at again.
const MANY: usize = 4096;

/// What is kept of small files at most; larger ones are kept in any case.
const KEPT: usize = 200_000;
const SMALL_BYTES: u64 = 64 << 10;

/// How often a file that is being hashed is looked at, and the time that it takes.
const LOOK_BYTES: u64 = 32 << 20;
const PACE_BYTES: u64 = 4 << 20;

/// How fast an unhurried thread hashes, at least, where it is not kept from it.
const BYTES_A_SECOND: u64 = 1_000_000_000;

/// Answers for a path and whether it was written to.
pub type IsWanted = Box<dyn FnMut(&RawString, bool) -> bool + Send>;

/// How the hashing beside a command is to be done.
pub struct Plan {
    /// Whether a file that was read (or, if true, written) may be of interest at all.
    pub is_wanted: IsWanted,
    /// Opens the cache of earlier hashes, for reading.
    pub cache: Box<dyn FnOnce() -> Box<dyn HashCache> + Send>,
    /// What is wanted besides BLAKE3.
    pub algorithms: Vec<HashAlgorithm>,
    /// Makes the calling thread one that takes only what nobody else wants.
    pub step_back: fn(),
}

/// The thread at work, as seen from the one that sees the events.
pub struct Beside {
    candidates: Sender<Candidate>,
    found: Receiver<Found>,
    /// For what a tracer hashed itself.
    told: Option<Sender<Found>>,
    shared: Arc<Shared>,
    thread: thread::Thread,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    queued: AtomicUsize,
    /// Bytes hashed of the file in work; nothing is in work where it is [`u64::MAX`].
    done_bytes: AtomicU64,
}

/// A file that may be worth hashing.
struct Candidate {
    path: RawString,
    /// Set for a file that was read: which one, and in what state.
    read: Option<(Option<FileId>, FileStamp)>,
}

impl Beside {
    /// Starts the thread; none where no thread can be had.
    pub fn start(plan: Plan) -> Option<Self> {
        // `queued` bounds it; a channel with a bound of its own touches all of its memory at once.
        let (candidates, queue) = mpsc::channel();
        let (found_sender, found) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        shared.done_bytes.store(u64::MAX, Ordering::Relaxed);
        let (theirs, told) = (Arc::clone(&shared), found_sender.clone());
        let handle = thread::Builder::new()
            .name("beside".to_owned())
            .spawn(move || {
                let mounts = local_mounts();
                (plan.step_back)();
                Worker::new(plan, queue, found_sender, theirs, mounts).run();
            })
            .ok()?;
        Some(Self {
            candidates,
            found,
            told: Some(told),
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Takes the next event. Never waits, and wakes nobody.
    pub fn see(&self, event: &TraceEvent) {
        if let EventKind::Content { file, blake3 } = &event.kind {
            let hash = (HashAlgorithm::Blake3, Digest::from_bytes(blake3));
            if let (Some(id), Some(told)) = (file.id, &self.told) {
                let found = Found::Told(id, FileStamp::from(file), Hashes::from_iter([hash]));
                // It is received at the end, by the same value that would be gone.
                let _ = told.send(found);
            }
            return;
        }
        if self.shared.queued.load(Ordering::Relaxed) >= QUEUE {
            return;
        }
        let (path, read) = match &event.kind {
            EventKind::Touched { file, access } if file.quality == PathQuality::Full => {
                let read = match access {
                    Access::Read
                    | Access::Mapped
                    | Access::Executed
                    | Access::OpenedRead
                    | Access::OpenedWrite => Some((file.id, FileStamp::from(file))),
                    // A creation is told once, and not each write that follows.
                    Access::InferredWrite
                    | Access::Written { .. }
                    | Access::Created
                    | Access::Truncated => None,
                    // Its times need not tell of every store.
                    Access::MappedWrite | Access::Mappable => return,
                };
                (&file.path, read)
            }
            EventKind::Renamed { to, .. } => (to, None),
            _ => return,
        };
        if SYSTEM.iter().any(|at| path.as_bytes().starts_with(at)) {
            return;
        }
        let candidate = Candidate {
            path: path.clone(),
            read,
        };
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        // Nobody is left to take it where the thread has ended, at the end of the run.
        drop(self.candidates.send(candidate));
    }

    /// Ends the work and gives what was found. A file of which more than half is hashed is waited
    /// for, but not for longer than hashing it anew would take.
    pub fn finish(mut self) -> FoundBeside {
        self.stop();
        // The thread's end is known by nobody being left who could tell.
        self.told = None;
        let mut all = FoundBeside::default();
        let done_bytes = self.shared.done_bytes.load(Ordering::SeqCst);
        if done_bytes != u64::MAX {
            let mut patience = Duration::from_millis(5)
                + Duration::from_secs(1)
                    .mul_f64(done_bytes as f64 / BYTES_A_SECOND as f64)
                    .min(Duration::from_secs(10));
            const STEP: Duration = Duration::from_millis(1);
            while !patience.is_zero() {
                match self.found.recv_timeout(STEP.min(patience)) {
                    Ok(found) => all.add(found),
                    Err(RecvTimeoutError::Timeout) => patience = patience.saturating_sub(STEP),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
        for found in self.found.try_iter() {
            all.add(found);
        }
        all
    }
}

impl Beside {
    fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    plan: Plan,
    cache: Option<Box<dyn HashCache>>,
    wanted: Vec<HashAlgorithm>,
    queue: Receiver<Candidate>,
    found: Sender<Found>,
    shared: Arc<Shared>,
    mounts: HashSet<u64>,
    read: VecDeque<Candidate>,
    later: BinaryHeap<Reverse<Later>>,
    /// Paths in `later`.
    awaited: HashSet<RawString>,
    /// States that need no hashing any more.
    known: HashSet<CacheKey>,
}

/// A file to be looked at at a time of the monotonic clock.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Later {
    due_ns: u64,
    path: RawString,
    /// How long it was waited for since it was hashed; 0 before that.
    waited_ns: u64,
}

impl Worker {
    fn new(
        mut plan: Plan,
        queue: Receiver<Candidate>,
        found: Sender<Found>,
        shared: Arc<Shared>,
        mounts: HashSet<u64>,
    ) -> Self {
        let wanted = wanted(&std::mem::take(&mut plan.algorithms));
        Self {
            plan,
            cache: None,
            wanted,
            queue,
            found,
            shared,
            mounts,
            read: VecDeque::new(),
            later: BinaryHeap::new(),
            awaited: HashSet::new(),
            known: HashSet::new(),
        }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.take_candidates();
            let candidate = self.read.pop_front();
            let later = self.due();
            if candidate.is_none() && later.is_none() {
                thread::park_timeout(TICK);
            }
            if let Some(candidate) = candidate {
                self.read(&candidate);
            }
            if let Some(later) = later {
                self.written(later);
            }
        }
    }

    fn take_candidates(&mut self) {
        while self.read.len() < QUEUE
            && let Ok(candidate) = self.queue.try_recv()
        {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            let was_written = candidate.read.is_none();
            if !(self.plan.is_wanted)(&candidate.path, was_written) {
                continue;
            }
            if !was_written {
                self.read.push_back(candidate);
            } else if self.awaited.insert(candidate.path.clone()) {
                self.later.push(Reverse(Later {
                    due_ns: now_ns() + QUIET_NS,
                    path: candidate.path,
                    waited_ns: 0,
                }));
            }
        }
    }

    fn due(&mut self) -> Option<Later> {
        if self.later.peek()?.0.due_ns > now_ns() {
            return None;
        }
        let Reverse(later) = self.later.pop()?;
        self.awaited.remove(&later.path);
        Some(later)
    }

    /// A file that was read. What is seen of it now counts only if it still is what the job saw.
    fn read(&mut self, candidate: &Candidate) {
        let Some(key) = self.look(&candidate.path) else {
            return;
        };
        let Some((id, stamp)) = candidate.read else {
            return;
        };
        let is_same = stamp
            == FileStamp {
                size_bytes: key.size_bytes,
                mtime_ns: key.mtime_ns,
                ctime_ns: key.ctime_ns,
            };
        if !is_same {
            return;
        }
        if self.known.contains(&key) {
            return;
        }
        if let Some(id) = id
            && !self.is_full(&key)
        {
            self.tell(Found::State(id, stamp, key));
        }
        if self.is_cached(&key) {
            return;
        }
        if self.hash(&candidate.path, &key) == Outcome::Unsettled {
            // Written a moment before it was read.
            self.wait_for(candidate.path.clone(), QUIET_NS, 0);
        }
    }

    /// A file that was written some time ago.
    fn written(&mut self, later: Later) {
        let Some(key) = self.look(&later.path) else {
            return;
        };
        let quiet_ns = settled::now_ns().saturating_sub(key.mtime_ns.max(key.ctime_ns));
        if !self.known.contains(&key) {
            let is_quiet = u64::try_from(quiet_ns).is_ok_and(|quiet_ns| quiet_ns >= QUIET_NS);
            let outcome = if is_quiet {
                self.hash(&later.path, &key)
            } else {
                Outcome::Unsettled
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Unsettled => {
                    let more_ns = later.waited_ns.max(QUIET_NS);
                    self.wait_for(later.path, more_ns, later.waited_ns);
                    return;
                }
                Outcome::Failed => return,
            }
        }
        if self.later.len() < MANY {
            let more_ns = (later.waited_ns * 4).max(AGAIN_NS);
            self.wait_for(later.path, more_ns, more_ns);
        }
    }

    fn wait_for(&mut self, path: RawString, more_ns: u64, waited_ns: u64) {
        if self.awaited.insert(path.clone()) {
            self.later.push(Reverse(Later {
                due_ns: now_ns() + more_ns,
                path,
                waited_ns,
            }));
        }
    }

    /// The state of a file that may be opened here.
    fn look(&self, path: &RawString) -> Option<CacheKey> {
        let seen = open::look_with_mount(&path.to_path_buf()).ok()?;
        let mount = seen.mount_id?;
        self.mounts.contains(&mount).then_some(seen.state)
    }

    fn is_cached(&mut self, key: &CacheKey) -> bool {
        if self.cache.is_none() {
            let open =
                std::mem::replace(&mut self.plan.cache, Box::new(|| Box::new(super::NoCache)));
            self.cache = Some(open());
        }
        let Some(cache) = &mut self.cache else {
            return false;
        };
        let known = cache.get(&[*key]).pop().flatten();
        let is_cached = known.is_some_and(|known| from_cache(*key, &known, &self.wanted).is_some());
        if is_cached {
            self.known.insert(*key);
        }
        is_cached
    }

    fn is_full(&self, key: &CacheKey) -> bool {
        self.known.len() >= KEPT && key.size_bytes < SMALL_BYTES
    }

    fn hash(&mut self, path: &RawString, key: &CacheKey) -> Outcome {
        if self.is_full(key) {
            return Outcome::Failed;
        }
        let started_ns = settled::now_ns();
        let result = open::open(&path.to_path_buf()).and_then(|opened| {
            if opened.state != *key || opened.file_system != FileSystem::Local {
                return Ok(None);
            }
            if !settled::is_settled(key, started_ns, opened.file_system) {
                return Ok(None);
            }
            let pace = Pace::new(&self.shared, &opened);
            let source = digest::Source {
                file: &opened.file,
                size_bytes: key.size_bytes,
                sparse: opened.sparse,
                watch: &pace,
            };
            let content = digest::digest(source, &self.wanted, false)?;
            let after = open::state(&opened.file)?;
            let is_whole = after == *key && content.size_bytes == key.size_bytes;
            Ok(is_whole.then_some((content.hashes, opened)))
        });
        let outcome = match result {
            Ok(Some((hashes, opened))) => {
                self.known.insert(*key);
                self.tell(Found::Content(*key, hashes));
                // Only now: whoever watches for the file to be closed may write over it, and end,
                // before this thread, which takes only what nobody else wants, goes on.
                drop(opened);
                Outcome::Done
            }
            Ok(None) | Err(Unhashed::Interrupted) => Outcome::Unsettled,
            Err(_) => Outcome::Failed,
        };
        self.shared.done_bytes.store(u64::MAX, Ordering::SeqCst);
        outcome
    }

    fn tell(&self, found: Found) {
        // Whoever has stopped listening sets `stop`, too.
        drop(self.found.send(found));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It changed, or had changed just before.
    Unsettled,
    Failed,
}

/// Watches over the hashing of one file: that it is wanted still, and in nobody's way.
struct Pace<'a> {
    shared: &'a Shared,
    opened: &'a open::Opened,
    clocks: Mutex<Clocks>,
}

#[derive(Clone, Copy)]
struct Clocks {
    wall_ns: u64,
    processor_ns: u64,
    unpaced_bytes: u64,
    unseen_bytes: u64,
}

impl<'a> Pace<'a> {
    fn new(shared: &'a Shared, opened: &'a open::Opened) -> Self {
        shared.done_bytes.store(0, Ordering::SeqCst);
        Self {
            shared,
            opened,
            clocks: Mutex::new(Clocks {
                wall_ns: now_ns(),
                processor_ns: processor_ns(),
                unpaced_bytes: 0,
                unseen_bytes: 0,
            }),
        }
    }
}

impl Watch for Pace<'_> {
    fn go_on(&self, bytes: u64) -> bool {
        let done = self.shared.done_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if self.shared.stop.load(Ordering::SeqCst) {
            return done > self.opened.state.size_bytes.saturating_sub(done);
        }
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.unpaced_bytes += bytes;
        if clocks.unpaced_bytes >= PACE_BYTES {
            clocks.unpaced_bytes = 0;
            let (wall_ns, processor_ns) = (now_ns(), processor_ns());
            let worked_ns = processor_ns - clocks.processor_ns;
            let waited_ns = (wall_ns - clocks.wall_ns).saturating_sub(worked_ns);
            if waited_ns > worked_ns {
                thread::park_timeout(Duration::from_nanos(waited_ns).min(TICK));
            }
            clocks.wall_ns = now_ns();
            clocks.processor_ns = processor_ns;
        }
        clocks.unseen_bytes += bytes;
        if clocks.unseen_bytes >= LOOK_BYTES {
            clocks.unseen_bytes = 0;
            // Written to, or removed: then its change time moves, too.
            return open::state(&self.opened.file).is_ok_and(|now| now == self.opened.state);
        }
        true
    }
}

fn now_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// What this thread has had of the processors.
fn processor_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).cast_unsigned()
}

/// The ids of the mounts of local file systems.
fn local_mounts() -> HashSet<u64> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(local_mount).collect()
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw` (proc_pid_mountinfo(5)).
fn local_mount(line: &str) -> Option<u64> {
    let (mount, rest) = line.split_once(" - ")?;
    let kind = rest.split(' ').next()?;
    let is_local = matches!(
        kind,
        "ext2"
            | "ext3"
            | "ext4"
            | "xfs"
            | "btrfs"
            | "tmpfs"
            | "ramfs"
            | "overlay"
            | "f2fs"
            | "zfs"
            | "bcachefs"
            | "jfs"
            | "nilfs2"
    );
    let id = mount.split(' ').next()?.parse().ok()?;
    is_local.then_some(id)
}
