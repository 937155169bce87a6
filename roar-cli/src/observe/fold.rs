//! The fold: one event after the other into process tree, files and names.
//!
//! # What an event means
//! A file is *modified* once the job created, wrote, emptied or share-mapped it. The first
//! modification decides whether content from before the job may be left in it (`KEPT`);
//! emptying it or writing over all of it later settles that none is. Reading counts as
//! consumption only while such content is there. What follows from these facts for inputs
//! and outputs is decided at the end, in `conclude`.
//!
//! # Order
//! A process's own events come in its order; those of others may come a little early or
//! late. So a touch at a name that another file is known to hold moves the name, but a
//! touch at a name that the job took from the very file does not bring the name back, and
//! a creation reported after another process's touch of the same new file still counts.

use hashbrown::HashMap;

use super::conclude;
use super::files::{Facts, FileIndex, Files, Kind, NameFacts, Role};
use super::gaps::Gaps;
use super::network::Contacts;
use super::observation::{FileStamp, Observation, ProcessIndex};
use super::paths::{Node, Paths, Space};
use super::processes::Processes;
use crate::event::{Access, EventKind, FileState, PathQuality, TraceEvent};

/// Folds the events of one job.
pub struct Fold {
    pub(super) processes: Processes,
    pub(super) paths: Paths,
    pub(super) files: Files,
    pub(super) truncated_paths: u64,
    gaps: Gaps,
    contacts: Contacts,
    /// Names at which one file's touch ended another's hold though no event had said that
    /// the name changed, with the process of that touch. The event is still to come, from
    /// another process, and must not end the new hold.
    pub(super) owed: HashMap<Node, ProcessIndex>,
    /// Whether any directory from before the job was moved.
    pub(super) moved_directories: bool,
}

impl Default for Fold {
    fn default() -> Self {
        Self::new()
    }
}

impl Fold {
    /// A fold that has seen nothing.
    pub fn new() -> Self {
        Self {
            processes: Processes::default(),
            paths: Paths::new(),
            files: Files::default(),
            truncated_paths: 0,
            gaps: Gaps::default(),
            contacts: Contacts::default(),
            owed: HashMap::new(),
            moved_directories: false,
        }
    }

    /// Takes one event in.
    pub fn push(&mut self, event: &TraceEvent) {
        let TraceEvent {
            at_ns: _,
            process: id,
            kind,
        } = event;
        match kind {
            EventKind::Started { parent } => self.processes.start(*id, *parent),
            EventKind::Executed {
                image,
                argv,
                argv_truncated: _,
            } => {
                let process = self.processes.of(*id);
                let path = image.as_ref().map(|image| image.path.clone());
                self.processes.exec(process, path, argv);
                if let Some(image) = image {
                    self.touch(process, image, Access::Executed);
                }
            }
            EventKind::Exited { code, signal } => {
                let process = self.processes.of(*id);
                self.processes.exit(process, *code, *signal);
            }
            EventKind::Touched { file, access } => {
                let process = self.processes.of(*id);
                self.touch(process, file, *access);
            }
            EventKind::Renamed {
                from,
                to,
                change,
                id: named,
            } => {
                let process = self.processes.of(*id);
                self.change_name(process, from, to, *change, *named);
            }
            EventKind::Symlinked { path, target: _ } => {
                let process = self.processes.of(*id);
                self.make(process, path, Kind::Symlink);
            }
            EventKind::DirectoryMade { path } => {
                let process = self.processes.of(*id);
                self.make(process, path, Kind::Directory);
            }
            EventKind::Removed { path } => {
                let process = self.processes.of(*id);
                let node = self.locate(path);
                if !self.was_owed(node, process)
                    && let Some(file) = self.paths.bound(node)
                {
                    self.take(file, node);
                }
            }
            EventKind::Contacted {
                address,
                port,
                protocol,
            } => self.contacts.contacted(*address, *port, *protocol),
            EventKind::Resolved { name, addresses } => self.contacts.resolved(name, addresses),
            // Who hashes is told.
            EventKind::Content { .. } => {}
            EventKind::Gap(gap) => self.gaps.add(gap.clone()),
        }
    }

    /// What the job did.
    pub fn finish(mut self) -> Observation {
        let mut observation = Observation::default();
        conclude::files(&self, &mut observation);
        observation.truncated_paths = self.truncated_paths;
        let (processes, gaps) = self.processes.finish();
        observation.processes = processes;
        for gap in gaps {
            self.gaps.add(gap);
        }
        observation.network = self.contacts.finish();
        observation.gaps = self.gaps.list;
        observation
    }

    fn touch(&mut self, process: ProcessIndex, state: &FileState, access: Access) {
        let space = match state.quality {
            PathQuality::Foreign => Space::Foreign,
            PathQuality::Full | PathQuality::Truncated | PathQuality::Unlinked => Space::Own,
        };
        let node = self.paths.intern(&state.path, space);
        let index = self.resolve(process, state, node, access == Access::Created);
        self.note_name(process, index, node, state, access);

        let stamp = FileStamp::from(state);
        let file = self.files.get_mut(index);
        file.kind = Kind::Regular;
        if state.quality == PathQuality::Truncated && !file.facts.any(Facts::CUT) {
            file.facts.add(Facts::CUT);
            self.truncated_paths += 1;
        }
        let pristine = !file.facts.any(Facts::MODIFIED);
        let was_empty = file.facts.any(Facts::WAS_EMPTY);
        let is_before_write = match access {
            Access::Read
            | Access::Mapped
            | Access::Executed
            | Access::OpenedRead
            | Access::OpenedWrite
            | Access::MappedWrite
            | Access::Mappable => pristine,
            Access::InferredWrite
            | Access::Written { .. }
            | Access::Created
            | Access::Truncated => false,
        };
        if is_before_write {
            if !file.facts.any(Facts::STAMPED) {
                file.facts.add(Facts::STAMPED);
                file.stamp = stamp;
            }
            file.facts.set(Facts::WAS_EMPTY, stamp.size_bytes == 0);
        }
        let (consumed, modified) = match access {
            Access::Read => (Some(Facts::READ), None),
            Access::Mapped => (Some(Facts::MAPPED), None),
            Access::Executed => (Some(Facts::EXECUTED), None),
            Access::OpenedRead => (Some(Facts::OPENED), None),
            Access::OpenedWrite => (None, None),
            Access::Mappable => {
                file.facts.add(Facts::MAPPABLE);
                (None, None)
            }
            Access::Written { .. } | Access::Created | Access::Truncated => {
                (None, Some(Facts::WRITTEN))
            }
            Access::MappedWrite => (None, Some(Facts::MAPPED_WRITE)),
            Access::InferredWrite => (None, Some(Facts::INFERRED)),
        };
        if let Some(consumed) = consumed {
            if pristine || file.facts.any(Facts::KEPT) {
                if !file.facts.any(Facts::CONSUMED) {
                    (file.input, file.input_quality) = (node, state.quality);
                }
                file.facts.add(consumed);
            }
            self.files.add_process(index, Role::Reader, process);
        }
        let file = self.files.get_mut(index);
        if let Some(modified) = modified {
            // Whether this write left nothing of what was there.
            let replaced = match access {
                Access::Written { bytes } => stamp.size_bytes <= bytes,
                Access::Created => true,
                _ => stamp.size_bytes == 0,
            };
            if replaced {
                file.facts.remove(Facts::KEPT);
            } else if pristine && !was_empty {
                file.facts.add(Facts::KEPT);
                if !file.facts.any(Facts::CONSUMED) {
                    (file.input, file.input_quality) = (node, state.quality);
                }
            }
            file.facts.add(modified);
            if access == Access::Created {
                // What others were seen to do before this was reported, they did to a new file.
                file.facts.add(Facts::CREATED);
                file.facts.remove(Facts::CONSUMED);
            }
            self.files.add_process(index, Role::Writer, process);
        }
    }

    /// The file a touch is about.
    fn resolve(
        &mut self,
        process: ProcessIndex,
        state: &FileState,
        node: Node,
        created: bool,
    ) -> FileIndex {
        let at_node = if holds_name(state) {
            self.paths.bound(node)
        } else {
            None
        };
        let at_node =
            at_node.filter(|at| matches!(self.files.get(*at).kind, Kind::Regular | Kind::Unknown));
        let known = match state.id {
            None => at_node,
            Some(id) => self.files.find(id).or_else(|| {
                // Seen before, by its path alone.
                let at_node = at_node.filter(|at| self.files.id(*at).is_none())?;
                self.files.identify(at_node, id);
                Some(at_node)
            }),
        };
        if let Some(known) = known {
            let is_same = if created {
                self.is_same_creation(known, node, process)
            } else {
                self.is_same_file(known, node, state)
            };
            if is_same {
                return known;
            }
            // The identity (or the name, where that is all there is) is in use again.
            self.retire(known);
        }
        self.files.insert(Kind::Regular, state.id)
    }

    /// Whether a creation is one already known: a repetition, or the report of a creation
    /// that another process's touches overtook. Else the inode number is in use again.
    fn is_same_creation(&self, known: FileIndex, node: Node, process: ProcessIndex) -> bool {
        let Some(name) = self.files.name(known, node) else {
            return false;
        };
        if self.files.get(known).facts.any(Facts::CREATED) {
            return name.any(NameFacts::ALIVE.with(NameFacts::LABEL));
        }
        name.any(NameFacts::ALIVE) && !self.files.touched_by(known, process)
    }

    /// Whether a touch is of the known file of that identity. It is not when the job took
    /// every name from that file and the touch is at a name that it never had.
    fn is_same_file(&self, known: FileIndex, node: Node, state: &FileState) -> bool {
        let facts = NameFacts::ALIVE;
        let mut was_taken = false;
        for name in self.files.names(known) {
            if name.facts.any(facts) || name.node == node {
                return true;
            }
            was_taken |= name.facts.any(NameFacts::TAKEN);
        }
        !was_taken || !holds_name(state)
    }

    /// Takes up what a touch says of its file's names.
    fn note_name(
        &mut self,
        process: ProcessIndex,
        index: FileIndex,
        node: Node,
        state: &FileState,
        access: Access,
    ) {
        let known = self.files.name(index, node);
        if known.is_some_and(|name| name.any(NameFacts::ALIVE)) {
            if state.quality == PathQuality::Unlinked {
                // Removed from outside, or by an event that is still to come.
                self.lose(index, node);
            }
            return;
        }
        let quality = match state.quality {
            PathQuality::Full => NameFacts::default(),
            PathQuality::Foreign => NameFacts::FOREIGN,
            PathQuality::Truncated => NameFacts::CUT,
            PathQuality::Unlinked => {
                if self.files.names(index).next().is_none() {
                    self.files.set_name(index, node, NameFacts::LABEL);
                }
                return;
            }
        };
        if known.is_some_and(|name| name.any(NameFacts::TAKEN)) && access != Access::Created {
            return;
        }
        let alive = quality.with(NameFacts::ALIVE);
        let is_first = self.files.names(index).next().is_none();
        let former = if is_first && access != Access::Created {
            self.former(node)
        } else {
            None
        };
        if let Some(former) = former {
            self.arrive(index, former, node, quality);
        } else {
            let facts = known
                .unwrap_or(NameFacts::ORIGINAL)
                .without(NameFacts::LABEL);
            self.files.set_name(index, node, facts.with(alive));
        }
        if holds_name(state) {
            if let Some(other) = self.paths.bound(node) {
                self.lose(other, node);
                self.owed.insert(node, process);
            }
            self.paths.bind(node, index);
        }
    }
}

/// Whether a touch shows that its path names its file.
fn holds_name(state: &FileState) -> bool {
    match state.quality {
        PathQuality::Full | PathQuality::Foreign => true,
        PathQuality::Truncated => state.id.is_none(),
        PathQuality::Unlinked => false,
    }
}
