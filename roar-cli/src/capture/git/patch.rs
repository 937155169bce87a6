//! The difference between the commit and a dirty work tree, as `git apply` takes it.
//!
//! Against the commit, not the index: what ran is what was on disk. Binary files are in it, modes
//! and symbolic links too; submodules and files kept by git LFS are not, those are named instead.

use std::collections::HashSet;
use std::path::Path;

use git2::{AttrCheckFlags, Delta, Diff, DiffFormat, DiffOptions, Index, Repository};

use crate::model::RawString;

/// A work tree's difference from the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// For `git apply`; none where it is too large to be kept.
    pub text: Option<Vec<u8>>,
    /// What is missing, and why.
    pub note: Option<String>,
}

/// Files larger than `limit_bytes` together are not read.
pub(super) fn of(
    repository: &Repository,
    index: &Index,
    top: &Path,
    limit_bytes: u64,
) -> Result<Patch, git2::Error> {
    let mut options = DiffOptions::new();
    options
        .show_binary(true)
        .id_abbrev(40)
        // A file that became a link is a removal and an addition to `git apply`.
        .include_typechange(false)
        .ignore_submodules(true)
        .update_index(false)
        // Whatever diff.noprefix and diff.mnemonicPrefix say.
        .old_prefix("a")
        .new_prefix("b");
    let tree = match repository.head() {
        Ok(head) => Some(head.peel_to_tree()?),
        Err(_) => None,
    };
    // With conflicts the index has no one version of a file: only the disk has.
    let diff = if index.has_conflicts() {
        repository.diff_tree_to_workdir(tree.as_ref(), Some(&mut options))?
    } else {
        repository.diff_tree_to_workdir_with_index(tree.as_ref(), Some(&mut options))?
    };
    let large_files = lfs_paths(repository, &diff);
    let bytes: u64 = diff
        .deltas()
        .filter_map(|delta| delta.new_file().path_bytes().map(<[u8]>::to_vec))
        .filter(|path| !large_files.contains(path))
        .filter_map(|path| {
            top.join(RawString::new(path).to_path_buf())
                .symlink_metadata()
                .ok()
        })
        .map(|metadata| metadata.len())
        .sum();
    if bytes > limit_bytes {
        return Ok(Patch {
            text: None,
            note: Some(format!(
                "the changed files have {bytes} bytes; record.max_job_bytes allows {limit_bytes}"
            )),
        });
    }
    let mut text = Vec::new();
    diff.print(DiffFormat::Patch, |delta, _, line| {
        let path = delta.new_file().path_bytes().unwrap_or_default();
        if !large_files.contains(path) {
            if let sign @ ('+' | '-' | ' ') = line.origin() {
                text.push(sign as u8);
            }
            text.extend_from_slice(line.content());
        }
        true
    })?;
    let note = (!large_files.is_empty()).then(|| {
        format!(
            "changed files that git LFS keeps are not in the patch: {}",
            listed(&large_files)
        )
    });
    Ok(Patch {
        text: (!text.is_empty()).then_some(text),
        note,
    })
}

/// Changed files that git LFS keeps: the commit has a pointer in their place.
fn lfs_paths(repository: &Repository, diff: &Diff<'_>) -> HashSet<Vec<u8>> {
    diff.deltas()
        .filter(|delta| delta.status() != Delta::Deleted)
        .filter_map(|delta| delta.new_file().path_bytes().map(<[u8]>::to_vec))
        .filter(|path| is_lfs(repository, &RawString::new(path.as_slice()).to_path_buf()))
        .collect()
}

/// Whether the attributes hand a path to git LFS.
pub(super) fn is_lfs(repository: &Repository, path: &Path) -> bool {
    repository
        .get_attr_bytes(path, "filter", AttrCheckFlags::default())
        .is_ok_and(|filter| filter == Some(b"lfs"))
}

fn listed(paths: &HashSet<Vec<u8>>) -> String {
    let mut names: Vec<String> = paths
        .iter()
        .map(|path| RawString::new(path.as_slice()).to_string())
        .collect();
    names.sort();
    names.join(", ")
}
