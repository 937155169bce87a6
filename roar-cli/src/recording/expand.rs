//! What only the disk can tell: names that moved without the file being touched, and files that
//! outlived their removal.

use std::fs;

use crate::event::PathQuality;
use crate::model::{Basis, Gap, GapKind, RawString};
use crate::observe::{
    FileKind, Input, InputCause, InputFate, Observation, ObservedFile, Output, PlacedDirectory,
    WriteEvidence,
};

/// Looks at every moved name of unknown kind: a regular file stays, a directory becomes the
/// files in it, anything else is dropped. Then lists the directories that were moved whole.
pub(super) fn resolve_unknown(observation: &mut Observation) {
    let mut directories = std::mem::take(&mut observation.placed_directories);
    observation.files.retain_mut(|file| {
        if file.kind == FileKind::Regular {
            return true;
        }
        let Some(output) = &file.output else {
            return file.input.is_some();
        };
        let Ok(metadata) = output.path.to_path_buf().symlink_metadata() else {
            // Gone since: the record says that it was there, and why it has no hash.
            return true;
        };
        if metadata.is_dir() {
            let from = file
                .input
                .as_ref()
                .map_or(&output.path, |input| &input.path);
            directories.push(PlacedDirectory {
                from: from.clone(),
                to: output.path.clone(),
            });
        }
        file.kind = FileKind::Regular;
        metadata.is_file()
    });
    let mut known: std::collections::HashSet<RawString> = observation
        .files
        .iter()
        .filter_map(|file| file.output.as_ref())
        .map(|output| output.path.clone())
        .collect();
    let mut unlisted = 0;
    for directory in directories {
        unlisted += list(&directory.from, &directory.to, &mut |from, to| {
            if known.insert(to.clone()) {
                observation.files.push(placed(from, to));
            }
        });
    }
    if unlisted > 0 {
        observation.gaps.push(Gap {
            kind: GapKind::UnresolvedPath,
            detail: "a folder that the command moved could not be listed".to_owned(),
            count: unlisted,
        });
    }
}

/// A removal is reported when its call returns. By then another process may have made a new
/// file of that name, which looks removed then: whatever is still there is an output.
pub(super) fn keep_survivors(observation: &mut Observation) {
    let files = &mut observation.files;
    observation.temporaries.retain(|file| {
        let survives = file.id.is_some_and(|id| {
            let metadata = file.path.to_path_buf().symlink_metadata();
            // Not the device: on btrfs and overlayfs `stat` shows another one.
            metadata.is_ok_and(|there| there.is_file() && inode(&there) == id.inode)
        });
        if survives {
            files.push(ObservedFile {
                id: file.id,
                kind: FileKind::Regular,
                input: None,
                output: Some(Output {
                    path: file.path.clone(),
                    quality: PathQuality::Full,
                    evidence: WriteEvidence::Seen(Basis::Written),
                    shared_mapping: false,
                    links: Vec::new(),
                }),
                created: true,
                former_paths: Vec::new(),
                readers: Vec::new(),
                writers: Vec::new(),
            });
        }
        !survives
    });
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.ino()
}

/// No file has this number.
#[cfg(not(unix))]
fn inode(_metadata: &fs::Metadata) -> u64 {
    0
}

/// Every regular file below `to`, with the path it had below `from`. Returns how many folders
/// could not be listed.
fn list(from: &RawString, to: &RawString, found: &mut dyn FnMut(RawString, RawString)) -> u64 {
    let Ok(entries) = fs::read_dir(to.to_path_buf()) else {
        return 1;
    };
    let mut unlisted = 0;
    for entry in entries {
        let Ok((kind, name)) = entry.and_then(|entry| Ok((entry.file_type()?, entry.file_name())))
        else {
            unlisted += 1;
            continue;
        };
        let name = RawString::from_os(&name);
        let (from, to) = (child(from, &name), child(to, &name));
        if kind.is_dir() {
            unlisted += list(&from, &to, found);
        } else if kind.is_file() {
            found(from, to);
        }
    }
    unlisted
}

fn child(directory: &RawString, name: &RawString) -> RawString {
    let mut path = directory.as_bytes().to_vec();
    path.push(b'/');
    path.extend_from_slice(name.as_bytes());
    path.into()
}

/// A file that came along with its directory.
fn placed(from: RawString, to: RawString) -> ObservedFile {
    ObservedFile {
        id: None,
        kind: FileKind::Regular,
        input: Some(Box::new(Input {
            path: from,
            quality: PathQuality::Full,
            cause: InputCause::Moved,
            state: None,
            fate: InputFate::MovedTo(to.clone()),
        })),
        output: Some(Output {
            path: to,
            quality: PathQuality::Full,
            evidence: WriteEvidence::Placed,
            shared_mapping: false,
            links: Vec::new(),
        }),
        created: false,
        former_paths: Vec::new(),
        readers: Vec::new(),
        writers: Vec::new(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::event::FileId;
    use crate::observe::TemporaryFile;

    #[test]
    fn a_file_that_outlived_its_removal_is_an_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        fs::write(&path, "").expect("written");
        let there = inode(&path.symlink_metadata().expect("it is there"));
        let check = |path: &std::path::Path, inode: Option<u64>, expected: usize| {
            let mut observation = Observation {
                temporaries: vec![TemporaryFile {
                    id: inode.map(|inode| FileId {
                        device: 1,
                        inode,
                        generation: 1,
                    }),
                    path: RawString::from_path(path),
                }],
                ..Observation::default()
            };
            keep_survivors(&mut observation);
            assert_eq!(observation.files.len(), expected, "{inode:?}");
            assert_eq!(observation.temporaries.len(), 1 - expected);
        };
        check(&path, Some(there), 1);
        // Another file of that name, made by somebody else.
        check(&path, Some(there + 1), 0);
        check(&path, None, 0);
        check(&folder.path().join("gone"), Some(there), 0);
    }
}
