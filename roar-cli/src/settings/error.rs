//! What can be wrong with settings, and where it stands.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::RawString;

/// Where a key or value was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}: ", shown(path)),
            Self::Variable(name) => write!(f, "environment variable {name}: "),
            Self::CommandLine => Ok(()),
        }
    }
}

/// A path that cannot drive a terminal.
fn shown(path: &Path) -> RawString {
    RawString::from_path(path)
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No such key.
    #[error("{origin}unknown setting '{name}' (did you mean '{nearest}'?)")]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// What was written.
        name: String,
        /// The key most like it.
        nearest: &'static str,
    },
    /// Not a value of the key's type.
    #[error("{origin}'{key}' must be {expected}, not {found}")]
    BadValue {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: String,
        /// What was written.
        found: String,
    },
    /// The file is not TOML.
    #[error("{origin}{message}")]
    Syntax {
        /// Where it stops being TOML.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// The file is larger than any settings file is.
    #[error(
        "'{}' is too large for a settings file (more than {limit_bytes} bytes)",
        shown(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file cannot be read.
    #[error("cannot read '{}'", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write '{}'", shown(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
