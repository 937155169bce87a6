//! Records into events: paths as users know them.

use std::collections::{HashMap, HashSet};

use roar_common::{access, flags, name_op, note};

use super::decode::{Body, FileRecord, NameRecord, NamedPath, Record, join_names};
use super::gaps;
use super::identity::{self, Identities};
use super::loader;
use super::named;
use super::network;
use super::places::{Places, Unclear, Use};
use super::text::{joined, leaf, parent, trimmed};
use crate::event::{
    Access, EventKind, FileId, FileState, NameChange, PathQuality, ProcessId, TraceEvent,
};
use crate::model::RawString;

/// How many files of unknown mounts are kept in mind.
const MOST_STRAYS: usize = 4096;

/// Turns records into events.
pub(super) struct Translator {
    places: Places,
    identities: Identities,
    /// Files of other mount namespaces, by the last part of their names.
    strays: HashMap<Vec<u8>, (Vec<u8>, FileId)>,
    /// Generations of files that had no name when they were touched (`O_TMPFILE`), by device
    /// and inode number: when one is linked, only stat can tell which it was.
    nameless: HashMap<(u64, u64), u32>,
    /// Changes of names that io_uring requests announced, by request.
    announced: HashMap<u64, EventKind>,
    /// Announced ones that count as done, because only their failure would be told.
    unconfirmed: HashSet<u64>,
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
            places: Places::new(),
            identities: Identities::default(),
            strays: HashMap::new(),
            nameless: HashMap::new(),
            announced: HashMap::new(),
            unconfirmed: HashSet::new(),
            hidden_overlays: HashSet::new(),
            further: Vec::new(),
            core_files: 0,
            follows_uring,
            loader: loader::trusted_place().map(|path| RawString::from_path(&path)),
        }
    }

    /// To be called between batches: names may have changed since.
    pub(super) fn forget_directories(&mut self) {
        self.places.next_batch();
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
                self.places.ended(record.process);
                self.core_files += u64::from(code & CORE_DUMPED != 0 && keeps_core_files());
                exited(*code)
            }
            Body::Exec { file, .. } if record.flags & flags::NOT_FOLLOWED != 0 => {
                let image = self.file_state(file, record.flags, record.process);
                if self.loader.as_ref() == Some(&image.path) {
                    return None;
                }
                EventKind::Gap(gaps::not_followed(&image))
            }
            Body::Exec { file, argv } => EventKind::Executed {
                image: Some(self.file_state(file, record.flags, record.process))
                    .filter(|image| !is_anonymous(file, image)),
                argv: split_arguments(argv),
                argv_truncated: record.flags & (flags::ARGV_CUT | flags::ARGV_UNREADABLE) != 0,
            },
            Body::File(file) => {
                let state = self.file_state(file, record.flags, record.process);
                if is_anonymous(file, &state) {
                    return None;
                }
                EventKind::Touched {
                    access: access_of(file)?,
                    file: state,
                }
            }
            Body::Name(name) if is_of_mounts(name.op) => {
                let is_doubtful = self.mounts_changed(name, record);
                return is_doubtful.then(|| EventKind::Gap(gaps::changed_mount()));
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
                    None if was_told => EventKind::Gap(gaps::failed_after_all()),
                    _ => return None,
                }
            }
            Body::Contact(contact) => network::contacted(contact)?,
            Body::Answer(message) => network::resolved(message)?,
            Body::Note { note } if *note == note::IO_URING && self.follows_uring => return None,
            Body::Note { note } => EventKind::Gap(gaps::noted(*note)),
        })
    }

    fn file_state(&mut self, file: &FileRecord<'_>, record_flags: u16, process: u32) -> FileState {
        let inside = join_names(file.names);
        let places = &mut self.places;
        let (mut path, mut quality) = places.locate(file.mount_id, file.device, &inside, process);
        if quality == PathQuality::Foreign
            && let Some(usual) = identity::usual_place(file.magic)
        {
            (path, quality) = (joined(usual, &inside), PathQuality::Full);
        }
        if quality == PathQuality::Foreign
            && file.magic == identity::OVERLAY
            && self.hidden_overlays.insert(file.device)
        {
            self.further.push(EventKind::Gap(gaps::hidden_overlay()));
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
        if let Some(id) = id
            && quality == PathQuality::Full
            && !self.places.is_own(file.mount_id, file.device)
        {
            self.stray(&path, id);
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

    /// Keeps a file in mind for [`Self::found_beside`].
    fn stray(&mut self, path: &[u8], id: FileId) {
        if self.strays.len() == MOST_STRAYS {
            self.strays.clear();
        }
        self.strays.insert(leaf(path).to_vec(), (path.to_vec(), id));
    }

    /// What the change of a name means; none for what means nothing.
    fn name_changed(&mut self, name: &NameRecord<'_>, process: u32) -> Option<EventKind> {
        match self.change_of(name, process) {
            Ok(change) => change,
            Err(Unclear) => match name.op {
                // Neither a link nor a directory is an input or an output.
                name_op::SYMLINK | name_op::MKDIR | name_op::RMDIR => None,
                _ => self
                    .found_beside(name)
                    .or_else(|| Some(EventKind::Gap(gaps::unclear()))),
            },
        }
    }

    fn change_of(
        &mut self,
        name: &NameRecord<'_>,
        process: u32,
    ) -> Result<Option<EventKind>, Unclear> {
        let places = &mut self.places;
        let change = match name.op {
            name_op::RENAME => NameChange::Rename,
            name_op::EXCHANGE => NameChange::Exchange,
            name_op::LINK | name_op::LINK_DESCRIPTOR => NameChange::Link,
            name_op::SYMLINK => {
                let target = RawString::new(name.first.string);
                let path = places.path_of(&name.second, process, Use::NoFile)?;
                let is_doubtful = places.linked(&path, target.as_bytes());
                self.doubt(is_doubtful);
                return Ok(Some(EventKind::Symlinked { path, target }));
            }
            name_op::UNLINK | name_op::RMDIR => {
                let is_file = name.op == name_op::UNLINK;
                let usage = if is_file { Use::Removal } else { Use::NoFile };
                let path = places.path_of(&name.first, process, usage)?;
                let is_doubtful = is_file && places.removed(&path);
                self.doubt(is_doubtful);
                return Ok(Some(EventKind::Removed { path }));
            }
            name_op::MKDIR => {
                let path = places.path_of(&name.first, process, Use::NoFile)?;
                return Ok(Some(EventKind::DirectoryMade { path }));
            }
            name_op::TRUNCATE | name_op::MKNOD => {
                let (path, access) = if name.op == name_op::TRUNCATE {
                    (places.followed(&name.first, process)?, Access::Truncated)
                } else {
                    (
                        places.path_of(&name.first, process, Use::Change)?,
                        Access::Created,
                    )
                };
                let file = FileState {
                    // The new length; none of what was just made.
                    size_bytes: name.request,
                    ..named::file_at(path)
                };
                return Ok(Some(EventKind::Touched { file, access }));
            }
            name_op::SCRIPT => return self.script(&name.first, process).map(Some),
            _ => return Ok(None),
        };
        let to = places.path_of(&name.second, process, Use::Change)?;
        let id = if self.nameless.is_empty() {
            None
        } else {
            self.nameless_at(&to, name)
        };
        let places = &mut self.places;
        let from = if change == NameChange::Link {
            // A descriptor's name is no file's. Its identity says which it is, or what it has now.
            match (is_of_a_descriptor(name.first.string), id) {
                (true, None) => places.followed(&name.first, process)?,
                (true, Some(_)) => RawString::new(trimmed(name.first.string)),
                (false, _) => places.path_of(&name.first, process, Use::Change)?,
            }
        } else {
            places.path_of(&name.first, process, Use::Change)?
        };
        let mut is_doubtful = change == NameChange::Rename && places.moved(&from, &to);
        if change == NameChange::Exchange {
            // Neither is a link, or it is rare enough to lose sight of it.
            is_doubtful = places.removed(&from) | places.removed(&to);
        }
        self.doubt(is_doubtful);
        Ok(Some(EventKind::Renamed {
            from,
            to,
            change,
            id,
        }))
    }

    /// Mounts changed. Tells whether what was read by names before may have been misread.
    fn mounts_changed(&mut self, name: &NameRecord<'_>, record: &Record<'_>) -> bool {
        let (process, at_ns) = (record.process, record.time_ns);
        if name.op == name_op::PIVOTED {
            return self.places.pivoted(at_ns);
        }
        let is_moved = !trimmed(name.second.string).is_empty();
        let places = &mut self.places;
        let from = is_moved && places.remounted(&name.second, process, at_ns, false);
        let is_mounted = name.op == name_op::MOUNTED;
        places.remounted(&name.first, process, at_ns, is_mounted) || from
    }

    /// Says that a link changed while names may have been read through it.
    fn doubt(&mut self, is_doubtful: bool) {
        if is_doubtful {
            self.further.push(EventKind::Gap(gaps::changed_link()));
        }
    }

    /// What a change of names within one directory did, though nothing is known of that directory
    /// but a file that was touched in it: what stands beside it now tells.
    fn found_beside(&self, name: &NameRecord<'_>) -> Option<EventKind> {
        let (path, id) = self.strays.get(leaf(trimmed(name.first.string)))?;
        let from = RawString::new(path.clone());
        if name.op == name_op::UNLINK {
            let is_gone = !from.to_path_buf().try_exists().unwrap_or(true);
            return is_gone.then_some(EventKind::Removed { path: from });
        }
        let change = match name.op {
            name_op::RENAME => NameChange::Rename,
            name_op::LINK => NameChange::Link,
            _ => return None,
        };
        let directory = |string| parent(trimmed(string));
        if directory(name.first.string) != directory(name.second.string) {
            return None;
        }
        let to = joined(parent(path), leaf(trimmed(name.second.string))).into();
        let found = named::look(&to)?.id?;
        let is_same = found.device == id.device && found.inode == id.inode;
        is_same.then_some(EventKind::Renamed {
            from,
            to,
            change,
            id: Some(*id),
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
    fn script(&mut self, script: &NamedPath<'_>, process: u32) -> Result<EventKind, Unclear> {
        let path = match script.string.strip_prefix(b"/dev/fd/") {
            // What execveat(2) was given: a descriptor of the process that did it.
            Some(rest) => {
                let mut path = format!("/proc/{process}/fd/").into_bytes();
                path.extend_from_slice(rest);
                match RawString::new(path).to_path_buf().canonicalize() {
                    Ok(path) => RawString::from_path(&path),
                    Err(_) => return Ok(EventKind::Gap(gaps::unknown_script())),
                }
            }
            None => self.places.followed(script, process)?,
        };
        let file = named::file_at(path);
        for between in named::scripts_between(&file.path.to_path_buf()) {
            let path = RawString::from_path(&between.canonicalize().unwrap_or(between));
            self.further.push(EventKind::Touched {
                file: named::file_at(path),
                access: Access::Executed,
            });
        }
        Ok(EventKind::Touched {
            file,
            access: Access::Executed,
        })
    }
}

/// Anonymous memory (memfd, shared memory): no file of anybody's.
fn is_anonymous(file: &FileRecord<'_>, state: &FileState) -> bool {
    state.quality == PathQuality::Foreign && file.nlink == 0
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

fn is_of_mounts(op: u8) -> bool {
    matches!(op, name_op::MOUNTED | name_op::UNMOUNTED | name_op::PIVOTED)
}

/// Whether a path names a descriptor of a process.
fn is_of_a_descriptor(string: &[u8]) -> bool {
    string.starts_with(b"/proc/") || string.starts_with(b"/dev/fd/")
}

fn split_arguments(bytes: &[u8]) -> Vec<RawString> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|b| *b == 0).map(RawString::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        assert_eq!(
            split_arguments(b"sh\0-c\0\0"),
            ["sh".into(), "-c".into(), RawString::default()]
        );
    }
}
