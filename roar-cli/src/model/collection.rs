//! Collections: a tree of files that is one thing (a dataset, a sharded checkpoint).

use std::collections::BTreeMap;

use super::artifact::Digest;
use super::raw::RawString;

/// A named tree of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// What it is called: by default the name of its folder.
    pub name: String,
    /// The BLAKE3 digest of each member, by its path below the collection's folder.
    pub members: BTreeMap<RawString, Digest>,
}

impl Collection {
    /// The content hash: of the members' paths and digests, in the order of the paths. It is
    /// the same on every machine and does not depend on name, place or order of discovery.
    pub fn hash(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"roar collection 1\0");
        for (path, digest) in &self.members {
            // Lengths first: no two trees may have the same bytes.
            hasher.update(&(path.as_bytes().len() as u64).to_le_bytes());
            hasher.update(path.as_bytes());
            hasher.update(digest.as_str().as_bytes());
        }
        Digest::from_bytes(hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, members: &[(&str, &str)]) -> Digest {
        let members = members.iter().map(|(path, digest)| {
            (
                RawString::from(*path),
                Digest::from_bytes(blake3::hash(digest.as_bytes()).as_bytes()),
            )
        });
        Collection {
            name: name.to_owned(),
            members: members.collect(),
        }
        .hash()
    }

    #[test]
    fn the_hash_is_of_the_members() {
        let one = of("a", &[("x", "1"), ("y", "2")]);
        assert_eq!(one, of("b", &[("y", "2"), ("x", "1")]));
        for other in [
            of("a", &[]),
            of("a", &[("x", "1")]),
            of("a", &[("x", "2"), ("y", "1")]),
            of("a", &[("x", "1"), ("z", "2")]),
            of("a", &[("xy", "1"), ("", "2")]),
        ] {
            assert_ne!(one, other);
        }
    }
}
