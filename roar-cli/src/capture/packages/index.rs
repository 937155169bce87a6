//! An index over all files of a package database: which package owns a path.
//!
//! A whole system has some hundred thousand paths, and a run asks for a few of them. They are kept as
//! hashes, twelve bytes a path, in order; a table tells where those with the same first byte stand, so
//! that little is read, and nothing is parsed. Two of a million paths share 64 bits of BLAKE3 with a
//! chance of one in 37 million.

use std::cell::OnceCell;
use std::path::Path;

use rayon::prelude::*;

use super::Notes;
use crate::capture::notes::Document;

/// A package and its version.
pub(super) type Package = (String, String);

/// A package and the hashes of the paths of its files: the paths of a whole system would take tens
/// of megabytes.
pub(super) type Listed = (Package, Vec<u64>);

/// The owners of paths.
#[derive(Debug)]
pub(super) struct Index {
    /// The form, the length of the packages' text, the table, that text, the entries.
    document: Document,
    /// `name TAB version` a line.
    packages: String,
    /// How many entries there are up to those that begin with a byte, and behind the last.
    table: [u32; BEGINNINGS + 1],
    /// What was read of the entries, by their first byte.
    read: [OnceCell<Vec<u8>>; BEGINNINGS],
}

const FORM: &[u8; 8] = b"owners 5";
const BEGINNINGS: usize = 256;
const TABLE_BYTES: usize = (BEGINNINGS + 1) * 4;
const HEAD: usize = FORM.len() + 4 + TABLE_BYTES;

/// The first eight bytes are the path's hash (big-endian, so that they are in its order), the others
/// where the package's line begins.
const ENTRY: usize = 12;

impl Index {
    /// Recalls the index of a database in this state, or makes and keeps it.
    pub(super) fn of(
        notes: &Notes,
        source: &Path,
        state: &str,
        make: impl FnOnce() -> Vec<Listed>,
    ) -> Self {
        Self::recall(notes, source, state)
            .unwrap_or_else(|| Self::learn(notes, source, state, make()))
    }

    /// The index of a database that was met in this state before.
    pub(super) fn recall(notes: &Notes, source: &Path, state: &str) -> Option<Self> {
        notes.recall_in_parts(source, state).and_then(Self::read)
    }

    /// Makes the index of a database and keeps it.
    pub(super) fn learn(notes: &Notes, source: &Path, state: &str, listed: Vec<Listed>) -> Self {
        let made = document(listed);
        notes.learn(source, state, &made);
        Self::read(made.into()).unwrap_or_default()
    }

    fn read(document: Document) -> Option<Self> {
        let head = document.part(0, HEAD)?;
        let (length, table) = head.strip_prefix(FORM)?.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let mut counts = [0; BEGINNINGS + 1];
        for (count, bytes) in counts.iter_mut().zip(table.as_chunks().0) {
            *count = u32::from_le_bytes(*bytes);
        }
        let packages = String::from_utf8(document.part(HEAD as u64, length)?).ok()?;
        let index = Self {
            document,
            packages,
            table: counts,
            read: [const { OnceCell::new() }; BEGINNINGS],
        };
        let is_whole = index.table.is_sorted() && index.entries(BEGINNINGS - 1).is_some();
        is_whole.then_some(index)
    }

    /// The entries whose hash begins with a byte.
    fn entries(&self, first: usize) -> Option<Vec<u8>> {
        let (from, to) = (self.table[first] as usize, self.table[first + 1] as usize);
        let at = HEAD + self.packages.len() + from * ENTRY;
        self.document.part(at as u64, (to - from) * ENTRY)
    }

    /// The owner of a path.
    pub(super) fn owner(&self, path: &str) -> Option<Package> {
        let wanted = hash(path).to_be_bytes();
        let first = usize::from(wanted[0]);
        let entries = self.read[first].get_or_init(|| self.entries(first).unwrap_or_default());
        let entries = entries.as_chunks::<ENTRY>().0;
        let place = entries
            .binary_search_by(|entry| entry[..wanted.len()].cmp(&wanted))
            .ok()?;
        let [.., a, b, c, d] = entries[place];
        let line = self
            .packages
            .get(u32::from_le_bytes([a, b, c, d]) as usize..)?;
        let (name, version) = line.lines().next()?.split_once('\t')?;
        Some((name.to_owned(), version.to_owned()))
    }
}

impl Default for Index {
    /// The owners of nothing.
    fn default() -> Self {
        Self {
            document: Vec::new().into(),
            packages: String::new(),
            table: [0; BEGINNINGS + 1],
            read: [const { OnceCell::new() }; BEGINNINGS],
        }
    }
}

/// An index as it is kept. Of several owners one is taken.
fn document(packages: Vec<Listed>) -> Vec<u8> {
    let mut text = String::new();
    let mut entries = Vec::new();
    for ((name, version), paths) in packages {
        let line = text.len() as u32;
        entries.extend(paths.into_iter().map(|path| (path, line)));
        text.extend([&name, "\t", &version, "\n"]);
    }
    entries.par_sort_unstable();
    entries.dedup_by_key(|(hash, _)| *hash);
    let mut document = Vec::with_capacity(HEAD + text.len() + entries.len() * ENTRY);
    document.extend_from_slice(FORM);
    document.extend_from_slice(&(text.len() as u32).to_le_bytes());
    for first in 0..=BEGINNINGS as u64 {
        let before = entries.partition_point(|(hash, _)| hash >> 56 < first);
        document.extend_from_slice(&(before as u32).to_le_bytes());
    }
    document.extend_from_slice(text.as_bytes());
    for (hash, line) in entries {
        document.extend_from_slice(&hash.to_be_bytes());
        document.extend_from_slice(&line.to_le_bytes());
    }
    document
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
                assert_eq!(found, Some(package(&n.to_string())));
            }
            for path in ["", "/", "/usr/lib/50/1", "/usr/lib/1"] {
                assert_eq!(index.owner(path), None, "{path}");
            }
        }
        let emptied = Index::of(&notes, source, "2", Vec::new);
        assert_eq!(emptied.owner("/usr/lib/1/1"), None);
        let whole = document((0..9).map(|n| (package("p"), vec![n << 61 | n])).collect());
        for length in 0..whole.len() {
            assert!(Index::read(whole[..length].to_vec().into()).is_none());
        }
        assert!(Index::read(whole.into()).is_some());
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
