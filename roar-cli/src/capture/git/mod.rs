//! The git repository around a run: commit, branch, remote, whether tracked files differ, and which
//! files it tracks; and how the code of two runs compares.
//!
//! Everything is read in process; nothing is written, not even a refreshed index, and nothing that
//! a repository's configuration names is executed. A repository of another user is refused as git
//! itself refuses it (`safe.directory`).
//!
//! Opened before the command starts, a [`Repository`] keeps the index as it was then: what is code
//! is decided by what was tracked at the start.

mod compare;
mod dirty;
mod index_file;
mod patch;
mod remote;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use git2::{ErrorCode, Index, RepositoryState};

use crate::model::{GitCondition, GitState, RawString, Submodule};

use index_file::IndexFile;

pub use compare::{Code, CodeChange};
pub use patch::Patch;
pub use remote::without_secrets;

/// Why git could not tell.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The repository belongs to somebody else.
    #[error(
        "the git repository around '{}' belongs to another user; to trust it: \
         git config --global --add safe.directory {}",
        RawString::from_path(path),
        RawString::from_path(path)
    )]
    NotOwned {
        /// Where a repository was looked for.
        path: PathBuf,
    },
    /// The repository is damaged or of a kind not known.
    #[error(
        "cannot read the git repository around '{}'",
        RawString::from_path(path)
    )]
    Unreadable {
        /// Where a repository was looked for, or its work tree.
        path: PathBuf,
        /// What libgit2 says.
        source: git2::Error,
    },
}

/// A repository, with the index as it was when it was opened.
pub struct Repository {
    git: git2::Repository,
    /// The index as it was when this was opened.
    listed: IndexFile,
    /// libgit2's form of the index, made when it is asked for: from the start where the index is of a
    /// kind that only libgit2 reads, or where names of either case are one.
    index: OnceCell<Index>,
    /// The top of the work tree; none for a bare repository.
    top: Option<PathBuf>,
}

/// The state of the repository around `start`; none outside any.
///
/// # Errors
/// There is one, but it cannot be read or belongs to another user.
pub fn state(start: &Path) -> Result<Option<GitState>, GitError> {
    open(start)?
        .map(|repository| repository.state())
        .transpose()
}

/// Opens the repository around `start`; none outside any.
///
/// # Errors
/// There is one, but it cannot be read or belongs to another user.
pub fn open(start: &Path) -> Result<Option<Repository>, GitError> {
    let failed = |source: git2::Error| match source.code() {
        ErrorCode::Owner => GitError::NotOwned {
            path: start.to_owned(),
        },
        _ => GitError::Unreadable {
            path: start.to_owned(),
            source,
        },
    };
    let repository = match git2::Repository::discover(start) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let folds_case = repository
        .config()
        .and_then(|config| config.get_bool("core.ignorecase"))
        .unwrap_or(false);
    let index = OnceCell::new();
    let read = index_file::read(&repository.path().join("index")).filter(|_| !folds_case);
    let listed = if let Some(listed) = read {
        listed
    } else {
        let own = repository.index().map_err(failed)?;
        let listed = IndexFile {
            entries: own.iter().collect(),
            tree: None,
            mtime_ns: own.path().and_then(dirty::mtime_ns).unwrap_or(i64::MIN),
        };
        let _ = index.set(own);
        listed
    };
    let top = repository
        .workdir()
        .map(|top| top.canonicalize().unwrap_or_else(|_| top.to_owned()));
    Ok(Some(Repository {
        git: repository,
        listed,
        index,
        top,
    }))
}

/// Whether the repository whose work tree is `top` ignores a folder; none when that cannot be
/// told.
pub fn ignores(top: &Path, folder: &Path) -> Option<bool> {
    let repository = git2::Repository::open(top).ok()?;
    let work_tree = repository.workdir()?.canonicalize().ok()?;
    let below = folder.strip_prefix(work_tree).ok()?;
    // The trailing slash: a pattern may be for folders only.
    repository
        .is_path_ignored(format!("{}/", below.to_str()?))
        .ok()
}

impl Repository {
    /// Commit, branch, remote and whether tracked files differ from the commit.
    ///
    /// # Errors
    /// Something in the repository cannot be read.
    pub fn state(&self) -> Result<GitState, GitError> {
        self.read_state().map_err(|source| self.unreadable(source))
    }

    /// What a dirty work tree has that the commit has not. Changed files of more than
    /// `limit_bytes` together are not read.
    ///
    /// # Errors
    /// Something in the repository cannot be read.
    pub fn patch(&self, limit_bytes: u64) -> Result<Patch, GitError> {
        let Some(top) = &self.top else {
            return Ok(Patch::default());
        };
        self.index()
            .and_then(|index| patch::of(&self.git, index, top, limit_bytes))
            .map_err(|source| self.unreadable(source))
    }

    /// The top of the work tree; none for a bare repository.
    pub fn top(&self) -> Option<&Path> {
        self.top.as_deref()
    }

    /// libgit2's form of the index.
    fn index(&self) -> Result<&Index, git2::Error> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = self.git.index()?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Whether the index has a file, one that has no conflict.
    fn lists(&self, path: &Path) -> bool {
        // Names of either case are one: only libgit2 knows by which rules.
        if let Some(index) = self.index.get() {
            return index.get_path(path, 0).is_some();
        }
        let name = RawString::from_path(path);
        let entries = &self.listed.entries;
        let place = entries.binary_search_by(|entry| {
            let key = (entry.path.as_slice(), entry.flags & dirty::STAGE);
            key.cmp(&(name.as_bytes(), 0))
        });
        place.is_ok()
    }

    fn unreadable(&self, source: git2::Error) -> GitError {
        let path = self.top.as_deref().unwrap_or(self.git.path()).to_owned();
        GitError::Unreadable { path, source }
    }

    /// Those of the absolute `paths` that are tracked. Paths within submodules are not: those are
    /// repositories of their own.
    pub fn tracked<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a RawString>,
    ) -> HashSet<RawString> {
        let Some(top) = &self.top else {
            return HashSet::new();
        };
        paths
            .into_iter()
            .filter(|path| {
                // libgit2's binding panics on paths that cannot be in an index.
                let indexable = !path.as_bytes().contains(&0) && !path.as_bytes().ends_with(b"/");
                let path = path.to_path_buf();
                indexable
                    && path.strip_prefix(top).is_ok_and(|relative| {
                        relative
                            .components()
                            .all(|c| matches!(c, Component::Normal(_)))
                            && self.lists(relative)
                    })
            })
            .cloned()
            .collect()
    }

    fn read_state(&self) -> Result<GitState, git2::Error> {
        let repository = &self.git;
        let head = match repository.head() {
            Ok(head) => Some(head),
            Err(error) if error.code() == ErrorCode::UnbornBranch => None,
            Err(error) => return Err(error),
        };
        let commit = head
            .as_ref()
            .map(git2::Reference::peel_to_commit)
            .transpose()?;
        let branch = match &head {
            Some(head) if head.is_branch() => Some(head.shorthand_bytes().to_vec()),
            Some(_) => None,
            // The branch that the first commit will make.
            None => repository
                .find_reference("HEAD")?
                .symbolic_target_bytes()
                .map(|name| name.strip_prefix(b"refs/heads/").unwrap_or(name).to_vec()),
        };
        let dirty = match &self.top {
            Some(top) => dirty::is_dirty(self, commit.as_ref(), top)?,
            None => false,
        };
        Ok(GitState {
            commit: commit.map(|commit| commit.id().to_string()),
            branch: branch.map(|name| String::from_utf8_lossy(&name).into_owned()),
            remote: remote::url(repository)?,
            dirty,
            top: self.top.as_deref().map(RawString::from_path),
            conditions: self.conditions(head.as_ref()),
            submodules: self.submodules(),
            ..GitState::default()
        })
    }

    fn conditions(&self, head: Option<&git2::Reference<'_>>) -> Vec<GitCondition> {
        let attributes = self.top.as_ref().map(|top| top.join(".gitattributes"));
        let has_lfs = attributes
            .and_then(|path| std::fs::read(path).ok())
            .is_some_and(|text| text.windows(10).any(|part| part == b"filter=lfs"));
        let mut entries = self.listed.entries.iter();
        let has_conflicts = entries.any(|entry| entry.flags & dirty::STAGE != 0);
        [
            (GitCondition::Bare, self.git.is_bare()),
            (GitCondition::NoCommit, head.is_none()),
            (
                GitCondition::Detached,
                head.is_some_and(|head| !head.is_branch()),
            ),
            (GitCondition::Shallow, self.git.is_shallow()),
            (GitCondition::LinkedWorktree, self.git.is_worktree()),
            (GitCondition::Conflict, has_conflicts),
            (
                GitCondition::InProgress,
                self.git.state() != RepositoryState::Clean,
            ),
            (GitCondition::Lfs, has_lfs),
        ]
        .into_iter()
        .filter_map(|(condition, holds)| holds.then_some(condition))
        .collect()
    }

    /// Those that a `.gitmodules` declares, as the index has them.
    fn submodules(&self) -> Vec<Submodule> {
        let Some(top) = self
            .top
            .as_ref()
            .filter(|top| top.join(".gitmodules").exists())
        else {
            return Vec::new();
        };
        self.listed
            .entries
            .iter()
            .filter(|entry| entry.mode == dirty::GITLINK)
            .map(|entry| {
                let path = RawString::new(entry.path.as_slice());
                Submodule {
                    commit: entry.id.to_string(),
                    checked_out: git2::Repository::open(top.join(path.to_path_buf()))
                        .ok()
                        .and_then(|inner| Some(inner.head().ok()?.target()?.to_string())),
                    path,
                }
            })
            .collect()
    }
}
