//! What the facts about each file come to: input, output, both, temporary, or nothing.
//!
//! - A file created in the job is an output when it has a name at the end, else a temporary.
//! - A file from before the job is an output when it has a name and was modified, or when the
//!   job gave it a name that it did not have before.
//! - It is an input when its content from before the job was consumed or, being an output,
//!   went into that output: kept in part, or moved there whole. What was only written into
//!   or moved and then removed is neither.

use hashbrown::HashSet;

use super::files::{Facts, File, FileIndex, Kind, Name, NameFacts, Role};
use super::fold::Fold;
use super::observation::{
    FileKind, Input, InputCause, InputFate, Observation, ObservedFile, Output, PlacedDirectory,
    TemporaryFile, WriteEvidence,
};
use super::paths::Node;
use crate::event::PathQuality;
use crate::model::{Basis, RawString};

/// Fills in files, temporaries and placed directories.
pub(super) fn files(fold: &Fold, observation: &mut Observation) {
    let mut names = Vec::new();
    let mut temporary_paths = HashSet::new();
    for index in fold.files.indices() {
        names.clear();
        names.extend(fold.files.names(index));
        let file = fold.files.get(index);
        match file.kind {
            Kind::Symlink => {}
            Kind::Directory => {
                if !file.facts.any(Facts::CREATED)
                    && let Some(to) = names.iter().find(|name| is_placed(**name))
                    && let Some(from) = original(&names)
                {
                    let from = fold.paths.path(from.node);
                    let to = fold.paths.path(to.node);
                    observation
                        .placed_directories
                        .push(PlacedDirectory { from, to });
                }
            }
            Kind::Regular | Kind::Unknown => {
                let is_named = names.iter().copied().any(is_alive);
                if file.facts.any(Facts::CREATED) && !is_named {
                    let Some(last) = names.last() else {
                        continue;
                    };
                    // A journal made and deleted a million times is one line.
                    if !temporary_paths.insert(last.node) {
                        continue;
                    }
                    observation.temporaries.push(TemporaryFile {
                        id: fold.files.id(index),
                        path: fold.paths.path(last.node),
                    });
                } else {
                    observation.files.extend(observed(fold, index, &names));
                }
            }
        }
    }
}

fn observed(fold: &Fold, index: FileIndex, names: &[Name]) -> Option<ObservedFile> {
    let file = fold.files.get(index);
    let output = output(fold, index, names);
    let input = input(fold, index, names, output.as_ref());
    if input.is_none() && output.is_none() {
        return None;
    }
    let input_node = input.as_ref().map(|(_, node)| *node);
    let former = |name: &&Name| {
        let gone = NameFacts::ALIVE.with(NameFacts::LABEL);
        !name.facts.any(gone) && Some(name.node) != input_node
    };
    Some(ObservedFile {
        id: fold.files.id(index),
        kind: match file.kind {
            Kind::Unknown => FileKind::Unknown,
            Kind::Regular | Kind::Directory | Kind::Symlink => FileKind::Regular,
        },
        created: file.facts.any(Facts::CREATED),
        former_paths: paths(fold, names.iter().filter(former)),
        readers: fold.files.processes(index, Role::Reader),
        writers: fold.files.processes(index, Role::Writer),
        input: input.map(|(input, _)| Box::new(input)),
        output,
    })
}

fn output(fold: &Fold, index: FileIndex, names: &[Name]) -> Option<Output> {
    let facts = fold.files.get(index).facts;
    let evidence = if facts.any(Facts::WRITTEN) {
        WriteEvidence::Seen(Basis::Written)
    } else if facts.any(Facts::MAPPED_WRITE) {
        WriteEvidence::Seen(Basis::Mapped)
    } else if facts.any(Facts::INFERRED) {
        WriteEvidence::Inferred
    } else {
        WriteEvidence::Placed
    };
    // The other names of a file that was only placed are where it was before.
    let is_place =
        |name: &&Name| is_alive(**name) && (evidence != WriteEvidence::Placed || is_placed(**name));
    let first = names
        .iter()
        .filter(is_place)
        .min_by_key(|name| name.facts.quality() != PathQuality::Full)?;
    let further = names
        .iter()
        .filter(is_place)
        .filter(|name| name.node != first.node);
    Some(Output {
        path: fold.paths.path(first.node),
        quality: first.facts.quality(),
        evidence,
        shared_mapping: facts.any(Facts::STORED_TO),
        links: paths(fold, further),
    })
}

fn input(
    fold: &Fold,
    index: FileIndex,
    names: &[Name],
    output: Option<&Output>,
) -> Option<(Input, Node)> {
    let file = fold.files.get(index);
    let facts = file.facts;
    let is_modified = facts.any(Facts::MODIFIED);
    let placed = names.iter().copied().any(is_placed);
    // What was seen best comes first.
    let (cause, node, quality) = if facts.any(Facts::CONSUMED) {
        let basis = if facts.any(Facts::EXECUTED) {
            Basis::Executed
        } else if facts.any(Facts::READ) {
            Basis::Read
        } else if facts.any(Facts::MAPPED) {
            Basis::Mapped
        } else {
            Basis::Opened
        };
        let (node, quality) = before_moves(file, names);
        (InputCause::Consumed(basis), node, quality)
    } else if output.is_some() && facts.any(Facts::KEPT) {
        let (node, quality) = before_moves(file, names);
        (InputCause::Kept, node, quality)
    } else if output.is_some() && placed && !is_modified {
        let original = original(names)?;
        (InputCause::Moved, original.node, original.facts.quality())
    } else {
        return None;
    };
    let here = names
        .iter()
        .find(|name| name.node == node && is_alive(**name));
    let alive = here.or_else(|| names.iter().find(|name| is_alive(**name)));
    let fate = match alive {
        None => InputFate::Removed,
        Some(_) if is_modified => InputFate::Changed,
        Some(name) if name.node == node => InputFate::Intact,
        Some(name) => InputFate::MovedTo(fold.paths.path(name.node)),
    };
    let input = Input {
        path: fold.paths.path(node),
        quality,
        cause,
        state: facts.any(Facts::STAMPED).then_some(file.stamp),
        fate,
    };
    Some((input, node))
}

fn paths<'a>(fold: &Fold, names: impl Iterator<Item = &'a Name>) -> Vec<RawString> {
    names.map(|name| fold.paths.path(name.node)).collect()
}

/// Where a file was touched first or, when the job had moved it there, where it was before.
fn before_moves(file: &File, names: &[Name]) -> (Node, PathQuality) {
    let touched = names.iter().find(|name| name.node == file.input);
    let was_moved = touched.is_some_and(|name| is_given(*name));
    match original(names) {
        Some(name) if was_moved => (name.node, name.facts.quality()),
        _ => (file.input, file.input_quality),
    }
}

fn original(names: &[Name]) -> Option<&Name> {
    names
        .iter()
        .find(|name| name.facts.any(NameFacts::ORIGINAL))
}

fn is_alive(name: Name) -> bool {
    name.facts.any(NameFacts::ALIVE)
}

fn is_placed(name: Name) -> bool {
    is_alive(name) && is_given(name)
}

/// Whether the file had the name only by a rename or link of the job.
fn is_given(name: Name) -> bool {
    name.facts.any(NameFacts::GIVEN) && !name.facts.any(NameFacts::ORIGINAL)
}
