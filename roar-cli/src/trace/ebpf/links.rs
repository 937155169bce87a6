//! Symbolic links, as the job makes and changes them: when a name is read, what is on disk may
//! be newer than the call that the name was given to.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::text::joined;
use crate::model::RawString;

/// What is known of a name that is, or was, a symbolic link.
#[derive(Debug)]
struct Known {
    /// Where it leads; none once it is no link any more.
    target: Option<Vec<u8>>,
    /// What was read from disk, and in which batch; none when the job's own calls told of it.
    read: Option<(u64, Vec<u8>)>,
}

/// Links by their real path.
#[derive(Debug, Default)]
pub(super) struct Links {
    known: BTreeMap<Vec<u8>, Known>,
    /// What was no link on disk in this batch.
    plain: HashSet<Vec<u8>>,
    batch: u64,
}

/// What a change of a link means for the names that were read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The name never was a link.
    None,
    /// From now on the name leads elsewhere.
    Changed,
    /// As before; and where it led when names of this batch went through it is not certain,
    /// because the disk was asked, which was ahead.
    Doubtful,
}

impl Links {
    /// What is read from disk from now on is newer than every call told of so far.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
        self.plain.clear();
    }

    /// The job made a link.
    pub(super) fn made(&mut self, path: &[u8], target: &[u8]) -> Effect {
        self.put(path, Some(target.to_vec()))
    }

    /// The job removed a name, of whatever it was but a directory.
    pub(super) fn removed(&mut self, path: &[u8]) -> Effect {
        if self.plain.contains(path) {
            // Names went through it, so that it was a link then, and gone when it was looked for.
            return Effect::Doubtful;
        }
        match self.known.get_mut(path) {
            None => Effect::None,
            Some(known) => {
                known.target = None;
                Effect::Changed
            }
        }
    }

    /// The job moved a name, of a link, of a folder of links, or of anything else.
    pub(super) fn moved(&mut self, from: &[u8], to: &[u8]) -> Effect {
        let below = joined(from, b"");
        let inside = self.known.range(below.clone()..);
        let inside: Vec<_> = inside
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&below))
            .chain(self.known.contains_key(from).then(|| from.to_vec()))
            .collect();
        let mut effect = if inside.is_empty() {
            Effect::None
        } else {
            Effect::Changed
        };
        if self.plain.contains(from) && on_disk(to).is_some() {
            effect = Effect::Doubtful;
        }
        if inside.last().is_none_or(|last| last != from) && self.known.contains_key(to) {
            // Whatever it led to.
            effect = self.put(to, None);
        }
        for path in inside {
            let target = match self.known.get_mut(&path) {
                Some(known) => known.target.take(),
                None => None,
            };
            if self.put(&[to, &path[from.len()..]].concat(), target) == Effect::Doubtful {
                effect = Effect::Doubtful;
            }
        }
        effect
    }

    /// Where a name leads, when it is a link: by what the job did, else by what is on disk.
    pub(super) fn target(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        if let Some(known) = self.known.get(path) {
            return known.target.clone();
        }
        let Some(target) = on_disk(path) else {
            self.plain.insert(path.to_vec());
            return None;
        };
        let known = Known {
            target: Some(target.clone()),
            read: Some((self.batch, target.clone())),
        };
        self.known.insert(path.to_vec(), known);
        Some(target)
    }

    /// From now on a name is a link, or none.
    fn put(&mut self, path: &[u8], target: Option<Vec<u8>>) -> Effect {
        let known = Known {
            target: target.clone(),
            read: None,
        };
        let before = self.known.insert(path.to_vec(), known);
        // Names may have been read by what it becomes only now.
        let (Some(target), Some(before)) = (target, before) else {
            return Effect::Changed;
        };
        if before.read == Some((self.batch, target)) {
            Effect::Doubtful
        } else {
            Effect::Changed
        }
    }
}

/// Where a link on disk leads now.
fn on_disk(path: &[u8]) -> Option<Vec<u8>> {
    let link = RawString::new(path).to_os_string();
    let target = std::fs::read_link(Path::new(&link)).ok()?;
    Some(RawString::from_path(&target).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_knows_better_than_the_disk() {
        let mut links = Links::default();
        assert_eq!(links.made(b"/no/a", b"../b"), Effect::Changed);
        assert_eq!(links.target(b"/no/a"), Some(b"../b".to_vec()));
        assert_eq!(links.moved(b"/no", b"/yes"), Effect::Changed);
        assert_eq!(links.target(b"/no/a"), None);
        assert_eq!(links.target(b"/yes/a"), Some(b"../b".to_vec()));
        assert_eq!(links.moved(b"/temporary", b"/yes/a"), Effect::Changed);
        assert_eq!(links.target(b"/yes/a"), None);
        assert_eq!(links.removed(b"/other"), Effect::None);
    }

    #[test]
    fn a_link_that_changes_right_after_it_was_read() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let place = folder.path().join("link");
        std::os::unix::fs::symlink("target", &place).expect("a link can be made");
        let place = RawString::from_path(&place);
        let path = place.as_bytes();
        let read = || {
            let mut links = Links::default();
            assert_eq!(links.target(path), Some(b"target".to_vec()));
            links
        };
        // Only a link that is made later, and alike, may be the one that was read.
        for (target, effect) in [(b"target", Effect::Doubtful), (b"others", Effect::Changed)] {
            let mut links = read();
            assert_eq!(links.removed(path), Effect::Changed);
            assert_eq!(links.made(path, target), effect);
            let mut links = read();
            links.made(b"/no/link", target);
            assert_eq!(links.moved(b"/no/link", path), effect);
        }
        assert_eq!(read().moved(b"/no/file", path), Effect::Changed);
        let mut links = read();
        links.next_batch();
        assert_eq!(links.made(path, b"other"), Effect::Changed);
        assert_eq!(links.target(path), Some(b"other".to_vec()));
        // It was gone when names that had led through it were read.
        let mut links = Links::default();
        assert_eq!(links.target(b"/no/directory"), None);
        assert_eq!(links.removed(b"/no/directory"), Effect::Doubtful);
        assert_eq!(links.target(b"/no/moved"), None);
        assert_eq!(links.moved(b"/no/moved", path), Effect::Doubtful);
    }
}
