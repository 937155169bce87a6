//! Every path of a job, as a tree of components, and which file each name stands for now.
//!
//! A node is a path and never changes its meaning: a rename moves bindings from node to
//! node, so that a former path can still be told. Each component's bytes are stored once.
//! Nodes that are bound, or have bound nodes below, hang in their parent's list of
//! children; the others are detached. The rename of a directory thus costs what is bound
//! below it, however much had been there before.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;

use super::files::FileIndex;
use crate::model::RawString;

/// One path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node(u32);

impl Node {
    /// Stands for "no node" in the links of the tree and in compact tables.
    pub(super) const NONE: Self = Self(u32::MAX);

    fn at(self) -> usize {
        self.0 as usize
    }
}

/// The spaces of names. Equal bytes in different spaces are different names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Names valid in roar's mount namespace (absolute or, in odd input, relative).
    Own,
    /// Names as a process of another mount namespace saw them.
    Foreign,
}

const ROOT: Node = Node(0);
const RELATIVE_ROOT: Node = Node(1);
const FOREIGN_ROOT: Node = Node(2);
const FOREIGN_RELATIVE_ROOT: Node = Node(3);

struct Entry {
    name_start: usize,
    name_len: u32,
    parent: Node,
    first_child: Node,
    next: Node,
    previous: Node,
    bound: FileIndex,
}

/// The tree.
pub(super) struct Paths {
    entries: Vec<Entry>,
    names: Vec<u8>,
    index: HashTable<Node>,
    hasher: DefaultHashBuilder,
    /// The directory that was looked up last: consecutive events tend to share it.
    last_directory: (Vec<u8>, Space, Node),
    has_foreign: bool,
}

impl Paths {
    pub(super) fn new() -> Self {
        let root = || Entry {
            name_start: 0,
            name_len: 0,
            parent: Node::NONE,
            first_child: Node::NONE,
            next: Node::NONE,
            previous: Node::NONE,
            bound: FileIndex::NONE,
        };
        Self {
            entries: vec![root(), root(), root(), root()],
            names: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            last_directory: (Vec::new(), Space::Own, RELATIVE_ROOT),
            has_foreign: false,
        }
    }

    /// The node of a path. Repeated and trailing slashes do not count.
    pub(super) fn intern(&mut self, path: &RawString, space: Space) -> Node {
        let mut path = path.as_bytes();
        while path.len() > 1 && path.ends_with(b"/") {
            path = &path[..path.len() - 1];
        }
        self.has_foreign |= space == Space::Foreign;
        let cut = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let (directory, name) = path.split_at(cut);
        let (last, last_space, last_node) = &self.last_directory;
        let parent = if last == directory && *last_space == space {
            *last_node
        } else {
            let node = self.walk(directory, space);
            self.last_directory.0.clear();
            self.last_directory.0.extend_from_slice(directory);
            self.last_directory.1 = space;
            self.last_directory.2 = node;
            node
        };
        if name.is_empty() {
            parent
        } else {
            self.child(parent, name)
        }
    }

    /// Whether any name of another namespace was ever seen.
    pub(super) fn has_foreign(&self) -> bool {
        self.has_foreign
    }

    /// The path of a node, byte for byte as it came but for surplus slashes.
    pub(super) fn path(&self, node: Node) -> RawString {
        let mut chain = Vec::new();
        let mut at = node;
        while self.entries[at.at()].parent != Node::NONE {
            chain.push(at);
            at = self.entries[at.at()].parent;
        }
        let mut absolute = at == ROOT || at == FOREIGN_ROOT;
        let len: usize = chain.iter().map(|node| self.name(*node).len() + 1).sum();
        let mut bytes = Vec::with_capacity(len.max(1));
        if absolute && chain.is_empty() {
            bytes.push(b'/');
        }
        for node in chain.iter().rev() {
            if absolute {
                bytes.push(b'/');
            }
            absolute = true;
            bytes.extend_from_slice(self.name(*node));
        }
        bytes.shrink_to_fit();
        RawString::new(bytes)
    }

    /// The file that a name stands for now.
    pub(super) fn bound(&self, node: Node) -> Option<FileIndex> {
        let bound = self.entries[node.at()].bound;
        (bound != FileIndex::NONE).then_some(bound)
    }

    /// Makes a name stand for a file.
    pub(super) fn bind(&mut self, node: Node, file: FileIndex) {
        let mut attached = self.is_attached(node);
        self.entries[node.at()].bound = file;
        let mut at = node;
        while !attached {
            let parent = self.entries[at.at()].parent;
            if parent == Node::NONE {
                break;
            }
            attached = self.is_attached(parent);
            let next = self.entries[parent.at()].first_child;
            self.entries[at.at()].next = next;
            self.entries[at.at()].previous = Node::NONE;
            if next != Node::NONE {
                self.entries[next.at()].previous = at;
            }
            self.entries[parent.at()].first_child = at;
            at = parent;
        }
    }

    /// Makes a name stand for nothing.
    pub(super) fn unbind(&mut self, node: Node) {
        if self.entries[node.at()].bound == FileIndex::NONE {
            return;
        }
        self.entries[node.at()].bound = FileIndex::NONE;
        let mut at = node;
        while !self.is_attached(at) {
            let entry = &self.entries[at.at()];
            let (parent, next, previous) = (entry.parent, entry.next, entry.previous);
            if parent == Node::NONE {
                break;
            }
            if previous == Node::NONE {
                self.entries[parent.at()].first_child = next;
            } else {
                self.entries[previous.at()].next = next;
            }
            if next != Node::NONE {
                self.entries[next.at()].previous = previous;
            }
            at = parent;
        }
    }

    /// Whether some name below this one is bound: then it is a directory.
    pub(super) fn has_children(&self, node: Node) -> bool {
        self.entries[node.at()].first_child != Node::NONE
    }

    /// The directory a name is in.
    pub(super) fn parent(&self, node: Node) -> Option<Node> {
        let parent = self.entries[node.at()].parent;
        (parent != Node::NONE).then_some(parent)
    }

    /// What is bound at `from` and below, each with its node and the node it has after
    /// `from` became `to`.
    pub(super) fn subtree(&mut self, from: Node, to: Node) -> Vec<(FileIndex, Node, Node)> {
        // The walk ends before the first node is made: `to` may lie below `from` in odd input.
        let mut walk = vec![(from, 0)];
        let mut at = 0;
        while let Some((node, _)) = walk.get(at).copied() {
            let mut child = self.entries[node.at()].first_child;
            while child != Node::NONE {
                walk.push((child, at));
                child = self.entries[child.at()].next;
            }
            at += 1;
        }
        let mut targets = Vec::with_capacity(walk.len());
        let mut bound = Vec::new();
        for (at, (node, parent)) in walk.into_iter().enumerate() {
            let target = if at == 0 {
                to
            } else {
                self.same_child(targets[parent], node)
            };
            targets.push(target);
            if let Some(file) = self.bound(node) {
                bound.push((file, node, target));
            }
        }
        bound
    }

    /// The child of `parent` that has the same name as `model`.
    pub(super) fn same_child(&mut self, parent: Node, model: Node) -> Node {
        let name = self.name(model);
        let hash = self.hasher.hash_one((parent.0, name));
        if let Some(found) = self.find(hash, parent, name) {
            return found;
        }
        let entry = &self.entries[model.at()];
        let (name_start, name_len) = (entry.name_start, entry.name_len);
        self.insert(hash, parent, name_start, name_len)
    }

    fn walk(&mut self, directory: &[u8], space: Space) -> Node {
        let absolute = directory.first() == Some(&b'/');
        let mut node = match (space, absolute) {
            (Space::Own, true) => ROOT,
            (Space::Own, false) => RELATIVE_ROOT,
            (Space::Foreign, true) => FOREIGN_ROOT,
            (Space::Foreign, false) => FOREIGN_RELATIVE_ROOT,
        };
        for name in directory
            .split(|b| *b == b'/')
            .filter(|name| !name.is_empty())
        {
            node = self.child(node, name);
        }
        node
    }

    fn child(&mut self, parent: Node, name: &[u8]) -> Node {
        let hash = self.hasher.hash_one((parent.0, name));
        if let Some(found) = self.find(hash, parent, name) {
            return found;
        }
        let name_start = self.names.len();
        self.names.extend_from_slice(name);
        let name_len = u32::try_from(name.len()).expect("a component is shorter than 4 GiB");
        self.insert(hash, parent, name_start, name_len)
    }

    fn find(&self, hash: u64, parent: Node, name: &[u8]) -> Option<Node> {
        let same =
            |node: &Node| self.entries[node.at()].parent == parent && self.name(*node) == name;
        self.index.find(hash, same).copied()
    }

    fn insert(&mut self, hash: u64, parent: Node, name_start: usize, name_len: u32) -> Node {
        let node = u32::try_from(self.entries.len()).expect("2^32 paths exceed memory");
        let node = Node(node);
        self.entries.push(Entry {
            name_start,
            name_len,
            parent,
            first_child: Node::NONE,
            next: Node::NONE,
            previous: Node::NONE,
            bound: FileIndex::NONE,
        });
        let (entries, names, hasher) = (&self.entries, &self.names, &self.hasher);
        self.index.insert_unique(hash, node, |node| {
            let entry = &entries[node.at()];
            let name = &names[entry.name_start..][..entry.name_len as usize];
            hasher.hash_one((entry.parent.0, name))
        });
        node
    }

    fn name(&self, node: Node) -> &[u8] {
        let entry = &self.entries[node.at()];
        &self.names[entry.name_start..][..entry.name_len as usize]
    }

    fn is_attached(&self, node: Node) -> bool {
        let entry = &self.entries[node.at()];
        entry.bound != FileIndex::NONE || entry.first_child != Node::NONE
    }
}
