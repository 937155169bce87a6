//! What only the disk can tell: names that moved without the file being touched.

use std::fs;

use crate::event::PathQuality;
use crate::model::{Gap, GapKind, RawString};
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
        input: Some(Input {
            path: from,
            quality: PathQuality::Full,
            cause: InputCause::Moved,
            state: None,
            fate: InputFate::MovedTo(to.clone()),
        }),
        output: Some(Output {
            path: to,
            quality: PathQuality::Full,
            evidence: WriteEvidence::Placed,
            links: Vec::new(),
        }),
        created: false,
        former_paths: Vec::new(),
        readers: Vec::new(),
        writers: Vec::new(),
    }
}
