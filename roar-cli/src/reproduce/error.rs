//! What can go wrong while a lineage is re-made.

use std::path::PathBuf;

use crate::model::RawString;

/// Why a reproduction stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    /// A file or folder could not be handled.
    #[error("cannot {operation} '{}'", RawString::from_path(path))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start '{program}'")]
    NoProgram {
        /// Its name.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("'{command}' failed{}", if said.is_empty() { String::new() } else { format!(":\n{said}") })]
    Failed {
        /// What was run.
        command: String,
        /// The end of what it said.
        said: String,
    },
    /// A path leads out of the folder of the reproduction.
    #[error("'{path}' leads out of the work tree ({reason})")]
    Outside {
        /// As the record has it.
        path: RawString,
        /// How.
        reason: &'static str,
    },
    /// The folder holds something else.
    #[error("'{}' {reason}", RawString::from_path(path))]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// The record lacks what would be needed.
    #[error("{0}")]
    Impossible(String),
}

impl ReproduceError {
    /// For `map_err`: an I/O error that befell `operation` on `path`.
    pub fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
