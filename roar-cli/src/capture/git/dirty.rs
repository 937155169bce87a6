//! Whether tracked files differ from the commit, found as fast as can be.
//!
//! This runs before every command, so the common answer (no) must be cheap: one `lstat` per
//! tracked file, compared with what the index remembers, and no walk over untracked files. Only
//! files whose times moved are read. The first difference ends the search.

use std::path::Path;

use git2::{Commit, DiffOptions, Index, IndexEntry, Oid, Repository};
use rayon::prelude::*;

/// Bits of `git_index_entry`: the user told git not to look at this file.
const ASSUME_VALID: u16 = 0x8000;
const SKIP_WORKTREE: u16 = 1 << 14;
pub(super) const GITLINK: u32 = 0o160_000;
const STAGE: u16 = 0x3000;

/// Up to so many files are compared by name; beyond it, one comparison of the whole tree is cheaper.
const FEW: usize = 32;

/// From so many tracked files on, waking the thread pool pays.
const MANY: usize = 2000;

pub(super) fn is_dirty(
    repository: &Repository,
    index: &Index,
    commit: Option<&Commit<'_>>,
    top: &Path,
) -> Result<bool, git2::Error> {
    let index_mtime_ns = index.path().and_then(mtime_ns).unwrap_or(i64::MIN);
    let entries: Vec<IndexEntry> = index.iter().collect();
    let suspect = |entry: &IndexEntry| match look(entry, top, index_mtime_ns) {
        Verdict::Same => None,
        Verdict::Differs => Some(Err(Difference)),
        Verdict::Suspect => Some(Ok(entry.path.clone())),
    };
    let suspects: Result<Vec<_>, Difference> = if entries.len() < MANY {
        entries.iter().filter_map(suspect).collect()
    } else {
        entries.par_iter().filter_map(suspect).collect()
    };
    let Ok(suspects) = suspects else {
        return Ok(true);
    };
    let tree = commit.map(Commit::tree).transpose()?;
    let staged = repository.diff_tree_to_index(tree.as_ref(), Some(index), None)?;
    if staged.deltas().len() > 0 {
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
    let unstaged = repository.diff_index_to_workdir(Some(index), Some(&mut options))?;
    Ok(unstaged.deltas().len() > 0)
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
    let path = top.join(crate::model::RawString::new(entry.path.as_slice()).to_path_buf());
    if entry.mode == GITLINK {
        return if submodule_moved(&path, entry.id) {
            Verdict::Differs
        } else {
            Verdict::Same
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

/// A submodule that was never checked out is not changed.
fn submodule_moved(path: &Path, recorded: Oid) -> bool {
    Repository::open(path)
        .ok()
        .and_then(|submodule| submodule.head().ok()?.target())
        .is_some_and(|head| head != recorded)
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

fn mtime_ns(path: &Path) -> Option<i64> {
    let since = path
        .metadata()
        .ok()?
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    i64::try_from(since.as_nanos()).ok()
}
