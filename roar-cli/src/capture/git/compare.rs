//! Which files of code differ between two runs, and in which lines.
//!
//! The code of a run is a commit, what the work tree had changed since, and files beside it that
//! git did not track. Both are put together as trees in memory: nothing of it is written to the
//! repository.

use git2::{Delta, Diff, DiffFindOptions, Index, IndexEntry, IndexTime, Oid, Patch, Tree};

use super::{GitError, Repository};
use crate::model::RawString;

/// The code that a run was on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The commit; none before the first one.
    pub commit: Option<String>,
    /// What the work tree had changed, as [`super::Patch`] has it.
    pub patch: Option<Vec<u8>>,
    /// Files that git did not track: their paths below the top of the work tree, and contents.
    pub untracked: Vec<(RawString, Vec<u8>)>,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChange {
    /// Path below the top of the work tree (of the second side where it was renamed).
    pub path: RawString,
    /// `added`, `deleted`, `modified`, `renamed`, …
    pub what: &'static str,
    /// Lines that only the second side has; none for files that are not text.
    pub lines_added: Option<usize>,
    /// Lines that only the first side has; none for files that are not text.
    pub lines_removed: Option<usize>,
    /// The lines that differ with those around them, in the form of `git diff`.
    pub patch: RawString,
}

impl Repository {
    /// The files that differ, by path; none where a commit is not in this repository (any more)
    /// or a patch is not of its commit.
    ///
    /// # Errors
    /// Something in the repository cannot be read.
    pub fn changes_between(
        &self,
        from: &Code,
        to: &Code,
    ) -> Result<Option<Vec<CodeChange>>, GitError> {
        let changes = || -> Result<Option<Vec<CodeChange>>, git2::Error> {
            // A handle of its own, whose new objects stay in memory.
            let place = self.top.as_deref().unwrap_or(self.git.path());
            let scratch = git2::Repository::open(place)?;
            let objects = scratch.odb()?;
            objects.add_new_mempack_backend(ABOVE_THE_DISK)?;
            let (Some(from), Some(to)) = (tree(&scratch, from)?, tree(&scratch, to)?) else {
                return Ok(None);
            };
            let mut diff = scratch.diff_tree_to_tree(Some(&from), Some(&to), None)?;
            diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
            (0..diff.deltas().len())
                .filter_map(|index| change(&diff, index).transpose())
                .collect::<Result<_, _>>()
                .map(Some)
        };
        changes().map_err(|source| self.unreadable(source))
    }
}

/// libgit2 gives loose objects and packs 1 and 2; new objects go to the highest.
const ABOVE_THE_DISK: i32 = 1000;

fn tree<'a>(scratch: &'a git2::Repository, code: &Code) -> Result<Option<Tree<'a>>, git2::Error> {
    let base = match &code.commit {
        None => scratch.find_tree(scratch.treebuilder(None)?.write()?)?,
        Some(commit) => {
            let commit = Oid::from_str(commit).and_then(|id| scratch.find_commit(id));
            let Ok(commit) = commit else {
                return Ok(None);
            };
            commit.tree()?
        }
    };
    if code.patch.is_none() && code.untracked.is_empty() {
        return Ok(Some(base));
    }
    let mut index = match &code.patch {
        None => {
            let mut index = Index::new()?;
            index.read_tree(&base)?;
            index
        }
        Some(patch) => {
            let applied = Diff::from_buffer(patch)
                .and_then(|patch| scratch.apply_to_tree(&base, &patch, None));
            let Ok(index) = applied else {
                return Ok(None);
            };
            index
        }
    };
    for (path, content) in &code.untracked {
        let id = scratch.blob(content)?;
        index.add(&entry(path, id))?;
    }
    let id = index.write_tree_to(scratch)?;
    scratch.find_tree(id).map(Some)
}

/// Only path, content and mode make a tree.
fn entry(path: &RawString, id: Oid) -> IndexEntry {
    const REGULAR: u32 = 0o100_644;
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: REGULAR,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

fn change(diff: &Diff<'_>, index: usize) -> Result<Option<CodeChange>, git2::Error> {
    let Some(delta) = diff.get_delta(index) else {
        return Ok(None);
    };
    let file = match delta.status() {
        Delta::Deleted => delta.old_file(),
        _ => delta.new_file(),
    };
    let (mut lines, mut text) = (None, Vec::new());
    if let Some(mut patch) = Patch::from_diff(diff, index)? {
        text = patch.to_buf()?.to_vec();
        if !patch.delta().flags().is_binary() {
            lines = Some(patch.line_stats()?);
        }
    }
    Ok(Some(CodeChange {
        path: RawString::new(file.path_bytes().unwrap_or_default()),
        what: match delta.status() {
            Delta::Added => "added",
            Delta::Deleted => "deleted",
            Delta::Renamed => "renamed",
            Delta::Typechange => "another type",
            _ => "modified",
        },
        lines_added: lines.map(|(_, added, _)| added),
        lines_removed: lines.map(|(_, _, removed)| removed),
        patch: RawString::new(text),
    }))
}
