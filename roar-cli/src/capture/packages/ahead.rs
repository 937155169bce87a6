//! What can be learned of package databases while the command runs, so that the prompt does not wait
//! for it: a database that no run has met in its present state is indexed beside the command.
//!
//! All that comes of it are notes. Who looks at packages at the end finds them, or makes them then.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use super::system::Database;
use super::{conda, interpreter, python};
use crate::capture::notes::Notes;
use crate::event::{Access, EventKind, TraceEvent};

/// Looks ahead for one job.
#[derive(Debug)]
pub struct LookAhead {
    notes: Arc<Notes>,
    /// Folders and programs that were met.
    met: HashSet<Vec<u8>>,
    last_site: Vec<u8>,
    worker: Option<Worker>,
    /// The command has ended.
    has_ended: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Worker {
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Task {
    /// The system's database.
    System,
    /// A folder of Python distributions.
    Site(PathBuf),
    /// A program that may be a Python, or the library that is one.
    Program(PathBuf),
}

impl LookAhead {
    /// Begins with the system's database, which every job needs.
    pub fn start(notes: Arc<Notes>) -> Self {
        let mut ahead = Self {
            notes,
            met: HashSet::new(),
            last_site: Vec::new(),
            worker: None,
            has_ended: Arc::default(),
        };
        if Database::here().is_some_and(|database| !database.is_known(&ahead.notes)) {
            ahead.give(Task::System);
        }
        ahead
    }

    /// Takes the next event.
    pub fn see(&mut self, event: &TraceEvent) {
        let (file, is_program) = match &event.kind {
            EventKind::Touched { file, access } => {
                (file, matches!(access, Access::Executed | Access::Mapped))
            }
            EventKind::Executed {
                image: Some(image), ..
            } => (image, true),
            _ => return,
        };
        let path = file.path.as_bytes();
        if let Some(site) = python::site_of(path) {
            // Most files come from where the last one came from.
            if self.last_site != site {
                self.last_site = site.to_vec();
                if self.met.insert(site.to_vec()) {
                    self.give(Task::Site(path_of(site)));
                }
            }
        } else if is_program && interpreter::may_be(path) && self.met.insert(path.to_vec()) {
            self.give(Task::Program(path_of(path)));
        }
    }

    /// The command has ended: finishes what was begun, and leaves the rest.
    pub fn finish(self) -> Arc<Notes> {
        self.has_ended.store(true, Ordering::Relaxed);
        if let Some(Worker { tasks, thread }) = self.worker {
            drop(tasks);
            // Notes that a broken thread did not make are made now.
            drop(thread.join());
        }
        self.notes
    }

    fn give(&mut self, task: Task) {
        if self.worker.is_none() {
            self.worker = self.work();
        }
        if let Some(worker) = &self.worker {
            // A thread that is gone does nothing ahead.
            drop(worker.tasks.send(task));
        }
    }

    fn work(&self) -> Option<Worker> {
        let (tasks, received) = mpsc::channel();
        let (notes, has_ended) = (Arc::clone(&self.notes), Arc::clone(&self.has_ended));
        let thread = std::thread::Builder::new()
            .name("packages".to_owned())
            .spawn(move || work(&received, &notes, &has_ended))
            .ok()?;
        Some(Worker { tasks, thread })
    }
}

fn work(tasks: &Receiver<Task>, notes: &Notes, has_ended: &AtomicBool) {
    for task in tasks {
        if has_ended.load(Ordering::Relaxed) {
            return;
        }
        match task {
            Task::System => {
                if let Some(database) = Database::here() {
                    database.index(notes);
                }
            }
            Task::Site(folder) => {
                python::learn(&folder, notes);
                conda::learn(&folder, notes);
            }
            Task::Program(path) => {
                interpreter::learn(&path, notes);
                if let Some(folder) = path.parent() {
                    conda::learn(folder, notes);
                }
            }
        }
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    crate::model::RawString::new(bytes).to_path_buf()
}
