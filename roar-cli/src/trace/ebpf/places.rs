//! Where a name leads that a call was given.
//!
//! The kernel side tells the directory from which a name counts, and the name itself, as text.
//! The way from one to the other is walked here, a moment later: past the symbolic links that the
//! job made ([`Links`]), through the mounts that the process saw, and through what `/proc` tells
//! of a process. Where that can be known no more, it is said.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::decode::{NamedPath, join_names};
use super::links::{Effect, Links};
use super::mounts::Mounts;
use super::passed::Passed;
use super::text::{joined, parent, trimmed};
use crate::clock;
use crate::event::PathQuality;
use crate::model::RawString;

/// The most links that the kernel follows on one way.
const MOST_LINKS: usize = 40;

/// How many mount tables of other namespaces are kept.
const MOST_TABLES: usize = 64;

/// How many processes of other namespaces are kept in mind.
const MOST_INSIDE: usize = 32;

/// How many mounts that were looked for in vain are remembered.
const MOST_IN_VAIN: usize = 4096;

/// Where a name led cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

/// Which mount table a name is to be read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum View {
    /// That of roar's own namespace.
    Own,
    /// One of another namespace.
    Other(usize),
    /// One that could not be read while it was there.
    Gone,
}

/// Mounts and links, and a short-lived cache of directories.
pub(super) struct Places {
    own: Table,
    /// Whether the job changed the mounts of roar's own namespace since they were read.
    own_is_old: bool,
    /// Its mounts as they were read the time before.
    own_before: Mounts,
    /// Whether files were placed by a mount that had not been there then.
    is_own_young: bool,
    /// The mounts of other namespaces, as the processes in them saw them; the newest last.
    others: Vec<Table>,
    passed: Passed,
    /// The mounts of roar's own namespace through which files were met, and where those were; the newest
    /// last.
    met: Vec<(u32, Vec<u8>)>,
    /// Processes that were seen in other namespaces, the newest last: one of them may be left to
    /// ask when others are gone.
    inside: Vec<u32>,
    /// Mounts whose table was read in this batch: a sandbox is made step by step, and a table of
    /// before is not that of now.
    fresh: HashSet<u32>,
    /// Mounts and the processes whose tables did not have them, or could not be read.
    in_vain: HashSet<(u32, u32)>,
    links: Links,
    /// Roots of processes that have another than everybody.
    roots: HashMap<u32, Vec<u8>>,
    directories: HashMap<(View, Vec<u8>, Vec<u8>), Vec<u8>>,
}

/// The mounts of a namespace, and between which moments they were read.
struct Table {
    mounts: Mounts,
    from_ns: u64,
    read_ns: u64,
}

/// What is done to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Neither a link nor a directory is an input or an output.
    NoFile,
    /// A file's name is gone.
    Removal,
    /// A file has another name, or is changed by its name.
    Change,
}

/// A walk in progress.
struct Walk {
    at: Vec<u8>,
    /// What is still to be gone, the next part last.
    left: Vec<Vec<u8>>,
    /// Whether another process's walk of the same would lead elsewhere.
    is_personal: bool,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            own: read_mounts("self"),
            own_is_old: false,
            own_before: Mounts::default(),
            is_own_young: false,
            others: Vec::new(),
            passed: Passed::default(),
            met: Vec::new(),
            inside: Vec::new(),
            fresh: HashSet::new(),
            in_vain: HashSet::new(),
            links: Links::default(),
            roots: HashMap::new(),
            directories: HashMap::new(),
        }
    }

    /// To be called between batches: names may have changed since.
    pub(super) fn next_batch(&mut self) {
        self.directories.clear();
        self.fresh.clear();
        self.links.next_batch();
    }

    /// The path in roar's namespace of `inside`, a path within its file system.
    pub(super) fn locate(
        &mut self,
        mount_id: u32,
        device: u32,
        inside: &[u8],
        process: u32,
    ) -> (Vec<u8>, PathQuality) {
        self.learn(mount_id, device, process);
        let is_own = self.is_own(mount_id, device);
        self.is_own_young =
            self.is_own_young || is_own && self.own.mounts.is_new(mount_id, &self.own_before);
        if !is_own && self.inside.last() != Some(&process) {
            self.inside.retain(|one| *one != process);
            if self.inside.len() == MOST_INSIDE {
                self.inside.remove(0);
            }
            self.inside.push(process);
        }
        if is_own {
            self.meet(mount_id);
        }
        self.own.mounts.locate(mount_id, device, inside)
    }

    fn meet(&mut self, mount_id: u32) {
        if self.met.last().is_some_and(|(last, _)| *last == mount_id) {
            return;
        }
        let Some(point) = self.own.mounts.point(mount_id) else {
            return;
        };
        match self
            .met
            .iter()
            .position(|(known, at)| *known == mount_id && at == point)
        {
            Some(at) => self.met[at..].rotate_left(1),
            None => self.met.push((mount_id, point.to_vec())),
        }
    }

    /// Whether a mount is one of roar's own namespace.
    pub(super) fn is_own(&self, mount_id: u32, device: u32) -> bool {
        self.own.mounts.knows(mount_id, device)
    }

    /// The path of a name: its directory real, its last part as given.
    pub(super) fn path_of(
        &mut self,
        named: &NamedPath<'_>,
        process: u32,
        usage: Use,
    ) -> Result<RawString, Unclear> {
        self.reach(named, process, usage, false)
    }

    /// The path of what a name stands for, should it be that of a link.
    pub(super) fn followed(
        &mut self,
        named: &NamedPath<'_>,
        process: u32,
    ) -> Result<RawString, Unclear> {
        self.reach(named, process, Use::Change, true)
    }

    /// Mounts changed at a name. Tells whether names or files that were read before may have been
    /// misread, for this or because a table was read after it.
    pub(super) fn remounted(
        &mut self,
        named: &NamedPath<'_>,
        process: u32,
        at_ns: u64,
        is_mounted: bool,
    ) -> bool {
        let was_young = self.is_own_young;
        let seen = self.seen(named, process, Use::NoFile, true);
        self.own_is_old |= self.own.from_ns <= at_ns;
        let Ok((view, point)) = seen else {
            return self.passed.is_doubtful(b"/", |until_ns| until_ns >= at_ns);
        };
        // umount(2) returns long after the mount is gone: the table says which was first.
        let is_late =
            |table: &Table| table.read_ns >= at_ns || table.mounts.has_point(&point) == is_mounted;
        if view == View::Own && was_young && is_late(&self.own) {
            return true;
        }
        // What was met there has no name any more, or another.
        let is_below = |(_, met): &(u32, Vec<u8>)| {
            let rest = met.strip_prefix(&*point);
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        if view == View::Own && !is_mounted && point != b"/" && self.met.iter().any(is_below) {
            return true;
        }
        self.passed.is_doubtful(&point, |until_ns| {
            let mut tables = self.others.iter();
            let table = tables.find(|table| table.read_ns == until_ns);
            table.map_or(until_ns >= at_ns, is_late)
        })
    }

    /// A process has another root. Tells as above.
    pub(super) fn pivoted(&mut self, at_ns: u64) -> bool {
        self.own_is_old |= self.own.from_ns <= at_ns;
        self.passed.is_doubtful(b"/", |until_ns| until_ns >= at_ns)
    }

    /// The job made a link. Tells whether names that were read before may have been misread; as
    /// the next two do.
    pub(super) fn linked(&mut self, path: &RawString, target: &[u8]) -> bool {
        let effect = self.links.made(path.as_bytes(), target);
        self.note(effect)
    }

    /// The job removed a name, not a directory's.
    pub(super) fn removed(&mut self, path: &RawString) -> bool {
        let effect = self.links.removed(path.as_bytes());
        self.note(effect)
    }

    /// The job moved a name.
    pub(super) fn moved(&mut self, from: &RawString, to: &RawString) -> bool {
        let effect = self.links.moved(from.as_bytes(), to.as_bytes());
        self.note(effect)
    }

    fn note(&mut self, effect: Effect) -> bool {
        if effect != Effect::None {
            self.directories.clear();
        }
        effect == Effect::Doubtful
    }

    /// A process ended; its number may be another's next.
    pub(super) fn ended(&mut self, process: u32) {
        self.roots.remove(&process);
    }

    /// Sees to it that a mount is known, if it still can be.
    fn learn(&mut self, mount_id: u32, device: u32, process: u32) {
        let is_known = self.view_of(mount_id, device) != View::Gone;
        if !self.own_is_old && (is_known || self.in_vain.contains(&(mount_id, process))) {
            return;
        }
        // A mount made since, or one of another namespace.
        let before = std::mem::replace(&mut self.own, read_mounts("self"));
        (self.own_before, self.own_is_old, self.is_own_young) = (before.mounts, false, false);
        if self.view_of(mount_id, device) != View::Gone {
            return;
        }
        if !self.read_of(mount_id, device, process) {
            if self.in_vain.len() == MOST_IN_VAIN {
                self.in_vain.clear();
            }
            self.in_vain.insert((mount_id, process));
        }
    }

    /// Reads the mounts of a process of another namespace. Returns whether that mount is there.
    fn read_of(&mut self, mount_id: u32, device: u32, process: u32) -> bool {
        let table = read_mounts(&process.to_string());
        if !table.mounts.knows(mount_id, device) {
            return false;
        }
        if self.others.len() == MOST_TABLES {
            self.others.remove(0);
        }
        self.others.push(table);
        self.directories.clear();
        self.fresh.insert(mount_id);
        true
    }

    /// Reads the mounts of another namespace anew, from whichever process is left in it.
    fn refresh(&mut self, mount_id: u32, device: u32, process: u32) {
        if self.fresh.contains(&mount_id) {
            return;
        }
        let others = self.inside.iter().rev().copied();
        let candidates: Vec<_> = std::iter::once(process).chain(others).collect();
        if !candidates
            .into_iter()
            .any(|one| self.read_of(mount_id, device, one))
        {
            self.fresh.insert(mount_id);
        }
    }

    fn view_of(&self, mount_id: u32, device: u32) -> View {
        if self.is_own(mount_id, device) {
            return View::Own;
        }
        let mut others = self.others.iter();
        let newest = others.rposition(|table| table.mounts.knows(mount_id, device));
        newest.map_or(View::Gone, View::Other)
    }

    fn reach(
        &mut self,
        named: &NamedPath<'_>,
        process: u32,
        usage: Use,
        follow: bool,
    ) -> Result<RawString, Unclear> {
        let (view, path) = self.seen(named, process, usage, follow)?;
        Ok(self.in_own(view, &path).0.into())
    }

    /// The path of a name as one sees it in that view.
    fn seen(
        &mut self,
        named: &NamedPath<'_>,
        process: u32,
        usage: Use,
        follow: bool,
    ) -> Result<(View, Vec<u8>), Unclear> {
        let inside = join_names(named.names);
        let (base, _) = self.locate(named.mount_id, named.device, &inside, process);
        let string = trimmed(named.string);
        if !self.is_own(named.mount_id, named.device) {
            self.refresh(named.mount_id, named.device, process);
        }
        let view = self.view_of(named.mount_id, named.device);
        let start = match view {
            View::Own => base,
            View::Other(at) => self.others[at]
                .mounts
                .place(named.mount_id, named.device, &inside)
                .ok_or(Unclear)?,
            View::Gone => {
                let leaf = string.strip_prefix(b"/").unwrap_or(string);
                let is_plain = !leaf.contains(&b'/') && leaf != b"..";
                return if is_plain && !follow {
                    Ok((view, joined(&base, leaf)))
                } else {
                    Err(Unclear)
                };
            }
        };
        let root = self.root(view, process, &start, string.starts_with(b"/"));
        let (way, leaf) = match string.iter().rposition(|byte| *byte == b'/') {
            Some(at) => string.split_at(at + 1),
            None => (&b""[..], string),
        };
        let key = (view, start, way.to_vec());
        let directory = if let Some(known) = self.directories.get(&key) {
            known.clone()
        } else {
            let mut walk = Walk::new(key.1.clone(), way);
            self.walk(view, process, &root, &mut walk)?;
            if !walk.is_personal && root == b"/" {
                self.directories.insert(key, walk.at.clone());
            }
            walk.at
        };
        if usage != Use::NoFile {
            let until_ns = match view {
                View::Other(at) => self.others[at].read_ns,
                View::Own | View::Gone => u64::MAX,
            };
            let is_removal = usage == Use::Removal;
            self.passed.through(&directory, until_ns, is_removal);
        }
        let path = if follow || matches!(leaf, b"" | b"." | b"..") {
            let mut walk = Walk::new(directory, leaf);
            self.walk(view, process, &root, &mut walk)?;
            walk.at
        } else {
            joined(&directory, leaf)
        };
        Ok((view, path))
    }

    /// The root of the process, as its view shows it: where its absolute names count from.
    fn root(&mut self, view: View, process: u32, start: &[u8], is_absolute: bool) -> Vec<u8> {
        if is_absolute && start == b"/" {
            self.roots.remove(&process);
        } else if is_absolute {
            self.roots.insert(process, start.to_vec());
        }
        match self.roots.get(&process) {
            Some(root) if view == View::Own => root.clone(),
            _ => b"/".to_vec(),
        }
    }

    fn walk(
        &mut self,
        view: View,
        process: u32,
        root: &[u8],
        walk: &mut Walk,
    ) -> Result<(), Unclear> {
        let mut links = 0;
        while let Some(part) = walk.left.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if walk.at != root {
                        walk.at = parent(&walk.at).to_vec();
                    }
                    continue;
                }
                b"self" | b"thread-self" if walk.at == b"/proc" => {
                    walk.at = format!("/proc/{process}").into_bytes();
                    walk.is_personal = true;
                    continue;
                }
                _ => {}
            }
            let next = joined(&walk.at, &part);
            if is_of_a_process(&next) {
                // What it leads to is no text that could be walked.
                walk.is_personal = true;
                walk.at = if view == View::Own {
                    read_place(&next).ok_or(Unclear)?
                } else {
                    return Err(Unclear);
                };
                continue;
            }
            let (shown, quality) = self.in_own(view, &next);
            let is_known = quality == PathQuality::Full;
            match is_known.then(|| self.links.target(&shown)).flatten() {
                None => walk.at = next,
                Some(_) if links == MOST_LINKS => return Err(Unclear),
                Some(target) => {
                    links += 1;
                    if target.starts_with(b"/") {
                        walk.at = root.to_vec();
                    }
                    walk.go(&target);
                }
            }
        }
        Ok(())
    }

    /// What a path of a view is called in roar's namespace.
    fn in_own(&self, view: View, path: &[u8]) -> (Vec<u8>, PathQuality) {
        let View::Other(at) = view else {
            return (path.to_vec(), PathQuality::Full);
        };
        match self.others[at].mounts.reach(path) {
            Some((device, inside)) => self.own.mounts.locate(0, device, &inside),
            None => (path.to_vec(), PathQuality::Foreign),
        }
    }
}

impl Walk {
    fn new(at: Vec<u8>, way: &[u8]) -> Self {
        let mut walk = Self {
            at,
            left: Vec::new(),
            is_personal: false,
        };
        walk.go(way);
        walk
    }

    fn go(&mut self, way: &[u8]) {
        let parts = way.split(|byte| *byte == b'/').map(<[u8]>::to_vec);
        self.left.extend(parts.rev());
    }
}

/// Unreadable (no /proc, or the process is gone): no mount is then known.
fn read_mounts(process: &str) -> Table {
    let from_ns = clock::monotonic_ns();
    let text = std::fs::read(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    Table {
        mounts: Mounts::parse(&text),
        from_ns,
        read_ns: clock::monotonic_ns(),
    }
}

/// Whether a path is one of those by which `/proc` hands out what a process has.
fn is_of_a_process(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/proc/") else {
        return false;
    };
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let parts: Vec<_> = rest.split(|byte| *byte == b'/').collect();
    let of_one = match parts.as_slice() {
        [process, b"task", thread, rest @ ..] if is_number(process) && is_number(thread) => rest,
        [process, rest @ ..] if is_number(process) => rest,
        _ => return false,
    };
    match of_one {
        [b"cwd" | b"root" | b"exe"] => true,
        [b"fd", number] => is_number(number),
        _ => false,
    }
}

/// What a process has there now; none when it is gone, or has no name.
fn read_place(path: &[u8]) -> Option<Vec<u8>> {
    let link = RawString::new(path).to_os_string();
    let target = std::fs::read_link(Path::new(&link)).ok()?;
    // Not so for pipes and the like, nor for what was removed.
    target.try_exists().ok().filter(|exists| *exists)?;
    let target = RawString::from_path(&target);
    target
        .as_bytes()
        .starts_with(b"/")
        .then(|| target.as_bytes().to_vec())
}
