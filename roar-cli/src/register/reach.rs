//! Whether others can fetch the code that a job ran on: its commit is on a remote, or what the
//! remote lacks travels along as a patch.

use std::path::Path;
use std::process::Command;

use crate::reproduce::ReproduceError;
use crate::reproduce::machine::output_of;
use crate::reproduce::trust::is_commit;

/// Where a commit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A branch of a remote has it, as far as is known here.
    Remote,
    /// No branch of a remote has it; this commit, which it comes from, is on one.
    Unpushed {
        /// The nearest commit that others can fetch; none when they have nothing of it.
        base: Option<String>,
    },
    /// The repository has no remote.
    NoRemote,
    /// The commit is not here any more, so that nobody can tell.
    Unknown,
}

/// Where a commit of the repository at `top` is.
///
/// # Errors
/// git cannot be started.
pub fn reach(top: &Path, commit: &str) -> Result<Reach, ReproduceError> {
    if !is_commit(commit) {
        return Ok(Reach::Unknown);
    }
    let remotes = match output_of(git(top).arg("remote")) {
        Ok(remotes) => remotes,
        Err(error @ ReproduceError::NoProgram { .. }) => return Err(error),
        Err(_) => return Ok(Reach::Unknown),
    };
    if remotes.is_empty() {
        return Ok(Reach::NoRemote);
    }
    let unpushed = ["rev-list", "--boundary", commit, "--not", "--remotes"];
    let Ok(unpushed) = output_of(git(top).args(unpushed)) else {
        return Ok(Reach::Unknown);
    };
    let unpushed = String::from_utf8_lossy(&unpushed);
    if unpushed.lines().all(|line| line.starts_with('-')) {
        return Ok(Reach::Remote);
    }
    let base = unpushed.lines().find_map(|line| line.strip_prefix('-'));
    Ok(Reach::Unpushed {
        base: base.map(str::to_owned),
    })
}

/// The patch from one commit to another, for `git apply`.
///
/// # Errors
/// git cannot make it.
pub fn patch_between(top: &Path, from: &str, to: &str) -> Result<Vec<u8>, ReproduceError> {
    let mut command = git(top);
    command
        .args([
            "-c",
            "diff.noprefix=false",
            "-c",
            "diff.mnemonicPrefix=false",
        ])
        .args(["diff", "--binary", "--full-index", "--no-color"])
        .args(["--no-ext-diff", "--no-textconv", "--no-renames", from, to]);
    output_of(&mut command)
}

/// Tags a commit and pushes the tag, so that the commit stays reachable.
///
/// # Errors
/// git cannot do either.
pub fn tag(top: &Path, name: &str, commit: &str) -> Result<(), ReproduceError> {
    let reference = format!("refs/tags/{name}");
    output_of(git(top).args(["update-ref", &reference, commit]))?;
    let push = ["push", "--quiet", "--no-verify", "origin", &reference];
    output_of(git(top).args(push)).map(drop)
}

fn git(top: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(top)
        .args(["-c", "core.fsmonitor=false"]);
    command
}
