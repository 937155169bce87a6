//! The digests of one content, kept small: a job may have a million files, and nearly all of them
//! have one digest.

use std::fmt;
use std::ops::Index;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::artifact::{Digest, HashAlgorithm};

/// The digests of one content, by algorithm; a small map in the order of the algorithms.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hashes(Box<[(HashAlgorithm, Digest)]>);

impl Hashes {
    /// No digest.
    pub fn new() -> Self {
        Self::default()
    }

    /// The digest of an algorithm.
    pub fn get(&self, algorithm: &HashAlgorithm) -> Option<&Digest> {
        let mut all = self.0.iter();
        all.find_map(|(of, digest)| (of == algorithm).then_some(digest))
    }

    /// Adds or replaces a digest.
    pub fn insert(&mut self, algorithm: HashAlgorithm, digest: Digest) {
        let mut all = std::mem::take(&mut self.0).into_vec();
        match all.binary_search_by_key(&algorithm, |(of, _)| *of) {
            Ok(at) => all[at].1 = digest,
            Err(at) => all.insert(at, (algorithm, digest)),
        }
        self.0 = all.into_boxed_slice();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Algorithms and digests.
    pub fn iter(&self) -> impl Iterator<Item = (&HashAlgorithm, &Digest)> {
        self.0.iter().map(|(algorithm, digest)| (algorithm, digest))
    }

    /// The algorithms.
    pub fn keys(&self) -> impl Iterator<Item = &HashAlgorithm> {
        self.0.iter().map(|(algorithm, _)| algorithm)
    }

    /// The digests.
    pub fn values(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter().map(|(_, digest)| digest)
    }
}

impl Index<&HashAlgorithm> for Hashes {
    type Output = Digest;

    /// # Panics
    /// There is no digest of that algorithm.
    fn index(&self, algorithm: &HashAlgorithm) -> &Digest {
        self.get(algorithm).expect("a digest of that algorithm")
    }
}

impl Extend<(HashAlgorithm, Digest)> for Hashes {
    fn extend<T: IntoIterator<Item = (HashAlgorithm, Digest)>>(&mut self, more: T) {
        for (algorithm, digest) in more {
            self.insert(algorithm, digest);
        }
    }
}

impl FromIterator<(HashAlgorithm, Digest)> for Hashes {
    fn from_iter<T: IntoIterator<Item = (HashAlgorithm, Digest)>>(all: T) -> Self {
        let mut hashes = Self::new();
        hashes.extend(all);
        hashes
    }
}

impl<const N: usize> From<[(HashAlgorithm, Digest); N]> for Hashes {
    fn from(all: [(HashAlgorithm, Digest); N]) -> Self {
        all.into_iter().collect()
    }
}

impl IntoIterator for Hashes {
    type Item = (HashAlgorithm, Digest);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<'a> IntoIterator for &'a Hashes {
    type Item = (&'a HashAlgorithm, &'a Digest);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (HashAlgorithm, Digest)>,
        fn(&'a (HashAlgorithm, Digest)) -> Self::Item,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(algorithm, digest)| (algorithm, digest))
    }
}

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of algorithms to digests")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Hashes, M::Error> {
                let mut hashes = Hashes::new();
                while let Some((algorithm, digest)) = map.next_entry()? {
                    hashes.insert(algorithm, digest);
                }
                Ok(hashes)
            }
        }

        deserializer.deserialize_map(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_in_the_order_of_the_algorithms() {
        let digest = |text: &str| Digest::from_hex(text);
        let mut hashes = Hashes::from([
            (HashAlgorithm::Md5, digest("cc")),
            (HashAlgorithm::Blake3, digest("aa")),
        ]);
        hashes.insert(HashAlgorithm::Sha256, digest("b0"));
        hashes.insert(HashAlgorithm::Sha256, digest("bb"));
        let json = r#"{"blake3":"aa","sha256":"bb","md5":"cc"}"#;
        assert_eq!(serde_json::to_string(&hashes).expect("serialises"), json);
        let parsed: Hashes = serde_json::from_str(json).expect("parses");
        assert_eq!(parsed, hashes);
        assert_eq!(hashes.get(&HashAlgorithm::Sha512), None);
        assert_eq!(hashes[&HashAlgorithm::Md5], digest("cc"));
        let values: Vec<&str> = hashes.values().map(Digest::as_str).collect();
        assert_eq!((values, hashes.len()), (vec!["aa", "bb", "cc"], 3));
    }
}
