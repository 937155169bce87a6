//! Files that a thread opens for reading, one soon after the other, are looked at later, by a
//! thread beside the supervisor.
//!
//! A supervisor that looked at each by itself would keep the next call of the command waiting
//! meanwhile, for it runs where the command runs. What else there is to tell comes behind what
//! was opened before: whoever tells it, or lets a name change, has [`Later::catch_up`] tell
//! the rest first. The order of events is as if there were no second thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::folders::{Near, Seen};
use super::supervisor::Sink;
use super::tasks::Task;
use crate::event::{Access, EventKind, FileId, ProcessId, TraceEvent};

/// From this many opens in close succession on nothing is looked at by the supervisor: waking
/// the thread for less costs more than it saves.
const BURST: u32 = 8;
/// What close succession is.
const CLOSE_NS: u64 = 200_000;
/// How soon a file is looked at after its call went on.
const SOON: Duration = Duration::from_millis(1);
/// After this many looks at an empty queue the thread sleeps until it is woken.
const PATIENCE: u32 = 20;
/// How many files are looked at while nobody else can tell anything.
const CHUNK: usize = 8;
/// How many files are known to have been read just now.
const JUST_READ: usize = 1024;
/// A queue of this length is not left to the thread, which seems to get no processor.
const MAX_QUEUED: usize = 256;

/// An open for reading that went on.
#[derive(Debug)]
pub(super) struct Opened {
    /// When it was notified.
    pub(super) at_ns: u64,
    /// Who opened.
    pub(super) task: Task,
    /// What was opened.
    pub(super) near: Near,
    /// The path as the call had it.
    pub(super) path: Vec<u8>,
    /// Whether a symbolic link as the last name is followed.
    pub(super) follow: bool,
}

/// The queue, its thread, and the way out of all events.
pub(super) struct Later {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
    burst: Burst,
}

/// Opens in close succession.
#[derive(Debug, Default)]
struct Burst {
    thread: u32,
    last_ns: u64,
    length: u32,
}

impl Burst {
    fn enter(&mut self, opened: &Opened) -> u32 {
        let goes_on = opened.task.thread == self.thread
            && opened.at_ns.saturating_sub(self.last_ns) < CLOSE_NS;
        *self = Self {
            thread: opened.task.thread,
            last_ns: opened.at_ns,
            length: if goes_on { self.length + 1 } else { 0 },
        };
        self.length
    }
}

struct Shared {
    queue: Mutex<VecDeque<Opened>>,
    teller: Mutex<Teller>,
    /// The thread sleeps until it is woken.
    rests: AtomicBool,
    /// Some files take a closer look, by the supervisor.
    has_closer: AtomicBool,
    is_over: AtomicBool,
}

struct Teller {
    sink: Sink,
    lost: u64,
    closer: Vec<Opened>,
    /// The files that were opened for reading last: as many as are opened in the time that whoever
    /// hashes beside the command needs to come by.
    read: VecDeque<FileId>,
}

impl Later {
    /// Everything is told to `sink`.
    pub(super) fn new(sink: Sink) -> Self {
        let teller = Teller {
            sink,
            lost: 0,
            closer: Vec::new(),
            read: VecDeque::with_capacity(JUST_READ),
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            teller: Mutex::new(teller),
            rests: AtomicBool::new(false),
            has_closer: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let worker = thread::Builder::new()
            .name("roar-seccomp-look".to_owned())
            .spawn(move || own.work());
        Self {
            shared,
            // Without a thread nothing is put off.
            worker: worker.ok(),
            burst: Burst::default(),
        }
    }

    /// Whether a file was opened for reading, as far as that has been told, not long ago.
    pub(super) fn was_just_read(&self, id: FileId) -> bool {
        self.shared.teller().read.contains(&id)
    }

    /// Tells the sink.
    pub(super) fn tell(&self, event: TraceEvent) {
        self.shared.teller().tell(event);
    }

    /// Whether the supervisor should look at a file that is opened now by itself. It does so before the
    /// call goes on where the caller is woken on its own processor: then two want that one, and the
    /// system is tempted to send one of them to another, which takes more time than the look. A caller
    /// that is woken elsewhere goes on meanwhile.
    pub(super) fn looks(&mut self, opened: &Opened) -> bool {
        !opened.near.may_block() && (self.burst.enter(opened) < BURST || self.worker.is_none())
    }

    /// Tells what was seen, or puts the look off; true when [`Self::catch_up`] is due.
    pub(super) fn take(&mut self, opened: Opened, seen: Option<Seen>) -> bool {
        let (Some(worker), None) = (&self.worker, &seen) else {
            let seen = seen.unwrap_or_else(|| opened.near.look());
            let has_closer = &self.shared.has_closer;
            self.shared.teller().tell_seen(opened, seen, has_closer);
            return has_closer.load(Ordering::Relaxed);
        };
        let queued = {
            let mut queue = self.shared.queue();
            queue.push_back(opened);
            queue.len()
        };
        if self.shared.rests.swap(false, Ordering::SeqCst) {
            worker.thread().unpark();
        }
        queued >= MAX_QUEUED || self.shared.has_closer.load(Ordering::Relaxed)
    }

    /// Tells of everything that was put off; what takes a closer look comes back.
    pub(super) fn catch_up(&self) -> Vec<Opened> {
        let mut teller = self.shared.teller();
        let queued = std::mem::take(&mut *self.shared.queue());
        for opened in queued {
            teller.look_at(opened, &self.shared.has_closer);
        }
        self.shared.has_closer.store(false, Ordering::Relaxed);
        std::mem::take(&mut teller.closer)
    }

    /// Ends the thread; how many events the sink did not take.
    pub(super) fn end(self) -> u64 {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(worker) = self.worker {
            worker.thread().unpark();
            let _ = worker.join();
        }
        self.shared.teller().lost
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Opened>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut in_vain = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            if self.look() {
                in_vain = 0;
                continue;
            }
            in_vain += 1;
            if in_vain < PATIENCE {
                thread::park_timeout(SOON);
                continue;
            }
            self.rests.store(true, Ordering::SeqCst);
            // Whoever queued something before that did not wake this thread.
            if self.queue().is_empty() && !self.is_over.load(Ordering::SeqCst) {
                thread::park();
            }
            self.rests.store(false, Ordering::SeqCst);
            in_vain = 0;
        }
    }

    /// Looks at some of what is queued; false when nothing is.
    fn look(&self) -> bool {
        // In this order, as in `catch_up`: what is taken off the queue is told before anything else.
        let mut teller = self.teller();
        let some: Vec<_> = {
            let mut queue = self.queue();
            let length = queue.len().min(CHUNK);
            queue.drain(..length).collect()
        };
        let any = !some.is_empty();
        for opened in some {
            teller.look_at(opened, &self.has_closer);
        }
        any
    }
}

impl Teller {
    fn tell(&mut self, event: TraceEvent) {
        if let EventKind::Touched { file, access } = &event.kind
            && *access == Access::OpenedRead
            && let Some(id) = file.id
        {
            if self.read.len() == JUST_READ {
                self.read.pop_front();
            }
            self.read.push_back(id);
        }
        if !(self.sink)(event) {
            self.lost += 1;
        }
    }

    fn look_at(&mut self, opened: Opened, has_closer: &AtomicBool) {
        let seen = opened.near.look();
        self.tell_seen(opened, seen, has_closer);
    }

    fn tell_seen(&mut self, opened: Opened, seen: Seen, has_closer: &AtomicBool) {
        match seen {
            Seen::File(file, status) if opened.task.may_read_by_mode(&status) => {
                let kind = EventKind::Touched {
                    file,
                    access: Access::OpenedRead,
                };
                self.tell(TraceEvent {
                    at_ns: opened.at_ns,
                    process: ProcessId(opened.task.process),
                    kind,
                });
            }
            Seen::NoFile => {}
            Seen::File(..) | Seen::Unclear => {
                self.closer.push(opened);
                has_closer.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::{Receiver, channel};

    use super::super::decode::AT_FDCWD;
    use super::super::folders::Folders;
    use super::super::look::Looker;
    use super::*;

    /// Opens of this process, as the supervisor would enter them.
    struct Opener {
        folders: Folders,
        looker: Looker,
        at_ns: u64,
    }

    impl Opener {
        fn new() -> Self {
            Self {
                folders: Folders::default(),
                looker: Looker::new().expect("proc is there"),
                at_ns: 0,
            }
        }

        fn opened(&mut self, path: &Path) -> Opened {
            self.at_ns += 1;
            let task = Task {
                thread: std::process::id(),
                process: std::process::id(),
                foreign_root: false,
                credentials: None,
            };
            let path = path.as_os_str().as_encoded_bytes().to_vec();
            let near = self
                .folders
                .near(&mut self.looker, &task, AT_FDCWD, &path, true, self.at_ns)
                .expect("its folder is there");
            Opened {
                at_ns: self.at_ns,
                task,
                near,
                path,
                follow: true,
            }
        }
    }

    fn later() -> (Later, Receiver<TraceEvent>) {
        let (sender, events) = channel();
        let later = Later::new(Box::new(move |event| sender.send(event).is_ok()));
        (later, events)
    }

    fn look(later: &mut Later, opened: Opened) -> bool {
        let seen = later.looks(&opened).then(|| opened.near.look());
        later.take(opened, seen)
    }

    fn path_of(event: &TraceEvent) -> Option<PathBuf> {
        match &event.kind {
            EventKind::Touched { file, .. } => Some(file.path.to_path_buf()),
            _ => None,
        }
    }

    #[test]
    fn what_is_told_next_comes_behind_every_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("exists");
        let mut opener = Opener::new();
        let (mut later, events) = later();
        let files: Vec<PathBuf> = (0..1000).map(|n| folder.join(n.to_string())).collect();
        for file in &files {
            std::fs::write(file, "").expect("writes");
        }
        for file in &files {
            if look(&mut later, opener.opened(file)) {
                assert!(later.catch_up().is_empty(), "every file is plain");
            }
        }
        assert!(later.catch_up().is_empty(), "every file is plain");
        // A file that goes now was there when it was opened.
        for file in &files {
            std::fs::remove_file(file).expect("it is there");
        }
        later.tell(TraceEvent {
            at_ns: 0,
            process: ProcessId(1),
            kind: EventKind::Started { parent: None },
        });
        assert_eq!(later.end(), 0);
        let told: Vec<_> = events.try_iter().map(|event| path_of(&event)).collect();
        let mut expected: Vec<_> = files.into_iter().map(Some).collect();
        expected.push(None);
        assert_eq!(told, expected);
    }

    #[test]
    fn links_come_back_and_missing_files_are_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("exists");
        std::os::unix::fs::symlink("elsewhere", folder.join("link")).expect("links");
        let mut opener = Opener::new();
        let (mut later, events) = later();
        assert!(!look(&mut later, opener.opened(&folder.join("missing"))));
        assert!(
            !look(&mut later, opener.opened(&folder)),
            "a folder is no file"
        );
        assert!(look(&mut later, opener.opened(&folder.join("link"))));
        let back = later.catch_up();
        assert_eq!(back.len(), 1);
        assert!(back[0].path.ends_with(b"/link"));
        assert_eq!(later.end(), 0);
        assert_eq!(events.try_iter().count(), 0);
    }

    #[test]
    fn bursts_are_of_one_thread_and_close() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let mut opener = Opener::new();
        let mut burst = Burst::default();
        let mut enter = |thread, at_ns| {
            let mut opened = opener.opened(&path);
            (opened.task.thread, opened.at_ns) = (thread, at_ns);
            burst.enter(&opened)
        };
        let lengths = [
            enter(1, 10),
            enter(1, 20),
            enter(1, 20 + CLOSE_NS - 1),
            enter(1, 20 + 2 * CLOSE_NS),
            enter(2, 21 + 2 * CLOSE_NS),
        ];
        assert_eq!(lengths, [0, 1, 2, 0, 0]);
    }
}
