//! Trees of files that are one thing: a dataset, a sharded checkpoint, an unpacked archive.
//!
//! A folder is a collection when enough files below it were read, or written, and it is no place
//! where unrelated things lie: the project itself, the home folder, folders for temporary files and
//! what is above them are none. Of nested ones the outermost counts, and of that the folder that
//! holds all of the files.

use std::collections::{BTreeMap, HashSet};

use crate::capture::select::Facts;
use crate::model::{Collection, Digest, FileRecord, JobRecord, RawString};
use crate::store::JobCollection;

/// The collections that a job consumed and produced, of `min_files` files or more; 0 is none.
pub fn collections(record: &JobRecord, facts: &Facts, min_files: u64) -> Vec<JobCollection> {
    if min_files == 0 {
        return Vec::new();
    }
    let shared = shared_places(facts);
    let sides = [(false, &record.inputs), (true, &record.outputs)];
    sides
        .into_iter()
        .flat_map(|(produced, files)| {
            let found = find(files, &shared, min_files);
            found
                .into_iter()
                .map(move |(folder, members)| JobCollection {
                    collection: Collection {
                        name: RawString::new(
                            folder.rsplit(|b| *b == b'/').next().unwrap_or_default(),
                        )
                        .to_string(),
                        members,
                    },
                    folder: RawString::new(folder),
                    produced,
                })
        })
        .collect()
}

/// Folders where unrelated things lie.
fn shared_places(facts: &Facts) -> HashSet<Vec<u8>> {
    let places = std::iter::once(&facts.project_root)
        .chain(&facts.home)
        .chain(&facts.temporary_folders);
    let mut shared = HashSet::new();
    for place in places {
        let mut folder = place.as_bytes();
        while shared.insert(folder.to_vec()) && !folder.is_empty() {
            folder = parent(folder);
        }
    }
    shared
}

/// The members of each collection by their paths below its folder.
fn find(
    files: &[FileRecord],
    shared: &HashSet<Vec<u8>>,
    min_files: u64,
) -> Vec<(Vec<u8>, BTreeMap<RawString, Digest>)> {
    // Folders first: there are far fewer of them than files.
    let mut direct: BTreeMap<&[u8], u64> = BTreeMap::new();
    for file in files.iter().filter(|file| file.hash().is_some()) {
        *direct.entry(parent(file.path.as_bytes())).or_default() += 1;
    }
    let mut below: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (folder, count) in &direct {
        let mut folder = *folder;
        while !folder.is_empty() && !shared.contains(folder) {
            *below.entry(folder).or_default() += count;
            folder = parent(folder);
        }
    }
    let is_collection = |folder: &[u8]| below.get(folder).is_some_and(|n| *n >= min_files);
    let outermost = below
        .keys()
        .filter(|folder| is_collection(folder) && !is_collection(parent(folder)));
    outermost
        .map(|outermost| {
            let mut folder = *outermost;
            // In order: a folder's own come after it, its first child first.
            while let Some(child) = below
                .range(folder..)
                .map(|(child, _)| *child)
                .find(|child| parent(child) == folder)
                .filter(|child| below[child] == below[folder])
            {
                folder = child;
            }
            let members = files.iter().filter_map(|file| {
                let below = file
                    .path
                    .as_bytes()
                    .strip_prefix(folder)?
                    .strip_prefix(b"/")?;
                Some((RawString::new(below), file.hash()?.clone()))
            });
            (folder.to_vec(), members.collect())
        })
        .collect()
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Basis, HashAlgorithm, Hashes};

    fn check(paths: &[&str], expected: &[(&str, usize)]) {
        let files: Vec<FileRecord> = paths
            .iter()
            .map(|path| FileRecord {
                path: (*path).into(),
                hashes: Hashes::from([(
                    HashAlgorithm::Blake3,
                    Digest::from_bytes(blake3::hash(path.as_bytes()).as_bytes()),
                )]),
                size_bytes: None,
                basis: Basis::Read,
                note: None,
            })
            .collect();
        let facts = Facts {
            project_root: "/home/ann/p".into(),
            home: Some("/home/ann".into()),
            temporary_folders: vec!["/tmp".into()],
            ..Facts::default()
        };
        let found = find(&files, &shared_places(&facts), 3);
        let found: Vec<(String, usize)> = found
            .iter()
            .map(|(folder, members)| (String::from_utf8_lossy(folder).into_owned(), members.len()))
            .collect();
        let expected: Vec<(String, usize)> = expected
            .iter()
            .map(|(folder, count)| ((*folder).to_owned(), *count))
            .collect();
        assert_eq!(found, expected, "{paths:?}");
    }

    #[test]
    fn which_folders_are_collections() {
        check(&["/home/ann/p/a", "/home/ann/p/b", "/home/ann/p/c"], &[]);
        check(
            &[
                "/home/ann/p/d/a",
                "/home/ann/p/d/b",
                "/home/ann/p/d/c",
                "/home/ann/p/x",
            ],
            &[("/home/ann/p/d", 3)],
        );
        check(
            &[
                "/home/ann/p/d/x/1",
                "/home/ann/p/d/x/2",
                "/home/ann/p/d/y/3",
                "/home/ann/p/d-1/z",
            ],
            &[("/home/ann/p/d", 3)],
        );
        check(
            &[
                "/home/ann/p/d/e/f/1",
                "/home/ann/p/d/e/f/2",
                "/home/ann/p/d/e/f/3",
            ],
            &[("/home/ann/p/d/e/f", 3)],
        );
        check(
            &[
                "/tmp/1",
                "/tmp/2",
                "/tmp/3",
                "/home/ann/x",
                "/home/ann/y",
                "/home/bob/z",
                "/srv/a",
            ],
            &[],
        );
        check(
            &[
                "/data/a/1",
                "/data/a/2",
                "/data/b/3",
                "/data/b/4",
                "/data/b/5",
            ],
            &[("/data", 5)],
        );
        check(&["/home/ann/p/d/a", "/home/ann/p/d/b"], &[]);
    }
}
