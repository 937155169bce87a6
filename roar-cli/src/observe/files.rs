//! The table of files: identity, evidence and names of each, kept small.
//!
//! A job may touch millions of files, so a [`File`] is a few words: two names, one reader
//! and one writer are held in place, further ones in side tables. What events mean is the
//! fold's business; this is its memory.

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher as _;

use super::observation::{FileStamp, ProcessIndex};
use super::paths::Node;
use crate::event::{FileId, PathQuality};

/// An index into the table of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileIndex(u32);

impl FileIndex {
    /// Stands for "no file" in compact tables.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// What is known of a file, as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(u16);

impl Facts {
    /// Came into being in the job.
    pub(super) const CREATED: Self = Self(1);
    /// Written, emptied or created, as a system call said.
    pub(super) const WRITTEN: Self = Self(1 << 1);
    /// Mapped shared and writable.
    pub(super) const MAPPED_WRITE: Self = Self(1 << 2);
    /// Written, as the back-end infers.
    pub(super) const INFERRED: Self = Self(1 << 3);
    /// Written into, and content from before the job may be left in it.
    pub(super) const KEPT: Self = Self(1 << 4);
    /// Known to have been empty before the job wrote.
    pub(super) const WAS_EMPTY: Self = Self(1 << 5);
    /// `stamp` holds the state before the job's first write.
    pub(super) const STAMPED: Self = Self(1 << 6);
    /// Content from before the job was read,
    pub(super) const READ: Self = Self(1 << 7);
    /// mapped,
    pub(super) const MAPPED: Self = Self(1 << 8);
    /// executed,
    pub(super) const EXECUTED: Self = Self(1 << 9);
    /// or the file opened for reading.
    pub(super) const OPENED: Self = Self(1 << 10);
    /// A path of it came truncated.
    pub(super) const CUT: Self = Self(1 << 11);
    /// It may have been mapped shared and writable, unseen.
    pub(super) const MAPPABLE: Self = Self(1 << 12);

    /// Any evidence of a write.
    pub(super) const MODIFIED: Self =
        Self(Self::CREATED.0 | Self::WRITTEN.0 | Self::MAPPED_WRITE.0 | Self::INFERRED.0);
    /// Its state need not tell of every store.
    pub(super) const STORED_TO: Self = Self(Self::MAPPED_WRITE.0 | Self::MAPPABLE.0);
    /// Any evidence that content from before the job was consumed.
    pub(super) const CONSUMED: Self =
        Self(Self::READ.0 | Self::MAPPED.0 | Self::EXECUTED.0 | Self::OPENED.0);

    /// Whether any of `facts` holds.
    pub(super) fn any(self, facts: Self) -> bool {
        self.0 & facts.0 != 0
    }

    pub(super) fn add(&mut self, facts: Self) {
        self.0 |= facts.0;
    }

    pub(super) fn remove(&mut self, facts: Self) {
        self.0 &= !facts.0;
    }

    pub(super) fn set(&mut self, facts: Self, value: bool) {
        if value {
            self.add(facts);
        } else {
            self.remove(facts);
        }
    }
}

/// What kind of thing an entry of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    /// Only names were seen.
    Unknown,
    Directory,
    Symlink,
}

/// What is known of one name of a file, as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NameFacts(u8);

impl NameFacts {
    /// The name stands for the file now.
    pub(super) const ALIVE: Self = Self(1);
    /// The file had this name from somewhere else than a rename or link of the job.
    pub(super) const ORIGINAL: Self = Self(1 << 1);
    /// A rename or link of the job gave it this name.
    pub(super) const GIVEN: Self = Self(1 << 2);
    /// An event of the job took the name away (a touch of another file there did not).
    pub(super) const TAKEN: Self = Self(1 << 3);
    /// The name is of another mount namespace.
    pub(super) const FOREIGN: Self = Self(1 << 4);
    /// The name is the end of a longer path.
    pub(super) const CUT: Self = Self(1 << 5);
    /// Never a name in the tree: the last name of a file that had none when touched.
    pub(super) const LABEL: Self = Self(1 << 6);

    /// Whether any of `facts` holds.
    pub(super) fn any(self, facts: Self) -> bool {
        self.0 & facts.0 != 0
    }

    /// These facts and those.
    pub(super) fn with(self, facts: Self) -> Self {
        Self(self.0 | facts.0)
    }

    /// These facts without those.
    pub(super) fn without(self, facts: Self) -> Self {
        Self(self.0 & !facts.0)
    }

    /// What the name says of the quality of its path.
    pub(super) fn quality(self) -> PathQuality {
        if self.any(Self::CUT) {
            PathQuality::Truncated
        } else if self.any(Self::FOREIGN) {
            PathQuality::Foreign
        } else if self.any(Self::LABEL) {
            PathQuality::Unlinked
        } else {
            PathQuality::Full
        }
    }
}

/// One name of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) node: Node,
    pub(super) facts: NameFacts,
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    inode: u64,
    pub(super) stamp: FileStamp,
    generation: u32,
    device: u32,
    nodes: [Node; 2],
    /// The path at the first consumption or, before any, at the first write.
    pub(super) input: Node,
    reader: ProcessIndex,
    writer: ProcessIndex,
    pub(super) facts: Facts,
    name_facts: [NameFacts; 2],
    pub(super) kind: Kind,
    pub(super) input_quality: PathQuality,
}

const NO_DEVICE: u32 = u32::MAX;
const NO_PROCESS: ProcessIndex = ProcessIndex(u32::MAX);

/// Which list of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Reader,
    Writer,
}

/// The table.
#[derive(Default)]
pub(super) struct Files {
    list: Vec<File>,
    devices: Vec<u64>,
    by_id: HashTable<FileIndex>,
    hasher: DefaultHashBuilder,
    /// Names from the third on.
    more_names: HashMap<FileIndex, Vec<Name>>,
    /// Processes from the second on.
    more_processes: HashMap<(FileIndex, Role), Vec<ProcessIndex>>,
}

impl Files {
    /// Enters a file that nothing is known of but its kind and, perhaps, identity.
    pub(super) fn insert(&mut self, kind: Kind, id: Option<FileId>) -> FileIndex {
        let index = u32::try_from(self.list.len()).expect("2^32 files exceed memory");
        let index = FileIndex(index);
        self.list.push(File {
            inode: 0,
            stamp: FileStamp::default(),
            generation: 0,
            device: NO_DEVICE,
            nodes: [Node::NONE; 2],
            input: Node::NONE,
            reader: NO_PROCESS,
            writer: NO_PROCESS,
            facts: Facts::default(),
            name_facts: [NameFacts::default(); 2],
            kind,
            input_quality: PathQuality::Full,
        });
        if let Some(id) = id {
            self.identify(index, id);
        }
        index
    }

    /// Gives a file its identity; whatever had it before is found by it no more.
    pub(super) fn identify(&mut self, index: FileIndex, id: FileId) {
        let device = self.devices.iter().position(|device| *device == id.device);
        let device = device.unwrap_or_else(|| {
            self.devices.push(id.device);
            self.devices.len() - 1
        });
        let hash = self.hasher.hash_one(id);
        let list = &self.list;
        let devices = &self.devices;
        let of = |index: &FileIndex| id_of(devices, &list[index.0 as usize]);
        if let Ok(old) = self.by_id.find_entry(hash, |other| of(other) == Some(id)) {
            old.remove();
        }
        let file = &mut self.list[index.0 as usize];
        file.inode = id.inode;
        file.generation = id.generation;
        file.device = device as u32;
        let (list, devices, hasher) = (&self.list, &self.devices, &self.hasher);
        self.by_id.insert_unique(hash, index, |index| {
            let id = id_of(devices, &list[index.0 as usize]);
            hasher.hash_one(id.expect("only files with an identity are indexed"))
        });
    }

    /// The newest file of an identity.
    pub(super) fn find(&self, id: FileId) -> Option<FileIndex> {
        let hash = self.hasher.hash_one(id);
        self.by_id
            .find(hash, |index| self.id(*index) == Some(id))
            .copied()
    }

    /// The identity of a file.
    pub(super) fn id(&self, index: FileIndex) -> Option<FileId> {
        id_of(&self.devices, self.get(index))
    }

    pub(super) fn get(&self, index: FileIndex) -> &File {
        &self.list[index.0 as usize]
    }

    pub(super) fn get_mut(&mut self, index: FileIndex) -> &mut File {
        &mut self.list[index.0 as usize]
    }

    /// Every file, in order of appearance.
    pub(super) fn indices(&self) -> impl Iterator<Item = FileIndex> + use<> {
        (0..self.list.len() as u32).map(FileIndex)
    }

    /// The names a file has or had, in order of appearance.
    pub(super) fn names(&self, index: FileIndex) -> impl Iterator<Item = Name> {
        let file = self.get(index);
        let more = self.more_names.get(&index).map_or(&[][..], Vec::as_slice);
        (0..2)
            .filter(|at| file.nodes[*at] != Node::NONE)
            .map(|at| Name {
                node: file.nodes[at],
                facts: file.name_facts[at],
            })
            .chain(more.iter().copied())
    }

    /// What is known of a name of a file, when it has or had that name.
    pub(super) fn name(&self, index: FileIndex, node: Node) -> Option<NameFacts> {
        self.names(index)
            .find(|name| name.node == node)
            .map(|name| name.facts)
    }

    /// Enters or updates a name of a file.
    pub(super) fn set_name(&mut self, index: FileIndex, node: Node, facts: NameFacts) {
        let file = &mut self.list[index.0 as usize];
        for at in 0..2 {
            if file.nodes[at] == node || file.nodes[at] == Node::NONE {
                file.nodes[at] = node;
                file.name_facts[at] = facts;
                return;
            }
        }
        let more = self.more_names.entry(index).or_default();
        if let Some(name) = more.iter_mut().find(|name| name.node == node) {
            name.facts = facts;
            return;
        }
        // A file renamed on and on: names that it lost are let go, the oldest first.
        if more.len() >= REMEMBERED_NAMES {
            let lasting = NameFacts::ALIVE.with(NameFacts::ORIGINAL);
            if let Some(at) = more.iter().position(|name| !name.facts.any(lasting)) {
                more.remove(at);
            }
        }
        more.push(Name { node, facts });
    }

    /// A process read or wrote a file.
    pub(super) fn add_process(&mut self, index: FileIndex, role: Role, process: ProcessIndex) {
        let file = &mut self.list[index.0 as usize];
        let first = match role {
            Role::Reader => &mut file.reader,
            Role::Writer => &mut file.writer,
        };
        if *first == NO_PROCESS {
            *first = process;
        }
        if *first == process {
            return;
        }
        let more = self.more_processes.entry((index, role)).or_default();
        if more
            .iter()
            .rev()
            .take(RECENT_PROCESSES)
            .any(|recent| *recent == process)
        {
            return;
        }
        // A library of a job of very many processes: repetitions go when the list would grow.
        if more.len() == more.capacity() && more.len() > RECENT_PROCESSES {
            drop_repetitions(more);
            more.reserve(more.len());
        }
        more.push(process);
    }

    /// The processes that read or wrote a file, in order of their first access.
    pub(super) fn processes(&self, index: FileIndex, role: Role) -> Vec<ProcessIndex> {
        let file = self.get(index);
        let first = match role {
            Role::Reader => file.reader,
            Role::Writer => file.writer,
        };
        if first == NO_PROCESS {
            return Vec::new();
        }
        let mut all = vec![first];
        if let Some(more) = self.more_processes.get(&(index, role)) {
            all.extend_from_slice(more);
            drop_repetitions(&mut all);
        }
        all
    }

    /// Whether a process read or wrote a file.
    pub(super) fn touched_by(&self, index: FileIndex, process: ProcessIndex) -> bool {
        let file = self.get(index);
        let in_more = |role| {
            let more = self.more_processes.get(&(index, role));
            more.is_some_and(|more| more.contains(&process))
        };
        file.reader == process
            || file.writer == process
            || in_more(Role::Reader)
            || in_more(Role::Writer)
    }
}

/// How many names of one file are remembered before lost ones are let go.
const REMEMBERED_NAMES: usize = 32;

/// How many of the last processes of a list are looked through before one is added.
const RECENT_PROCESSES: usize = 16;

fn drop_repetitions(list: &mut Vec<ProcessIndex>) {
    let mut seen = hashbrown::HashSet::with_capacity(list.len());
    list.retain(|process| seen.insert(*process));
}

fn id_of(devices: &[u64], file: &File) -> Option<FileId> {
    (file.device != NO_DEVICE).then(|| FileId {
        device: devices[file.device as usize],
        inode: file.inode,
        generation: file.generation,
    })
}
