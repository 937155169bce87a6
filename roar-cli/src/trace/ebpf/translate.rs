//! Records into events: paths as users know them.

use std::collections::{HashMap, HashSet};

use roar_common::{access, flags, name_op, note};

use super::decode::{Body, FileRecord, NameRecord, NamedPath, Record, join_names};
use super::identity::{self, Identities};
use super::loader;
use super::mounts::Mounts;
use super::named::{self, Links};
use super::network;
use crate::event::{
    Access, EventKind, FileId, FileState, NameChange, PathQuality, ProcessId, TraceEvent,
};
use crate::model::{Gap, GapKind, RawString};

/// Turns records into events. Keeps the mount table and a short-lived cache of directories.
pub(super) struct Translator {
    mounts: Mounts,
    identities: Identities,
    real_directories: HashMap<Vec<u8>, Vec<u8>>,
    /// Generations of files that had no name when they were touched (`O_TMPFILE`), by device
    /// and inode number: when one is linked, only stat can tell which it was.
    nameless: HashMap<(u64, u64), u32>,
    /// Changes of names that io_uring requests announced, by request.
    announced: HashMap<u64, EventKind>,
    /// Announced ones that count as done, because only their failure would be told.
    unconfirmed: HashSet<u64>,
    /// The symbolic links that the job made.
    links: Links,
    /// Overlays of other mount namespaces, by device: each is told of once.
    hidden_overlays: HashSet<u32>,
    /// What a record stands for beside its event.
    further: Vec<EventKind>,
    /// How many processes left a core file: the kernel writes those, and no call tells of it.
    core_files: u64,
    /// Whether io_uring is followed; where it is not, its use is a gap.
    follows_uring: bool,
    /// The loader, which a `roar run` inside the command starts: it touches no file of anybody's,
    /// so that it is no gap that it is not followed.
    loader: Option<RawString>,
}

impl Translator {
    pub(super) fn new(follows_uring: bool) -> Self {
        Self {
            mounts: read_mounts(),
            identities: Identities::default(),
            real_directories: HashMap::new(),
            nameless: HashMap::new(),
            announced: HashMap::new(),
            unconfirmed: HashSet::new(),
            links: Links::default(),
            hidden_overlays: HashSet::new(),
            further: Vec::new(),
            core_files: 0,
            follows_uring,
            loader: loader::trusted_place().map(|path| RawString::from_path(&path)),
        }
    }

    /// To be called between batches: names may have changed since.
    pub(super) fn forget_directories(&mut self) {
        self.real_directories.clear();
        self.identities.forget_directories();
    }

    /// How many core files were written, under names that are not known.
    pub(super) fn core_files(&self) -> u64 {
        self.core_files
    }

    /// The events that a record stands for; none for what no user would call a file.
    pub(super) fn translate(&mut self, record: &Record<'_>, sink: &mut dyn FnMut(TraceEvent)) {
        let kind = self.kind_of(record);
        for kind in kind.into_iter().chain(self.further.drain(..)) {
            sink(TraceEvent {
                at_ns: record.time_ns,
                process: ProcessId(record.process),
                kind,
            });
        }
    }

    fn kind_of(&mut self, record: &Record<'_>) -> Option<EventKind> {
        Some(match &record.body {
            Body::Start { parent } => EventKind::Started {
                parent: (*parent != 0).then_some(ProcessId(*parent)),
            },
            Body::Exit { code } => {
                self.core_files += u64::from(code & CORE_DUMPED != 0 && keeps_core_files());
                exited(*code)
            }
            Body::Exec { file, .. } if record.flags & flags::NOT_FOLLOWED != 0 => {
                let image = self.file_state(file, record.flags);
                if self.loader.as_ref() == Some(&image.path) {
                    return None;
                }
                EventKind::Gap(not_followed(&image))
            }
            Body::Exec { file, argv } => EventKind::Executed {
                image: Some(self.file_state(file, record.flags))
                    .filter(|image| !is_anonymous(file, image)),
                argv: split_arguments(argv),
                argv_truncated: record.flags & (flags::ARGV_CUT | flags::ARGV_UNREADABLE) != 0,
            },
            Body::File(file) => {
                let state = self.file_state(file, record.flags);
                if is_anonymous(file, &state) {
                    return None;
                }
                EventKind::Touched {
                    access: access_of(file)?,
                    file: state,
                }
            }
            Body::Name(name) => {
                let change = self.name_changed(name, record.process)?;
                if name.request != 0 && name.op != name_op::TRUNCATE {
                    self.unconfirmed.remove(&name.request);
                    if record.flags & flags::UNCONFIRMED == 0 {
                        self.announced.insert(name.request, change);
                        return None;
                    }
                    self.unconfirmed.insert(name.request);
                }
                change
            }
            Body::Outcome { request, result } => {
                let was_told = self.unconfirmed.remove(request);
                match self.announced.remove(request) {
                    Some(change) if *result >= 0 => change,
                    None if was_told => EventKind::Gap(failed_after_all()),
                    _ => return None,
                }
            }
            Body::Contact(contact) => network::contacted(contact)?,
            Body::Answer(message) => network::resolved(message)?,
            Body::Note { note } if *note == note::IO_URING && self.follows_uring => return None,
            Body::Note { note } => EventKind::Gap(noted(*note)),
        })
    }

    fn file_state(&mut self, file: &FileRecord<'_>, record_flags: u16) -> FileState {
        let inside = join_names(file.names);
        let (path, mut quality) = self.locate(file.mount_id, file.device, &inside);
        if quality == PathQuality::Foreign
            && file.magic == identity::OVERLAY
            && self.hidden_overlays.insert(file.device)
        {
            self.further.push(EventKind::Gap(hidden_overlay()));
        }
        if record_flags & flags::PATH_CUT != 0 {
            quality = PathQuality::Truncated;
        } else if file.nlink == 0 && quality == PathQuality::Full {
            quality = PathQuality::Unlinked;
        }
        let id = match quality {
            PathQuality::Full | PathQuality::Unlinked => self.identities.of(file, &path),
            PathQuality::Truncated | PathQuality::Foreign => Some(FileId {
                device: u64::from(file.device),
                inode: file.inode,
                generation: file.generation,
            }),
        };
        if let Some(id) = id
            && file.nlink == 0
        {
            self.nameless.insert((id.device, id.inode), id.generation);
        }
        FileState {
            id,
            path: path.into(),
            quality,
            size_bytes: file.size,
            mtime_ns: file.mtime_ns,
            ctime_ns: file.ctime_ns,
        }
    }

    fn locate(&mut self, mount_id: u32, device: u32, inside: &[u8]) -> (Vec<u8>, PathQuality) {
        if !self.mounts.knows(mount_id) {
            // A mount made since, or one of another namespace.
            self.mounts = read_mounts();
        }
        self.mounts.locate(mount_id, device, inside)
    }

    fn name_changed(&mut self, name: &NameRecord<'_>, process: u32) -> Option<EventKind> {
        let change = match name.op {
            name_op::RENAME => NameChange::Rename,
            name_op::EXCHANGE => NameChange::Exchange,
            name_op::LINK | name_op::LINK_DESCRIPTOR => NameChange::Link,
            name_op::SYMLINK => {
                let target = RawString::new(name.first.string);
                let path = self.path_of(&name.second);
                self.links.made(&path, &target);
                return Some(EventKind::Symlinked { path, target });
            }
            name_op::UNLINK | name_op::RMDIR => {
                let path = self.path_of(&name.first);
                self.links.removed(&path);
                return Some(EventKind::Removed { path });
            }
            name_op::MKDIR => {
                return Some(EventKind::DirectoryMade {
                    path: self.path_of(&name.first),
                });
            }
            name_op::TRUNCATE => {
                let path = self.path_of(&name.first);
                let file = FileState {
                    size_bytes: name.request,
                    ..self.links.file_at(&path)
                };
                let access = Access::Truncated;
                return Some(EventKind::Touched { file, access });
            }
            name_op::MKNOD => {
                let path = self.path_of(&name.first);
                let file = FileState {
                    size_bytes: 0,
                    ..self.links.file_at(&path)
                };
                let access = Access::Created;
                return Some(EventKind::Touched { file, access });
            }
            name_op::SCRIPT => return Some(self.script(&name.first, process)),
            _ => return None,
        };
        let to = self.path_of(&name.second);
        let id = if self.nameless.is_empty() {
            None
        } else {
            self.nameless_at(&to, name)
        };
        if id.is_none() && name.op == name_op::LINK && is_of_a_descriptor(name.first.string) {
            self.further.push(EventKind::Gap(linked_by_descriptor()));
        }
        Some(EventKind::Renamed {
            from: self.path_of(&name.first),
            to,
            change,
            id,
        })
    }

    /// The identity of a file that got its first name.
    fn nameless_at(&self, to: &RawString, name: &NameRecord<'_>) -> Option<FileId> {
        let id = named::look(to)?.id?;
        // stat's numbers must be those that a touch is known by (not on an overlay).
        let is_known = |device| self.identities.is_device(device, name.second.device);
        if !u32::try_from(id.device).is_ok_and(is_known) {
            return None;
        }
        let generation = self.nameless.get(&(id.device, id.inode))?;
        Some(FileId {
            generation: *generation,
            ..id
        })
    }

    /// A script whose interpreter became the image of a process.
    fn script(&mut self, named: &NamedPath<'_>, process: u32) -> EventKind {
        let path = match named.string.strip_prefix(b"/dev/fd/") {
            // What execveat(2) was given: a descriptor of the process that did it.
            Some(rest) => {
                let mut path = format!("/proc/{process}/fd/").into_bytes();
                path.extend_from_slice(rest);
                let path = RawString::new(path);
                if path.to_path_buf().canonicalize().is_err() {
                    return EventKind::Gap(unknown_script());
                }
                path
            }
            None => self.path_of(named),
        };
        let file = self.links.file_at(&path);
        for between in named::scripts_between(&file.path.to_path_buf()) {
            let path = RawString::from_path(&between);
            self.further.push(EventKind::Touched {
                file: self.links.file_at(&path),
                access: Access::Executed,
            });
        }
        EventKind::Touched {
            file,
            access: Access::Executed,
        }
    }

    /// The absolute path that a call named: its directory real, its last name as given.
    fn path_of(&mut self, named: &NamedPath<'_>) -> RawString {
        let base = join_names(named.names);
        let (base, _) = self.locate(named.mount_id, named.device, &base);
        let string = trim_end(named.string);
        let (parent, leaf) = match string.iter().rposition(|b| *b == b'/') {
            Some(at) => (&string[..at], &string[at + 1..]),
            None => (&b""[..], string),
        };
        let mut directory = base;
        if !parent.is_empty() {
            directory = self.real_directory(&joined(&directory, parent));
        }
        match leaf {
            b"" | b"." => directory.into(),
            b".." => self.real_directory(&joined(&directory, b"..")).into(),
            leaf => joined(&directory, leaf).into(),
        }
    }

    /// A directory with symbolic links resolved where it still exists, else by the text alone.
    fn real_directory(&mut self, path: &[u8]) -> Vec<u8> {
        if let Some(real) = self.real_directories.get(path) {
            return real.clone();
        }
        let raw = RawString::new(path);
        let real = raw.to_path_buf().canonicalize().map_or_else(
            |_| lexical(path),
            |real| RawString::from_path(&real).as_bytes().to_vec(),
        );
        self.real_directories.insert(path.to_vec(), real.clone());
        real
    }
}

/// Anonymous memory (memfd, shared memory): no file of anybody's.
fn is_anonymous(file: &FileRecord<'_>, state: &FileState) -> bool {
    state.quality == PathQuality::Foreign && file.nlink == 0
}

fn read_mounts() -> Mounts {
    // Unreadable (no /proc): every path is then reported as foreign, which the record says.
    Mounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// In an exit code: the kernel wrote the process's memory down.
const CORE_DUMPED: u32 = 0x80;

/// Whether memory that is written down becomes a file, and is not piped to a crash handler.
fn keeps_core_files() -> bool {
    let pattern = std::fs::read("/proc/sys/kernel/core_pattern");
    pattern.is_ok_and(|pattern| !pattern.starts_with(b"|"))
}

fn exited(code: u32) -> EventKind {
    let signal = (code & 0x7f) as i32;
    if signal == 0 {
        EventKind::Exited {
            code: Some((code >> 8 & 0xff) as i32),
            signal: None,
        }
    } else {
        EventKind::Exited {
            code: None,
            signal: Some(signal),
        }
    }
}

fn access_of(file: &FileRecord<'_>) -> Option<Access> {
    Some(match file.access {
        access::READ => Access::Read,
        access::MAPPED => Access::Mapped,
        access::OPENED_WRITE => Access::OpenedWrite,
        access::WRITTEN => Access::Written { bytes: file.result },
        access::MAPPED_WRITE => Access::MappedWrite,
        access::CREATED => Access::Created,
        access::TRUNCATED => Access::Truncated,
        access::EXECUTED => Access::Executed,
        _ => return None,
    })
}

/// A program that gained rights which the user who traces has not.
fn not_followed(image: &FileState) -> Gap {
    Gap {
        kind: GapKind::Privileged,
        detail: format!(
            "{} has rights of its own; it and what it started were not followed (`sudo roar run` \
             follows them)",
            image.path
        ),
        count: 1,
    }
}

/// Whether a path names a descriptor of a process.
fn is_of_a_descriptor(string: &[u8]) -> bool {
    string.starts_with(b"/proc/") || string.starts_with(b"/dev/fd/")
}

fn linked_by_descriptor() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a file was given a further name through /proc; which it was before is not known"
            .to_owned(),
        count: 1,
    }
}

fn unknown_script() -> Gap {
    Gap {
        kind: GapKind::UnresolvedPath,
        detail: "a script was executed through a descriptor that is closed".to_owned(),
        count: 1,
    }
}

fn hidden_overlay() -> Gap {
    Gap {
        kind: GapKind::Namespace,
        detail: "an overlay was mounted out of roar's sight; its files are known by their names \
                 in it, and not by those in its layers"
            .to_owned(),
        count: 1,
    }
}

fn failed_after_all() -> Gap {
    Gap {
        kind: GapKind::IoUring,
        detail: "an io_uring request that asked for silence failed; the record takes it for done"
            .to_owned(),
        count: 1,
    }
}

fn noted(what: u32) -> Gap {
    let (kind, detail) = match what {
        note::IO_URING_SILENT => (
            GapKind::IoUring,
            "an io_uring request on a file still to be opened asked for silence about its success"
                .to_owned(),
        ),
        note::KERNEL_FILE => (
            GapKind::UnresolvedPath,
            "the kernel was told to use a file by itself (swap, accounting, a module)".to_owned(),
        ),
        note::BTRFS_SEND => (
            GapKind::UnresolvedPath,
            "a btrfs subvolume was sent; the kernel read its files".to_owned(),
        ),
        note::IO_URING => (
            GapKind::IoUring,
            "the command used io_uring; files that it read or wrote only that way are not seen"
                .to_owned(),
        ),
        other => (GapKind::Inconsistent, format!("unknown note {other}")),
    };
    Gap {
        kind,
        detail,
        count: 1,
    }
}

fn split_arguments(bytes: &[u8]) -> Vec<RawString> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|b| *b == 0).map(RawString::new).collect()
}

fn trim_end(string: &[u8]) -> &[u8] {
    let end = string
        .iter()
        .rposition(|b| *b != b'/')
        .map_or(0, |at| at + 1);
    &string[..end]
}

pub(super) fn joined(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let rest = &rest[rest.iter().position(|b| *b != b'/').unwrap_or(rest.len())..];
    let mut path = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
    path.push(b'/');
    path.extend_from_slice(rest);
    path
}

/// `.` and `..` taken out of an absolute path by its text.
pub(super) fn lexical(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for part in kept {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() { b"/".to_vec() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_paths() {
        assert_eq!(lexical(b"/a/./b//../c/"), b"/a/c");
        assert_eq!(lexical(b"/../.."), b"/");
        assert_eq!(joined(b"/", b"x"), b"/x");
        assert_eq!(joined(b"/a", b"//x/y"), b"/a/x/y");
        assert_eq!(trim_end(b"a//"), b"a");
        assert_eq!(trim_end(b"/"), b"");
        assert_eq!(
            split_arguments(b"sh\0-c\0\0"),
            ["sh".into(), "-c".into(), RawString::default()]
        );
    }
}
