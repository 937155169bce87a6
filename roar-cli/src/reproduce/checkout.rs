//! The code: fetched and checked out by the `git` program, and brought to the state that each
//! step ran on.
//!
//! Nothing of a repository is executed: hooks are switched off, helper transports are refused, no
//! template is used, and submodules are checked out whatever they ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ReproduceError;
use super::machine::output_of;
use super::trust::{is_cloneable, is_commit};
use super::{patience, places};
use crate::model::{Digest, PortableJob, RawString, Submodule, UntrackedFile};
use crate::store::Blobs;

/// How git may fetch.
const PROTOCOLS: &str = "https:http:ssh:git:file";
/// The same without this machine.
const REMOTE_PROTOCOLS: &str = "https:http:ssh:git";

/// The code that a step ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The commit; none outside git.
    pub commit: Option<String>,
    /// The patch of the dirty tree.
    pub patch: Option<Digest>,
    /// Files that git does not track.
    pub untracked: Vec<UntrackedFile>,
    /// Repositories within the repository.
    pub submodules: Vec<Submodule>,
}

impl Code {
    /// That of a recorded job.
    pub fn of(job: &PortableJob) -> Self {
        let Some(git) = &job.git else {
            return Self::default();
        };
        Self {
            commit: git.commit.clone().filter(|commit| is_commit(commit)),
            patch: git.patch_hash.clone().map(Digest::from_hex),
            untracked: git.untracked.clone(),
            submodules: git.submodules.clone(),
        }
    }

    /// The blobs that it is made of.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        let files = self.untracked.iter().filter_map(|file| file.blob.clone());
        self.patch
            .clone()
            .into_iter()
            .chain(files.map(Digest::from_hex))
    }
}

/// A work tree of a reproduction.
#[derive(Debug)]
pub struct Checkout<'a> {
    /// The folder.
    pub root: &'a Path,
    /// The kept contents.
    pub blobs: &'a Blobs,
}

impl Checkout<'_> {
    /// Removes the lock files that a git which was killed has left. None may be at work any more.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn unlock(&self) -> Result<(), ReproduceError> {
        let mut folders = vec![self.root.join(".git")];
        while let Some(folder) = folders.pop() {
            // What is not there holds no lock.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && entry.file_name() != "objects" {
                    folders.push(path);
                } else if !is_folder && path.extension().is_some_and(|end| end == "lock") {
                    fs::remove_file(&path).map_err(ReproduceError::io("remove", &path))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the folder a repository that has these commits, fetched from the first of `sources`
    /// that has them. Does nothing when they are there.
    ///
    /// # Errors
    /// No source has them all; the error is that of the first.
    pub fn fetch(
        &self,
        sources: &[String],
        commits: &BTreeSet<String>,
    ) -> Result<(), ReproduceError> {
        if commits.is_empty() {
            return Ok(());
        }
        output_of(
            self.git()
                .args(["init", "--quiet", "--template="])
                .arg(self.root),
        )?;
        self.exclude()?;
        for (name, value) in [
            ("core.autocrlf", "false"),
            ("core.hooksPath", "/dev/null"),
            ("core.sparseCheckout", "true"),
        ] {
            output_of(self.in_tree().args(["config", name, value]))?;
        }
        if self.has_all(commits) {
            return Ok(());
        }
        let mut failure = None;
        for source in sources.iter().filter(|source| is_cloneable(source)) {
            match self.fetch_from(source, commits) {
                Ok(()) => return Ok(()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            ReproduceError::Impossible(
                "no repository is recorded from which the code could be fetched".to_owned(),
            )
        }))
    }

    fn fetch_from(&self, source: &str, commits: &BTreeSet<String>) -> Result<(), ReproduceError> {
        // Named anew each time: another source may have been tried before.
        let _ = output_of(self.in_tree().args(["remote", "remove", "origin"]));
        output_of(self.in_tree().args(["remote", "add", "origin", source]))?;
        let fetched = output_of(
            self.in_tree()
                .args(["fetch", "--quiet", "--tags", "origin"]),
        );
        // A commit that no branch has any more may still be given by name.
        for commit in commits {
            if !self.has(commit) {
                let by_name =
                    output_of(self.in_tree().args(["fetch", "--quiet", "origin", commit]));
                if let Err(error) = fetched {
                    return Err(error);
                }
                if by_name.is_err() {
                    return Err(ReproduceError::Impossible(format!(
                        "the commit {commit} is not in {}: it was not pushed, or is gone",
                        RawString::from(source)
                    )));
                }
            }
        }
        fetched.map(drop)
    }

    fn has_all(&self, commits: &BTreeSet<String>) -> bool {
        commits.iter().all(|commit| self.has(commit))
    }

    /// Whether a commit is here with all its files: a fetch that was killed may have brought the
    /// one without the others.
    fn has(&self, commit: &str) -> bool {
        let list = ["rev-list", "--objects", "--quiet", "--no-walk", commit];
        output_of(self.in_tree().args(list)).is_ok()
    }

    /// Brings the tree to the code of a step. Files at the `products` (relative to the root) are
    /// what steps before it made: they are kept as they are.
    ///
    /// # Errors
    /// The code cannot be checked out, the patch does not apply, or a file cannot be written.
    pub fn bring_to(&self, code: &Code, products: &[PathBuf]) -> Result<(), ReproduceError> {
        let saved = self.save(products)?;
        if let Some(commit) = &code.commit {
            output_of(self.in_tree().args(["reset", "--quiet", "--hard"]))
                .or_else(|_| output_of(self.in_tree().args(["read-tree", "--empty"])))?;
            output_of(
                self.in_tree()
                    .args(["checkout", "--quiet", "--force", "--detach", commit]),
            )?;
            for module in &code.submodules {
                self.check_out_submodule(module)?;
            }
            if let Some(patch) = &code.patch {
                let content = self.blob(patch, "the patch")?;
                let file = self.root.join(".roar").join("patch");
                fs::write(&file, content).map_err(ReproduceError::io("write", &file))?;
                output_of(
                    self.in_tree()
                        .args(["apply", "--whitespace=nowarn"])
                        .args(["--exclude=.roar", "--exclude=.roar/*"])
                        .arg(&file),
                )?;
                fs::remove_file(&file).map_err(ReproduceError::io("remove", &file))?;
            }
        }
        for file in &code.untracked {
            let Some(blob) = &file.blob else { continue };
            let place = places::place_of(&file.path)?;
            let content = self.blob(&Digest::from_hex(blob.as_str()), "an untracked file")?;
            places::write(self.root, &place, &content, file.executable)?;
        }
        self.restore(saved)
    }

    fn blob(&self, digest: &Digest, what: &str) -> Result<Vec<u8>, ReproduceError> {
        let found = self.blobs.get(digest).map_err(|error| {
            ReproduceError::Impossible(format!(
                "{what} ({}) cannot be read: {error}",
                digest.short()
            ))
        })?;
        found.ok_or_else(|| {
            ReproduceError::Impossible(format!("{what} ({}) is not to be had", digest.short()))
        })
    }

    fn check_out_submodule(&self, module: &Submodule) -> Result<(), ReproduceError> {
        let place = places::place_of(&module.path)?;
        // What is not there was not there either.
        if module.checked_out.is_none() {
            return Ok(());
        }
        // `--checkout` overrides a command that the repository may name as its way to update.
        output_of(
            self.in_tree()
                .env("GIT_ALLOW_PROTOCOL", self.protocols_of_submodules())
                .args([
                    "submodule",
                    "--quiet",
                    "update",
                    "--init",
                    "--checkout",
                    "--",
                ])
                .arg(&place),
        )
        .map(drop)
    }

    /// A repository from elsewhere is not to reach for folders of this machine.
    fn protocols_of_submodules(&self) -> &'static str {
        let origin = output_of(self.in_tree().args(["remote", "get-url", "origin"]));
        let is_local = origin.is_ok_and(|url| url.starts_with(b"/") || url.starts_with(b"file:"));
        if is_local {
            PROTOCOLS
        } else {
            REMOTE_PROTOCOLS
        }
    }

    fn save(&self, products: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>, ReproduceError> {
        let folder = self.root.join(".roar/products");
        let mut saved = Vec::new();
        for (number, product) in products.iter().enumerate() {
            let path = self.root.join(product);
            if path
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_file())
            {
                fs::create_dir_all(&folder).map_err(ReproduceError::io("make", &folder))?;
                let copy = folder.join(number.to_string());
                // A link first: it costs nothing, and git replaces files, it does not write in them.
                let _ = fs::remove_file(&copy);
                fs::hard_link(&path, &copy)
                    .or_else(|_| fs::copy(&path, &copy).map(drop))
                    .map_err(ReproduceError::io("keep a copy of", &path))?;
                saved.push((product.clone(), copy));
            }
        }
        Ok(saved)
    }

    fn restore(&self, saved: Vec<(PathBuf, PathBuf)>) -> Result<(), ReproduceError> {
        for (product, copy) in saved {
            let path = self.root.join(&product);
            if let Some(folder) = product.parent() {
                places::make_folder(self.root, folder)?;
            }
            fs::rename(&copy, &path).map_err(ReproduceError::io("put back", &path))?;
            // Renaming a link onto its own file leaves both names.
            let _ = fs::remove_file(&copy);
        }
        Ok(())
    }

    /// What roar itself makes in the folder is none of git's business.
    fn exclude(&self) -> Result<(), ReproduceError> {
        let folder = self.root.join(".git/info");
        fs::create_dir_all(&folder).map_err(ReproduceError::io("make", &folder))?;
        let file = folder.join("exclude");
        let text = format!(
            "/.roar/\n/{}/\n/{}/\n",
            places::OUTSIDE,
            places::ENVIRONMENT
        );
        fs::write(&file, text).map_err(ReproduceError::io("write", &file))?;
        // A repository may hold a `.roar` of its own: it must not decide anything here.
        let file = folder.join("sparse-checkout");
        fs::write(&file, "/*\n!/.roar\n").map_err(ReproduceError::io("write", &file))
    }

    fn git(&self) -> Command {
        let mut command = Command::new("git");
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_NAMESPACE",
            "GIT_PREFIX",
        ] {
            command.env_remove(name);
        }
        command
            .env(patience::AT_WORK, self.root)
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.fsmonitor=false"])
            .args(["-c", "advice.detachedHead=false"])
            .args(["-c", "protocol.ext.allow=never"])
            .args(["-c", "submodule.recurse=false"])
            // Nothing is to go on in the background.
            .args(["-c", "gc.auto=0"])
            .args(["-c", "maintenance.auto=false"]);
        command
    }

    fn in_tree(&self) -> Command {
        let mut command = self.git();
        command.arg("-C").arg(self.root);
        // Not a repository further up, should there be none here.
        if let Some(parent) = self.root.parent() {
            command.env("GIT_CEILING_DIRECTORIES", parent);
        }
        command
    }
}

/// The content of a file in a commit of a repository on this machine.
pub fn content_in_commit(top: &Path, commit: &str, path: &RawString) -> Option<Vec<u8>> {
    if !is_commit(commit) || places::place_of(path).is_err() {
        return None;
    }
    let mut object = std::ffi::OsString::from(format!("{commit}:"));
    object.push(path.to_os_string());
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(top)
        .args(["-c", "core.fsmonitor=false", "cat-file", "blob"])
        .arg(object);
    output_of(&mut command).ok()
}

/// Whether a repository on this machine has a commit.
pub fn has_commit(top: &Path, commit: &str) -> bool {
    let object = format!("{commit}^{{commit}}");
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(top)
        .args(["-c", "core.fsmonitor=false", "cat-file", "-e", &object]);
    is_commit(commit) && output_of(&mut command).is_ok()
}
