//! Files in lists for people: the members of a collection (a folder of many files that one job
//! read or wrote) are one line.

use std::path::Path;

use hashbrown::HashMap;
use serde::Serialize;

use super::{human, paths};
use crate::model::{Digest, RawString};
use crate::store::CollectionPlace;

/// A line of a list.
#[derive(Debug)]
pub(super) struct Group<'a, T> {
    /// The collection that the files are members of; none for a file by itself.
    pub(super) collection: Option<&'a CollectionPlace>,
    /// The files, in their order.
    pub(super) files: Vec<T>,
}

/// Files line by line: members stand where the first of them stood.
pub(super) fn grouped<'a, T>(
    files: impl IntoIterator<Item = T>,
    collection_of: impl Fn(&T) -> Option<&'a CollectionPlace>,
) -> Vec<Group<'a, T>> {
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    let mut known: HashMap<&RawString, usize> = HashMap::new();
    for file in files {
        let collection = collection_of(&file);
        if let Some(at) = collection.and_then(|met| known.get(&met.folder)) {
            groups[*at].files.push(file);
            continue;
        }
        if let Some(met) = collection {
            known.insert(&met.folder, groups.len());
        }
        let files = vec![file];
        groups.push(Group { collection, files });
    }
    groups
}

/// The collection of one side of a job that a file is a member of.
pub(super) fn collection_of<'a>(
    collections: &'a [CollectionPlace],
    produced: bool,
    path: &RawString,
) -> Option<&'a CollectionPlace> {
    let holds = |met: &&CollectionPlace| met.produced == produced && path.is_below(&met.folder);
    collections.iter().find(holds)
}

/// A folder as it is shown: it ends in a slash.
pub(super) fn folder(met: &CollectionPlace, cwd: &Path) -> String {
    format!("{}/", paths::shown(&met.folder, cwd))
}

/// `150 files`, or `3 of 150 files` where not all of them are meant.
pub(super) fn count(meant: usize, all: usize) -> String {
    if meant < all {
        format!("{meant} of {}", human::count(all, "file"))
    } else {
        human::count(meant, "file")
    }
}

/// A collection of a job, for machines; its members are among the job's files.
#[derive(Debug, Serialize)]
pub(super) struct CollectionDocument<'a> {
    folder: &'a RawString,
    role: &'static str,
    hash: &'a Digest,
}

impl<'a> From<&'a CollectionPlace> for CollectionDocument<'a> {
    fn from(met: &'a CollectionPlace) -> Self {
        Self {
            folder: &met.folder,
            role: if met.produced { "output" } else { "input" },
            hash: &met.hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_together() {
        let met = |folder: &str, produced| CollectionPlace {
            folder: folder.into(),
            produced,
            hash: Digest::from_bytes(folder.as_bytes()),
        };
        let collections = [met("/p/d", false), met("/p/e", false), met("/p/f", true)];
        let files = ["/p/a", "/p/d/1", "/p/e/x/1", "/p/d/2", "/p/d2", "/p/f/1"];
        let raw: Vec<RawString> = files.iter().map(|path| (*path).into()).collect();
        let lines: Vec<String> = grouped(&raw, |path| collection_of(&collections, false, path))
            .iter()
            .map(|group| {
                let folder = group.collection.map(|met| folder(met, Path::new("/p")));
                format!("{}{}", folder.unwrap_or_default(), group.files.len())
            })
            .collect();
        assert_eq!(lines, ["1", "d/2", "e/1", "1", "1"]);
    }
}
