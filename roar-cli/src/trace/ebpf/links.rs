//! Symbolic links, as the job makes and changes them: when a name is read, what is on disk may
//! be newer than the call that the name was given to.

use std::collections::BTreeMap;
use std::path::Path;

use super::text::joined;
use crate::model::RawString;

/// What is known of a name that is, or was, a symbolic link.
#[derive(Debug)]
struct Known {
    /// Where it leads; none once it is no link any more.
    target: Option<Vec<u8>>,
    /// The batch in which it was read from disk; none when the job's own calls told of it.
    read_in: Option<u64>,
}

/// Links by their real path.
#[derive(Debug, Default)]
pub(super) struct Links {
    known: BTreeMap<Vec<u8>, Known>,
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
    /// because the disk was asked, which may have been ahead.
    Doubtful,
}

impl Links {
    /// What is read from disk from now on is newer than every call told of so far.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// The job made a link.
    pub(super) fn made(&mut self, path: &[u8], target: &[u8]) -> Effect {
        let effect = self.doubt(path).unwrap_or(Effect::Changed);
        self.set(path.to_vec(), Some(target.to_vec()));
        effect
    }

    /// The job removed a name, of whatever it was.
    pub(super) fn removed(&mut self, path: &[u8]) -> Effect {
        let Some(effect) = self.doubt(path) else {
            return Effect::None;
        };
        self.set(path.to_vec(), None);
        effect
    }

    /// The job moved a name, of a link, of a folder of links, or of anything else.
    pub(super) fn moved(&mut self, from: &[u8], to: &[u8]) -> Effect {
        let mut effect = self.removed(to);
        let below = joined(from, b"");
        let inside = self.known.range(below.clone()..);
        let inside: Vec<_> = inside
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&below))
            .chain(self.known.contains_key(from).then(|| from.to_vec()))
            .collect();
        for path in inside {
            let doubt = self.doubt(&path).unwrap_or(Effect::None);
            if effect != Effect::Doubtful {
                effect = doubt;
            }
            let target = self.known.get(&path).and_then(|known| known.target.clone());
            let moved = [to, &path[from.len()..]].concat();
            self.set(path, None);
            self.set(moved, target);
        }
        effect
    }

    /// Where a name leads, when it is a link: by what the job did, else by what is on disk.
    pub(super) fn target(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        if let Some(known) = self.known.get(path) {
            return known.target.clone();
        }
        let link = RawString::new(path).to_os_string();
        let target = std::fs::read_link(Path::new(&link)).ok()?;
        let target = RawString::from_path(&target).as_bytes().to_vec();
        let known = Known {
            target: Some(target.clone()),
            read_in: Some(self.batch),
        };
        self.known.insert(path.to_vec(), known);
        Some(target)
    }

    fn set(&mut self, path: Vec<u8>, target: Option<Vec<u8>>) {
        let read_in = None;
        self.known.insert(path, Known { target, read_in });
    }

    /// What it means that a known name changes; none when it is not known.
    fn doubt(&self, path: &[u8]) -> Option<Effect> {
        let known = self.known.get(path)?;
        Some(if known.read_in == Some(self.batch) {
            Effect::Doubtful
        } else {
            Effect::Changed
        })
    }
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
        let path = folder.path().join("link");
        std::os::unix::fs::symlink("target", &path).expect("a link can be made");
        let path = RawString::from_path(&path);
        let mut links = Links::default();
        assert_eq!(links.target(path.as_bytes()), Some(b"target".to_vec()));
        assert_eq!(links.removed(path.as_bytes()), Effect::Doubtful);
        let mut links = Links::default();
        assert_eq!(links.target(path.as_bytes()), Some(b"target".to_vec()));
        links.next_batch();
        assert_eq!(links.made(path.as_bytes(), b"other"), Effect::Changed);
        assert_eq!(links.target(path.as_bytes()), Some(b"other".to_vec()));
    }
}
