//! Where the measurements happen: a folder in memory that all users may read, fixtures in it, and
//! an environment without the user's own settings.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// Whoever runs without any right: a user id without an account.
const ORDINARY_USER: u32 = 64_123;

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// Whoever runs the benchmark.
    Caller,
    /// Somebody without rights.
    Ordinary,
}

/// A folder in memory with all that the workloads need.
pub(super) struct Site {
    folder: tempfile::TempDir,
    roar: PathBuf,
}

impl Site {
    /// Makes it, empty, below the folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn make(below: &Path, roar: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("roar-bench-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(below)
            .with_context(|| format!("cannot use {}", below.display()))?;
        // An ordinary user may not reach the target folder.
        let copy = folder.path().join("roar");
        fs::copy(roar, &copy).context("cannot copy roar")?;
        fs::write(
            folder.path().join("gitconfig"),
            "[safe]\n\tdirectory = *\n[user]\n\tname = bench\n\temail = bench@roar.invalid\n\
             [init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n",
        )
        .context("cannot write git's settings")?;
        let site = Self { folder, roar: copy };
        fs::create_dir(site.fixtures()).context("cannot make a folder")?;
        for user in [User::Caller, User::Ordinary] {
            let home = site.home(user);
            fs::create_dir(&home).context("cannot make a home")?;
            give(&home, user)?;
        }
        Ok(site)
    }

    /// roar, where everybody may execute it.
    pub(super) fn roar(&self) -> &Path {
        &self.roar
    }

    /// What the workloads read.
    pub(super) fn fixtures(&self) -> PathBuf {
        self.folder.path().join("fixtures")
    }

    /// The folder that the runs begin in.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A user's home, which outlives the runs: what roar learns of the machine is kept there.
    fn home(&self, user: User) -> PathBuf {
        self.folder.path().join(match user {
            User::Caller => "home",
            User::Ordinary => "home-ordinary",
        })
    }

    /// A file outside of what the runs work in.
    pub(super) fn aside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A work folder without anything in it, which belongs to the user.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn fresh(&self, user: User) -> Result<()> {
        let work = self.work();
        if work.exists() {
            fs::remove_dir_all(&work).context("cannot remove the work folder")?;
        }
        fs::create_dir(&work).context("cannot make the work folder")?;
        give(&work, user)
    }

    /// A program in the work folder, by the user, with nothing of the caller's settings.
    pub(super) fn command(&self, user: User, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home(user))
            .env("LANG", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.folder.path().join("gitconfig"))
            // Threads of a numerical library make two runs of the same work differ.
            .envs(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"].map(|name| (name, "1")))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if user == User::Ordinary {
            command.uid(ORDINARY_USER).gid(ORDINARY_USER);
        }
        command
    }

    /// Makes the work folder a project of roar's.
    ///
    /// # Errors
    /// roar cannot.
    pub(super) fn init(&self, user: User) -> Result<()> {
        let mut init = self.command(user, &self.roar);
        init.args(["init", "-n"])
            .stderr(std::process::Stdio::null());
        process::quietly(&mut init)
    }
}

fn give(folder: &Path, user: User) -> Result<()> {
    if user == User::Ordinary {
        let id = Some(ORDINARY_USER);
        chown(folder, id, id).context("cannot give a folder away")?;
    }
    Ok(())
}

/// Whether the caller may become another user.
pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
