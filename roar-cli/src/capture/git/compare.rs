//! Which files differ between two commits.

use git2::{Delta, DiffFindOptions, Patch};

use super::{GitError, Repository};
use crate::model::RawString;

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChange {
    /// Path below the top of the work tree (of the newer commit where it was renamed).
    pub path: RawString,
    /// `added`, `deleted`, `modified`, `renamed`, …
    pub what: &'static str,
    /// Lines that only the second commit has; none for files that are not text.
    pub lines_added: Option<usize>,
    /// Lines that only the first commit has; none for files that are not text.
    pub lines_removed: Option<usize>,
}

impl Repository {
    /// The files that differ between two commits, by path; none where one of the commits is not
    /// in this repository (any more).
    ///
    /// # Errors
    /// Something in the repository cannot be read.
    pub fn changes_between(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<CodeChange>>, GitError> {
        let tree = |commit: &str| {
            let id = git2::Oid::from_str(commit).ok()?;
            self.git.find_commit(id).ok()?.tree().ok()
        };
        let (Some(from), Some(to)) = (tree(from), tree(to)) else {
            return Ok(None);
        };
        let changes = || -> Result<Vec<CodeChange>, git2::Error> {
            let mut diff = self.git.diff_tree_to_tree(Some(&from), Some(&to), None)?;
            diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
            (0..diff.deltas().len())
                .filter_map(|index| change(&diff, index).transpose())
                .collect()
        };
        changes().map(Some).map_err(|source| GitError::Unreadable {
            path: self.git.path().to_owned(),
            source,
        })
    }
}

fn change(diff: &git2::Diff<'_>, index: usize) -> Result<Option<CodeChange>, git2::Error> {
    let Some(delta) = diff.get_delta(index) else {
        return Ok(None);
    };
    let file = match delta.status() {
        Delta::Deleted => delta.old_file(),
        _ => delta.new_file(),
    };
    let lines = match Patch::from_diff(diff, index)? {
        Some(patch) => Some(patch.line_stats()?),
        None => None,
    };
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
    }))
}
