//! The code that a job ran on, as git knows it.

use serde::{Deserialize, Serialize};

use super::raw::RawString;

/// The state of the git repository around a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitState {
    /// The commit hash; none before the first commit.
    pub commit: Option<String>,
    /// The branch; none when detached.
    pub branch: Option<String>,
    /// The remote's URL without user info.
    pub remote: Option<String>,
    /// Whether tracked files differed from the commit.
    pub dirty: bool,
    /// The top of the work tree (absolute path).
    pub top: Option<RawString>,
    /// Content hash of the recorded patch of a dirty tree, where one was recorded.
    pub patch_hash: Option<String>,
    /// Secrets were taken out of the patch: it gives another tree than the one that ran.
    pub patch_redacted: bool,
    /// Why there is no patch, or what it lacks.
    pub patch_note: Option<String>,
    /// What is special about the repository.
    pub conditions: Vec<GitCondition>,
    /// Repositories within the repository.
    pub submodules: Vec<Submodule>,
    /// Files of the work tree that git does not track and the job read.
    pub untracked: Vec<UntrackedFile>,
}

/// What is special about a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitCondition {
    /// Without a work tree.
    Bare,
    /// No branch is checked out.
    Detached,
    /// Nothing was committed yet.
    NoCommit,
    /// History is cut.
    Shallow,
    /// One of several work trees of its repository.
    LinkedWorktree,
    /// Files with conflicts; the patch has them as they were, marks and all.
    Conflict,
    /// A merge, rebase, bisection or the like was under way.
    InProgress,
    /// Some files are kept by git LFS: the commit has pointers in their places.
    Lfs,
}

/// A repository within the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Submodule {
    /// Its folder, below the top of the work tree.
    pub path: RawString,
    /// The commit that the outer repository has on record.
    pub commit: String,
    /// The commit that was checked out; none where nothing was.
    pub checked_out: Option<String>,
}

/// A file that git does not track, kept so that the run can be repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UntrackedFile {
    /// Its path below the top of the work tree.
    pub path: RawString,
    /// The BLAKE3 digest of the kept copy; none when there is none.
    pub blob: Option<String>,
    /// Whether it may be executed.
    pub executable: bool,
    /// Secrets were taken out of the copy: it is not what was read.
    pub redacted: bool,
    /// Why there is no copy.
    pub note: Option<String>,
}
