//! Whether tracked files differ from the commit, found as fast as can be.
//!
//! This runs before every command, so the common answer (no) must be cheap: one `lstat` per
//! tracked file, compared with what the index remembers, and no walk over untracked files. Only
//! files whose times moved are read. The first difference ends the search.

use std::path::Path;

use git2::{Commit, DiffOptions, IndexEntry, SubmoduleIgnore};
use rayon::prelude::*;

use super::Repository;
use crate::model::RawString;

/// Bits of `git_index_entry`: the user told git not to look at this file.
const ASSUME_VALID: u16 = 0x8000;
const SKIP_WORKTREE: u16 = 1 << 14;
pub(super) const GITLINK: u32 = 0o160_000;
pub(super) const STAGE: u16 = 0x3000;

/// Up to so many files are compared by name; beyond it, one comparison of the whole tree is cheaper.
const FEW: usize = 32;

/// From so many tracked files on, waking the thread pool pays.
const MANY: usize = 2000;

pub(super) fn is_dirty(
    repository: &Repository,
    commit: Option<&Commit<'_>>,
    top: &Path,
) -> Result<bool, git2::Error> {
    let listed = &repository.listed;
    let suspect = |entry: &IndexEntry| match look(entry, top, listed.mtime_ns) {
        Verdict::Same => None,
        Verdict::Differs => Some(Err(Difference)),
        Verdict::Suspect => Some(Ok(entry.path.clone())),
    };
    let suspects: Result<Vec<_>, Difference> = if listed.entries.len() < MANY {
        listed.entries.iter().filter_map(suspect).collect()
    } else {
        listed.entries.par_iter().filter_map(suspect).collect()
    };
    let Ok(suspects) = suspects else {
        return Ok(true);
    };
    if is_staged(repository, commit)? || has_moved_submodule(repository, top) {
        return Ok(true);
    }
    if suspects.is_empty() {
        return Ok(false);
    }
    let mut options = DiffOptions::new();
    options.disable_pathspec_match(true).update_index(false);
    if suspects.len() <= FEW {
        for path in suspects {
            options.pathspec(path);
        }
    }
    let index = repository.index()?;
    let git = &repository.git;
    let unstaged = git.diff_index_to_workdir(Some(index), Some(&mut options))?;
    let is_file = |delta: git2::DiffDelta<'_>| delta.old_file().mode() != git2::FileMode::Commit;
    Ok(unstaged.deltas().any(is_file))
}

/// Whether the index has another tree than the commit.
fn is_staged(repository: &Repository, commit: Option<&Commit<'_>>) -> Result<bool, git2::Error> {
    let known = repository.listed.tree;
    if known.is_some() && known == commit.map(Commit::tree_id) {
        return Ok(false);
    }
    let tree = commit.map(Commit::tree).transpose()?;
    let index = repository.index()?;
    let staged = repository
        .git
        .diff_tree_to_index(tree.as_ref(), Some(index), None)?;
    Ok(staged.deltas().len() > 0)
}

/// Whether a submodule is at another commit than the recorded one, or has changes of its own, as far
/// as the repository is not told to ignore that.
fn has_moved_submodule(repository: &Repository, top: &Path) -> bool {
    let entries = repository.listed.entries.iter();
    let mut submodules = entries.filter(|entry| entry.mode == GITLINK);
    submodules.any(|entry| {
        let path = RawString::new(entry.path.as_slice()).to_path_buf();
        // One that was never checked out is not changed; without a repository of its own, what is
        // around it is found.
        let place = top.join(&path);
        if !place.join(".git").exists() {
            return false;
        }
        let Ok(Some(inner)) = super::open(&place) else {
            return false;
        };
        let head = inner.git.head().ok().and_then(|head| head.target());
        let moved = head.is_some_and(|head| head != entry.id);
        let changed = moved || inner.read_state().is_ok_and(|state| state.dirty);
        changed
            && match ignored(repository, &path).as_deref() {
                Some("all") => false,
                Some("dirty") => moved,
                _ => true,
            }
    })
}

/// What of a submodule is to be ignored: the user's own word before that of `.gitmodules`.
fn ignored(repository: &Repository, path: &Path) -> Option<String> {
    let submodule = repository.git.find_submodule(path.to_str()?).ok()?;
    let config = repository.git.config().ok()?;
    let own = config.get_string(&format!("submodule.{}.ignore", submodule.name().ok()?));
    own.ok().or_else(|| {
        let rule = match submodule.ignore_rule() {
            SubmoduleIgnore::All => "all",
            SubmoduleIgnore::Dirty => "dirty",
            _ => return None,
        };
        Some(rule.to_owned())
    })
}

/// Ends the search.
struct Difference;

enum Verdict {
    Same,
    Differs,
    /// Its content has to be compared.
    Suspect,
}

fn look(entry: &IndexEntry, top: &Path, index_mtime_ns: i64) -> Verdict {
    // A merge conflict.
    if entry.flags & STAGE != 0 {
        return Verdict::Differs;
    }
    if entry.flags & ASSUME_VALID != 0 || entry.flags_extended & SKIP_WORKTREE != 0 {
        return Verdict::Same;
    }
    let path = top.join(RawString::new(entry.path.as_slice()).to_path_buf());
    if entry.mode == GITLINK {
        // Its folder is gone. What is in it is looked at apart.
        return if path.exists() {
            Verdict::Same
        } else {
            Verdict::Differs
        };
    }
    match path.symlink_metadata() {
        // A change in the very tick of the index's own writing left no trace in the times.
        Ok(metadata) if same_state(entry, &metadata) && entry_mtime_ns(entry) < index_mtime_ns => {
            Verdict::Same
        }
        Ok(_) => Verdict::Suspect,
        // Deleted, or a folder on the way became a file. Unreadable: nobody can tell.
        Err(_) => Verdict::Differs,
    }
}

fn entry_mtime_ns(entry: &IndexEntry) -> i64 {
    i64::from(entry.mtime.seconds()) * 1_000_000_000 + i64::from(entry.mtime.nanoseconds())
}

#[cfg(unix)]
fn same_state(entry: &IndexEntry, metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // The index keeps 32 bits of everything. Nanoseconds of 0 were not recorded.
    let same_time = |kept: git2::IndexTime, seconds: i64, nanoseconds: i64| {
        kept.seconds() == seconds as i32
            && (kept.nanoseconds() == 0 || i64::from(kept.nanoseconds()) == nanoseconds)
    };
    let kind = metadata.mode() & 0o170_000;
    let executable = |mode: u32| mode & 0o100;
    entry.file_size == metadata.size() as u32
        && entry.ino == metadata.ino() as u32
        && entry.mode & 0o170_000 == kind
        && (kind != 0o100_000 || executable(entry.mode) == executable(metadata.mode()))
        && same_time(entry.mtime, metadata.mtime(), metadata.mtime_nsec())
        && same_time(entry.ctime, metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn same_state(entry: &IndexEntry, metadata: &std::fs::Metadata) -> bool {
    let mtime_s = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_secs() as i32);
    entry.file_size == metadata.len() as u32 && mtime_s == Some(entry.mtime.seconds())
}

pub(super) fn mtime_ns(path: &Path) -> Option<i64> {
    let since = path
        .metadata()
        .ok()?
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    i64::try_from(since.as_nanos()).ok()
}
