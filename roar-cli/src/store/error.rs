//! What can go wrong with the project database, by what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::error::CommandError;
use crate::model::JobUid;

/// A failure of the store: the operation, the file, the cause.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no database to read.
    #[error("there is no database '{}'", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// A newer roar wrote the database; it may be read at most.
    #[error(
        "the database '{}' has schema version {found}, newer than version {known} of this roar",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema version that this roar knows.
        known: u32,
    },
    /// An older schema, met where nothing may be written.
    #[error(
        "the database '{}' has schema version {found} and must be migrated to {known} first",
        path.display()
    )]
    Outdated {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The schema version that this roar reads.
        known: u32,
    },
    /// Pages are missing or contradict each other.
    #[error("cannot {operation}: the database '{}' is damaged", path.display())]
    Corrupt {
        /// What was tried.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite or the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is empty or no SQLite database at all.
    #[error("'{}' is not a database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite database of another program.
    #[error("'{}' is a database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its SQLite application id.
        application_id: i32,
    },
    /// A symbolic link, directory or special file stands where roar's own file should be.
    #[error("'{}' is {found}, not {expected}", path.display())]
    WrongKind {
        /// The place.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// Another process held the database for longer than the time allowed.
    #[error("cannot {operation}: another process keeps the database '{}' locked", path.display())]
    Locked {
        /// What was tried.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: Box<rusqlite::Error>,
    },
    /// The file, its folder or its file system cannot be written.
    #[error("cannot {operation}: '{}' is read-only", path.display())]
    ReadOnly {
        /// What was tried.
        operation: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// No space is left.
    #[error("cannot {operation}: no space is left for '{}'", path.display())]
    DiskFull {
        /// What was tried.
        operation: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// A job with this uid and this start is recorded already.
    #[error("job {uid} is recorded already")]
    DuplicateJob {
        /// The uid.
        uid: JobUid,
    },
    /// A record that cannot be stored, such as a digest that is not hexadecimal.
    #[error("cannot {operation}: {detail}")]
    InvalidRecord {
        /// What was tried.
        operation: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A system call failed.
    #[error("cannot {operation} '{}'", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Any other failure of the database.
    #[error("cannot {operation} (database '{}')", path.display())]
    Sqlite {
        /// What was tried.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<rusqlite::Error>,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database '{}'", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<rusqlite_migration::Error>,
    },
}

impl StoreError {
    /// What would mend it, where roar knows.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            Self::Missing { .. } => "make a project with: roar init".into(),
            Self::Newer { .. } => {
                "install the newer roar that wrote it; it is left untouched".into()
            }
            Self::Outdated { .. } => "run 'roar init' once where the folder can be written".into(),
            Self::Corrupt { path, .. } => format!(
                "it is left as it is; save what can be read with: sqlite3 {0} .recover, \
                 or move it away and run: roar init",
                quoted(path)
            ),
            Self::NotADatabase { path } | Self::Foreign { path, .. } => {
                format!(
                    "it is left untouched; move it away, then run: roar init ({})",
                    quoted(path)
                )
            }
            Self::WrongKind { path, .. } => {
                format!("roar follows no links here; move it away: {}", quoted(path))
            }
            Self::Locked { .. } => {
                "wait for the other roar (or database tool) to finish, then try again".into()
            }
            Self::ReadOnly { path, .. } => {
                format!(
                    "make {} writable for you",
                    quoted(path.parent().unwrap_or(path))
                )
            }
            Self::DiskFull { .. } => "free some space, then try again".into(),
            Self::DuplicateJob { .. }
            | Self::InvalidRecord { .. }
            | Self::Io { .. }
            | Self::Sqlite { .. }
            | Self::Migration { .. } => return None,
        };
        Some(text)
    }

    /// Sorts an error of SQLite by what the user can do about it.
    pub(super) fn from_sqlite(
        operation: &'static str,
        path: &Path,
        error: rusqlite::Error,
    ) -> Self {
        let path = path.to_path_buf();
        if is_undecodable(&error) {
            return Self::Corrupt {
                operation,
                path,
                source: Box::new(error),
            };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked {
                operation,
                path,
                source: Box::new(error),
            },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt {
                operation,
                path,
                source: Box::new(error),
            },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { operation, path }
            }
            Some(ErrorCode::DiskFull) => Self::DiskFull { operation, path },
            _ => Self::Sqlite {
                operation,
                path,
                source: Box::new(error),
            },
        }
    }

    /// An error of a system call on `path`.
    pub(super) fn from_io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { operation, path }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { operation, path }
            }
            _ => Self::Io {
                operation,
                path,
                source,
            },
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let advice = error.advice();
        let mut source = std::error::Error::source(&error);
        let mut message = error.to_string();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        let failed = Self::user(message);
        match advice {
            Some(advice) => failed.hint(advice),
            None => failed,
        }
    }
}

/// Whether a stored value meant nothing to its decoder.
fn is_undecodable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// The path in single quotes, for a command line in advice.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
