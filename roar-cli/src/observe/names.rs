//! What events about names do to the names of files.
//!
//! `relocate`, `give`, `take` and `lose` are the only places where a name changes hands
//! other than by a touch, and keep the tree of paths and the files' own lists in step.

use super::files::{Facts, FileIndex, Kind, NameFacts, Role};
use super::fold::Fold;
use super::observation::ProcessIndex;
use super::paths::{Node, Space};
use crate::event::{FileId, NameChange};
use crate::model::RawString;

impl Fold {
    pub(super) fn change_name(
        &mut self,
        process: ProcessIndex,
        from: &RawString,
        to: &RawString,
        change: NameChange,
        id: Option<FileId>,
    ) {
        let from_node = self.locate(from);
        let space = if self.is_foreign(from, from_node) {
            Space::Foreign
        } else {
            Space::Own
        };
        let to_node = self.paths.intern(to, space);
        if from_node == to_node {
            return;
        }
        let index = self.named(process, from, from_node, id, change);
        match change {
            NameChange::Link => self.give(index, to_node, space, process),
            NameChange::Rename => {
                if self.are_names_of(index, from_node, to_node) {
                    return;
                }
                let bound = self.paths.bound(from_node);
                if bound.is_some_and(|bound| bound != index) {
                    // Another file has the old name already: the report of this is late.
                    self.take(index, from_node);
                } else {
                    let moved = self.paths.subtree(from_node, to_node);
                    self.relocate(&moved, space, process);
                }
                if bound != Some(index) {
                    // Known by identity only, or under a name that the fold had not seen.
                    self.give(index, to_node, space, process);
                }
            }
            NameChange::Exchange => {
                let other = self.named(process, to, to_node, None, change);
                let mut moved = self.paths.subtree(from_node, to_node);
                moved.extend(self.paths.subtree(to_node, from_node));
                self.relocate(&moved, space, process);
                for (index, node) in [(index, to_node), (other, from_node)] {
                    if self.paths.bound(node) != Some(index) {
                        self.give(index, node, space, process);
                    }
                }
            }
        }
    }

    /// Whether a file has both names, so that rename(2) between them did nothing. When only a
    /// touch told of `to`, and after `from` was known, the touch overtook the rename.
    fn are_names_of(&self, index: FileIndex, from: Node, to: Node) -> bool {
        let mut from_is_alive = false;
        for name in self.files.names(index) {
            if name.facts.any(NameFacts::ALIVE) {
                if name.node == to && (!from_is_alive || name.facts.any(NameFacts::GIVEN)) {
                    let from = self.files.name(index, from);
                    return from.is_some_and(|name| name.any(NameFacts::ALIVE));
                }
                from_is_alive |= name.node == from;
            }
        }
        false
    }

    /// Moves files to new names, all at once.
    fn relocate(&mut self, moved: &[(FileIndex, Node, Node)], space: Space, process: ProcessIndex) {
        for (file, from, _) in moved {
            self.take(*file, *from);
        }
        for (file, _, to) in moved {
            self.give(*file, *to, space, process);
        }
    }

    /// What the first name of a change of names stands for. What was never seen before is
    /// entered: a change of names is the first one hears of most files that are moved.
    fn named(
        &mut self,
        process: ProcessIndex,
        path: &RawString,
        node: Node,
        id: Option<FileId>,
        change: NameChange,
    ) -> FileIndex {
        if let Some(bound) = self.paths.bound(node) {
            match (self.files.id(bound), id) {
                (_, None) => return bound,
                (Some(known), Some(id)) if known == id => return bound,
                (None, Some(id)) if self.files.find(id).is_none() => {
                    self.files.identify(bound, id);
                    return bound;
                }
                // It stands for another file: either this report is late and that file has
                // taken the name since, or what was known of the name is out of date.
                _ if self.was_owed(node, process) => {}
                _ => self.lose(bound, node),
            }
        }
        if let Some(found) = id.and_then(|id| self.files.find(id)) {
            if change != NameChange::Link && self.files.name(found, node).is_none() {
                let facts = NameFacts::ORIGINAL.with(NameFacts::TAKEN);
                self.files.set_name(found, node, facts);
            }
            return found;
        }
        let is_directory = self.paths.has_children(node);
        let kind = if is_directory {
            Kind::Directory
        } else {
            Kind::Unknown
        };
        let index = self.files.insert(kind, id);
        self.moved_directories |= change != NameChange::Link;
        if path.as_bytes().is_empty() || path.as_bytes().starts_with(b"/proc/") {
            // A descriptor's name (linkat of an unnamed file), not a file's.
            return index;
        }
        if self.paths.bound(node).is_some() {
            // A newer file has the name: the report is late.
            let taken = NameFacts::ORIGINAL.with(NameFacts::TAKEN);
            self.files.set_name(index, node, taken);
            return index;
        }
        if let Some(former) = self.former(node) {
            self.arrive(index, former, node, NameFacts::default());
        } else {
            let alive = NameFacts::ALIVE.with(NameFacts::ORIGINAL);
            self.files.set_name(index, node, alive);
        }
        self.paths.bind(node, index);
        index
    }

    /// A directory or a symbolic link was made.
    pub(super) fn make(&mut self, process: ProcessIndex, path: &RawString, kind: Kind) {
        let node = self.paths.intern(path, Space::Own);
        if let Some(stale) = self.paths.bound(node) {
            if self.files.get(stale).kind == kind {
                return;
            }
            self.lose(stale, node);
            self.owed.insert(node, process);
        }
        let index = self.files.insert(kind, None);
        self.files.get_mut(index).facts.add(Facts::CREATED);
        self.files.set_name(index, node, NameFacts::ALIVE);
        self.paths.bind(node, index);
    }

    /// A rename or link of the job gave a file a name.
    fn give(&mut self, index: FileIndex, node: Node, space: Space, process: ProcessIndex) {
        if let Some(other) = self.paths.bound(node)
            && other != index
        {
            self.take(other, node);
        }
        let mut given = NameFacts::ALIVE.with(NameFacts::GIVEN);
        if space == Space::Foreign {
            given = given.with(NameFacts::FOREIGN);
        }
        let facts = match self.files.name(index, node) {
            // A name that it had before it was moved away: it is back.
            Some(name) if !name.any(NameFacts::ALIVE) => name.without(NameFacts::TAKEN).with(given),
            // Touched at its new name before the change was reported.
            Some(name) => name.without(NameFacts::ORIGINAL).with(given),
            None => given,
        };
        self.files
            .set_name(index, node, facts.without(NameFacts::LABEL));
        self.paths.bind(node, index);
        self.files.add_process(index, Role::Writer, process);
    }

    /// An event took a name from a file.
    pub(super) fn take(&mut self, index: FileIndex, node: Node) {
        self.lose(index, node);
        let name = self.files.name(index, node).unwrap_or_default();
        self.files
            .set_name(index, node, name.with(NameFacts::TAKEN));
    }

    /// A name stands for the file no more.
    pub(super) fn lose(&mut self, index: FileIndex, node: Node) {
        if self.paths.bound(node) == Some(index) {
            self.paths.unbind(node);
        }
        if let Some(name) = self.files.name(index, node) {
            self.files
                .set_name(index, node, name.without(NameFacts::ALIVE));
        }
    }

    /// Another file has the identity now: this one lost every name it may have had.
    pub(super) fn retire(&mut self, index: FileIndex) {
        let names: Vec<_> = self.files.names(index).collect();
        for name in names {
            if name.facts.any(NameFacts::ALIVE) {
                self.take(index, name.node);
            }
        }
    }

    /// Whether a name is held by a newer file than an event of `process` that ends its hold
    /// can mean. A process's own events are in order, so its own touch owes it nothing.
    pub(super) fn was_owed(&mut self, node: Node, process: ProcessIndex) -> bool {
        self.owed
            .remove(&node)
            .is_some_and(|toucher| toucher != process)
    }

    /// The node of a path that came without a quality: among roar's own names or, where
    /// only a process of another mount namespace knows it, among that namespace's.
    pub(super) fn locate(&mut self, path: &RawString) -> Node {
        let own = self.paths.intern(path, Space::Own);
        if self.paths.has_foreign() && !self.is_known(own) {
            let foreign = self.paths.intern(path, Space::Foreign);
            if self.is_known(foreign) {
                return foreign;
            }
        }
        own
    }

    fn is_foreign(&mut self, path: &RawString, node: Node) -> bool {
        self.paths.has_foreign() && self.paths.intern(path, Space::Own) != node
    }

    fn is_known(&self, node: Node) -> bool {
        self.paths.bound(node).is_some() || self.paths.has_children(node)
    }

    /// A file is first seen, at `node`, and came there in a directory that the job moved.
    pub(super) fn arrive(
        &mut self,
        index: FileIndex,
        former: Former,
        node: Node,
        facts: NameFacts,
    ) {
        let taken = NameFacts::ORIGINAL.with(NameFacts::TAKEN);
        self.files.set_name(index, former.node, taken);
        let given = NameFacts::ALIVE.with(NameFacts::GIVEN).with(facts);
        self.files.set_name(index, node, given);
        self.files.add_process(index, Role::Writer, former.mover);
    }

    /// Where a file first seen at `node` was before the job, when a directory above it is
    /// one that the job moved there.
    pub(super) fn former(&mut self, node: Node) -> Option<Former> {
        if !self.moved_directories {
            return None;
        }
        let mut below = vec![node];
        let mut at = self.paths.parent(node)?;
        let (start, mover) = loop {
            if let Some(bound) = self.paths.bound(at) {
                let directory = self.files.get_mut(bound);
                if directory.kind == Kind::Unknown {
                    // Something is in it, so that is what it is.
                    directory.kind = Kind::Directory;
                }
                if directory.kind != Kind::Directory || directory.facts.any(Facts::CREATED) {
                    return None;
                }
                if self.files.name(bound, at)?.any(NameFacts::ORIGINAL) {
                    return None;
                }
                let mut names = self.files.names(bound);
                let original = names.find(|name| name.facts.any(NameFacts::ORIGINAL))?;
                let movers = self.files.processes(bound, Role::Writer);
                break (original.node, *movers.first()?);
            }
            below.push(at);
            at = self.paths.parent(at)?;
        };
        let mut former = start;
        for node in below.iter().rev() {
            former = self.paths.same_child(former, *node);
        }
        Some(Former {
            node: former,
            mover,
        })
    }
}

/// Where a file was before the job, when a directory above it was moved.
#[derive(Clone, Copy)]
pub(super) struct Former {
    node: Node,
    mover: ProcessIndex,
}
