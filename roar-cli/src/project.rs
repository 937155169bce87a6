//! Where the project is: the folder that holds `.roar/`.

use std::path::{Path, PathBuf};

use crate::error::CommandError;

/// The name of the folder that holds the database and the configuration.
pub const DIRECTORY: &str = ".roar";

/// A project found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The folder that holds `.roar/`, symlinks resolved.
    pub root: PathBuf,
}

impl Project {
    /// `.roar/` itself.
    pub fn directory(&self) -> PathBuf {
        self.root.join(DIRECTORY)
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.directory().join("roar.db")
    }

    /// The project's configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.directory().join("config.toml")
    }

    /// Finds the project around `start`, walking up but not past the top of a git work tree.
    ///
    /// # Errors
    /// There is none, or `.roar` is not a directory.
    pub fn find(start: &Path) -> Result<Self, CommandError> {
        let start = start.canonicalize().unwrap_or_else(|_| start.to_path_buf());
        for folder in start.ancestors() {
            let candidate = folder.join(DIRECTORY);
            if let Ok(metadata) = candidate.symlink_metadata() {
                if metadata.is_dir() {
                    return Ok(Self {
                        root: folder.to_path_buf(),
                    });
                }
                return Err(CommandError::user(format!(
                    "'{}' is not a directory",
                    candidate.display()
                ))
                .hint("move it away, then run: roar init"));
            }
            if folder.join(".git").symlink_metadata().is_ok() {
                break;
            }
        }
        Err(
            CommandError::user("no roar project here (no .roar folder found)")
                .hint("make one with: roar init"),
        )
    }
}
