//! Contents that no step makes: looked for on this machine by what they are, wherever they are.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::places;
use super::plan::{NeededInput, Plan};
use super::{checkout, plan};
use crate::capture::hash::{NoCache, hash_files};
use crate::model::{Digest, HashAlgorithm, PortableFile, RawString};

/// So many files of the folders that were named are looked at.
const SEARCH_FILES: usize = 200_000;

/// Where an input is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A copy was kept with the record.
    Kept,
    /// It is a file of the commit, or of the tree that was checked out.
    InCommit,
    /// The content is here.
    At(PathBuf),
    /// Only a copy without its secrets is kept: another content.
    Redacted,
    /// Its place holds another content.
    Changed(PathBuf),
    /// Not found; a commit that is not here yet may have it.
    Unseen,
    /// Not found.
    Missing,
    /// Its content was never hashed, so that it cannot be recognised; what is at its place, if
    /// anything, is taken.
    Unknown(Option<PathBuf>),
}

/// Where to look.
pub struct Search<'a> {
    /// Folders that the user named.
    pub folders: &'a [PathBuf],
    /// Places where a record on this machine met a content.
    pub known: &'a dyn Fn(&Digest) -> Vec<PathBuf>,
    /// Whether the lineage is this machine's own: then its paths are, too.
    pub local: bool,
    /// Whether a kept content can be had.
    pub has_blob: &'a dyn Fn(&Digest) -> bool,
}

/// Looks for every input of a plan; the answers come in the order of the inputs.
pub fn look(plan: &Plan, search: &Search<'_>) -> Vec<Presence> {
    let by_size = sizes(plan, search.folders);
    plan.inputs
        .iter()
        .map(|input| look_for(plan, input, search, &by_size))
        .collect()
}

fn look_for(
    plan: &Plan,
    input: &NeededInput,
    search: &Search<'_>,
    by_size: &HashMap<u64, Vec<PathBuf>>,
) -> Presence {
    let own_places = own_places(plan, input, search);
    let Some(wanted) = input.file.hash() else {
        return Presence::Unknown(own_places.into_iter().find(|path| path.is_file()));
    };
    if input.kept.as_ref() == Some(wanted) && (search.has_blob)(wanted) {
        return Presence::Kept;
    }
    if search.local && in_commit(plan, input, wanted) {
        return Presence::InCommit;
    }
    let known = (search.known)(wanted);
    let same_size = input.file.size_bytes.and_then(|size| by_size.get(&size));
    let candidates = own_places
        .iter()
        .chain(&known)
        .chain(same_size.into_iter().flatten());
    for candidate in candidates {
        if has_content(candidate, &input.file) {
            return Presence::At(candidate.clone());
        }
    }
    if input.redacted {
        return Presence::Redacted;
    }
    let may_be_tracked = !input.file.is_outside() && plan.source.is_some();
    if may_be_tracked && !search.local {
        return Presence::Unseen;
    }
    match own_places.into_iter().find(|path| path.is_file()) {
        Some(path) => Presence::Changed(path),
        None => Presence::Missing,
    }
}

/// Where the record says that it is, and where a user with another home would have it.
fn own_places(plan: &Plan, input: &NeededInput, search: &Search<'_>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if input.file.is_outside() {
        let recorded = input.file.path.to_path_buf();
        places.push(recorded.clone());
        let below_home: PathBuf = recorded.components().skip(3).collect();
        if let Some(home) = std::env::home_dir()
            && recorded.starts_with("/home")
            && !below_home.as_os_str().is_empty()
        {
            places.push(home.join(below_home));
        }
    } else if search.local
        && let Some(step) = input.steps.first()
    {
        let root = plan.job(*step).root.to_path_buf();
        places.push(root.join(input.file.path.to_path_buf()));
    }
    if let Ok(relative) = places::place_of(&input.file.path) {
        let name = relative.file_name().unwrap_or_default().to_owned();
        for folder in search.folders {
            places.push(folder.join(&relative));
            places.push(folder.join(&name));
        }
    }
    places
}

/// Whether the commit of a step that reads it has it, where that repository is here.
fn in_commit(plan: &Plan, input: &NeededInput, wanted: &Digest) -> bool {
    input.steps.iter().any(|step| {
        let git = plan.job(*step).git.as_ref();
        let place = git.and_then(|git| Some((git.top.as_ref()?, git.commit.as_deref()?)));
        place
            .filter(|_| !input.file.is_outside())
            .and_then(|(top, commit)| {
                checkout::content_in_commit(&top.to_path_buf(), commit, &input.file.path)
            })
            .is_some_and(|content| Digest::from_bytes(blake3::hash(&content).as_bytes()) == *wanted)
    })
}

/// Whether a file has the recorded content. Nothing but its size is looked at when that differs.
pub fn has_content(path: &Path, file: &PortableFile) -> bool {
    let Ok(metadata) = path.metadata() else {
        return false;
    };
    if !metadata.is_file() || file.size_bytes.is_some_and(|size| size != metadata.len()) {
        return false;
    }
    let hash = content_of(path);
    hash.is_some() && hash.as_ref() == file.hash()
}

/// The BLAKE3 digest of a file, symbolic links followed; none when it has none.
pub fn content_of(path: &Path) -> Option<Digest> {
    let real = path.canonicalize().ok()?;
    let mut hashed = hash_files(&[real], &[HashAlgorithm::Blake3], &mut NoCache);
    let hashed = hashed.pop()?.ok()?;
    hashed.hashes.get(&HashAlgorithm::Blake3).cloned()
}

/// The files below the folders, by size, of the sizes that are looked for.
fn sizes(plan: &Plan, folders: &[PathBuf]) -> HashMap<u64, Vec<PathBuf>> {
    let wanted: HashSet<u64> = plan
        .inputs
        .iter()
        .filter_map(|i| i.file.size_bytes)
        .collect();
    let mut found: HashMap<u64, Vec<PathBuf>> = HashMap::new();
    let mut pending: Vec<PathBuf> = folders.to_vec();
    let mut seen = 0;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > SEARCH_FILES {
                return found;
            }
            let (Ok(kind), path) = (entry.file_type(), entry.path()) else {
                continue;
            };
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file()
                && let Ok(metadata) = entry.metadata()
                && wanted.contains(&metadata.len())
            {
                found.entry(metadata.len()).or_default().push(path);
            }
        }
    }
    found
}

/// What is in the way of running, in words; none when nothing is.
pub fn obstacle(input: &plan::NeededInput, presence: &Presence) -> Option<String> {
    let path: &RawString = &input.file.path;
    match presence {
        Presence::Missing => Some(format!("the input '{path}' is not to be found")),
        Presence::Unknown(None) => Some(format!(
            "the input '{path}' was not hashed, and its place is empty"
        )),
        _ => None,
    }
}
