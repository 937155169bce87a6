//! An index over all files of a package database: which package owns a path.
//!
//! A whole system has some hundred thousand paths. They are kept as hashes, twelve bytes a path, in
//! order, so that an index is read at once and searched without being parsed. Two of a million paths
//! share 64 bits of BLAKE3 with a chance of one in 37 million.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::Notes;

/// A package and its version.
pub(super) type Package = (String, String);

/// A package and the hashes of the paths of its files: the paths of a whole system would take tens
/// of megabytes.
pub(super) type Listed = (Package, Vec<u64>);

/// The owners of paths.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// The form, the length of the packages' text, that text (`name TAB version` a line), the entries.
    document: Arc<Vec<u8>>,
    packages: Vec<Package>,
    /// Where the entries begin.
    start: usize,
}

const FORM: &[u8; 8] = b"owners 4";
const HEAD: usize = FORM.len() + 4;

/// The first eight bytes are the path's hash (big-endian, so that they are in its order), the others
/// the package's place in the list.
const ENTRY: usize = 12;

impl Index {
    /// Recalls the index of a database in this state, or makes and keeps it.
    pub(super) fn of(
        notes: &Notes,
        source: &Path,
        state: &str,
        make: impl FnOnce() -> Vec<Listed>,
    ) -> Self {
        let known = notes.recall(source, state).and_then(Self::parse);
        known.unwrap_or_else(|| {
            let made = Self::make(make());
            notes.learn(source, state, &made.document);
            made
        })
    }

    /// An index over packages and their files. Of several owners one is taken.
    pub(super) fn make(packages: Vec<Listed>) -> Self {
        let mut entries: Vec<(u64, u32)> = packages
            .iter()
            .zip(0..)
            .flat_map(|((_, paths), place)| paths.iter().map(move |path| (*path, place)))
            .collect();
        entries.par_sort_unstable();
        entries.dedup_by_key(|(hash, _)| *hash);
        let packages: Vec<Package> = packages.into_iter().map(|(package, _)| package).collect();
        let mut text = String::new();
        for (name, version) in &packages {
            text.extend([name, "\t", version, "\n"]);
        }
        let mut document = Vec::with_capacity(HEAD + text.len() + entries.len() * ENTRY);
        document.extend_from_slice(FORM);
        document.extend_from_slice(&(text.len() as u32).to_le_bytes());
        document.extend_from_slice(text.as_bytes());
        for (hash, place) in entries {
            document.extend_from_slice(&hash.to_be_bytes());
            document.extend_from_slice(&place.to_le_bytes());
        }
        Self {
            document: Arc::new(document),
            packages,
            start: HEAD + text.len(),
        }
    }

    fn parse(document: Arc<Vec<u8>>) -> Option<Self> {
        let head = document.get(..HEAD)?.strip_prefix(FORM)?;
        let length = u32::from_le_bytes(head.try_into().ok()?) as usize;
        let start = HEAD + length;
        let text = std::str::from_utf8(document.get(HEAD..start)?).ok()?;
        let packages = text.lines().map(|line| {
            let (name, version) = line.split_once('\t')?;
            Some((name.to_owned(), version.to_owned()))
        });
        Some(Self {
            packages: packages.collect::<Option<_>>()?,
            start,
            document,
        })
    }

    /// The owner of a path.
    pub(super) fn owner(&self, path: &str) -> Option<&Package> {
        let entries = self.document.get(self.start..)?.as_chunks::<ENTRY>().0;
        let wanted = hash(path).to_be_bytes();
        let place = entries
            .binary_search_by(|entry| entry[..wanted.len()].cmp(&wanted))
            .ok()?;
        let [.., a, b, c, d] = entries[place];
        self.packages.get(u32::from_le_bytes([a, b, c, d]) as usize)
    }
}

/// The hash that stands for a path.
pub(super) fn hash(path: &str) -> u64 {
    let hash = blake3::hash(path.as_bytes());
    let first = hash.as_bytes().first_chunk();
    first.map_or(0, |first| u64::from_be_bytes(*first))
}

/// Paths as they are where a merged `/usr` has links for `/bin`, `/lib` and their like: packages may
/// list files by either path.
pub(super) struct Merged(Vec<&'static str>);

impl Merged {
    /// What this machine has merged.
    pub(super) fn here() -> Self {
        let folders = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
        let merged = folders.into_iter().filter(|f| Path::new(f).is_symlink());
        Self(merged.collect())
    }

    /// The real path.
    pub(super) fn real(&self, path: &str) -> String {
        let is_below = |folder: &&str| {
            let rest = path.strip_prefix(*folder);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        if self.0.iter().any(is_below) {
            format!("/usr{path}")
        } else {
            path.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_again() {
        let package = |name: &str| (name.to_owned(), "1:2~3 4".to_owned());
        let listed = (0..50).map(|n| {
            let paths = (0..40).map(|k| hash(&format!("/usr/lib/{n}/{k}")));
            (package(&n.to_string()), paths.collect())
        });
        let notes = Notes::default();
        let source = Path::new("/db");
        let made = Index::of(&notes, source, "1", || listed.collect());
        let again = Index::of(&notes, source, "1", || panic!("it is known"));
        for index in [&made, &again] {
            for n in 0..50 {
                let found = index.owner(&format!("/usr/lib/{n}/39"));
                assert_eq!(found, Some(&package(&n.to_string())));
            }
            for path in ["", "/", "/usr/lib/50/1", "/usr/lib/1"] {
                assert_eq!(index.owner(path), None, "{path}");
            }
        }
        let emptied = Index::of(&notes, source, "2", Vec::new);
        assert_eq!(emptied.owner("/usr/lib/1/1"), None);
        for length in 0..made.start {
            assert!(Index::parse(Arc::new(made.document[..length].to_vec())).is_none());
        }
        assert!(Index::parse(made.document.clone()).is_some());
    }

    #[test]
    fn either_path_of_a_merged_file() {
        let merged = Merged(vec!["/lib", "/bin"]);
        for (path, expected) in [
            ("/lib/a.so", "/usr/lib/a.so"),
            ("/bin/x", "/usr/bin/x"),
            ("/lib", "/lib"),
            ("/library/x", "/library/x"),
            ("/usr/lib/a.so", "/usr/lib/a.so"),
        ] {
            assert_eq!(merged.real(path), expected);
        }
    }
}
