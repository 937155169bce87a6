//! The variables of `roar env`: given to every command of the project, until they are unset.
//!
//! They stand in `.roar/env.json`, readable for its owner only, as they were given: a command that
//! needs a token gets the token. Records have them without secrets, like everything else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use crate::model::RawString;
use crate::project::Project;

/// The version written; a newer file is refused.
const VERSION: u32 = 1;

/// Variables by name.
pub type Variables = BTreeMap<String, RawString>;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    variables: Variables,
}

/// Why the variables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VariablesError {
    /// The file cannot be read or written.
    #[error("cannot {operation} '{}'", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what roar writes.
    #[error("'{}' is damaged; move it away to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file is of a newer roar.
    #[error("'{}' was written by a newer roar (version {found})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl From<VariablesError> for CommandError {
    fn from(error: VariablesError) -> Self {
        Self::user("the variables of roar env cannot be used").because(error)
    }
}

/// Every variable of the project; none when no one was set yet.
///
/// # Errors
/// The file cannot be read or is not one of roar's.
pub fn read(project: &Project) -> Result<Variables, VariablesError> {
    let path = path(project);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Variables::new()),
        Err(source) => {
            let operation = "read";
            return Err(VariablesError::Io {
                operation,
                path,
                source,
            });
        }
    };
    let file: File = match serde_json::from_slice(&text) {
        Ok(file) => file,
        Err(source) => return Err(VariablesError::Damaged { path, source }),
    };
    if file.version > VERSION {
        let found = file.version;
        return Err(VariablesError::Newer { path, found });
    }
    Ok(file.variables)
}

/// Replaces the variables of the project, in one step.
///
/// # Errors
/// The file cannot be written.
pub fn write(project: &Project, variables: Variables) -> Result<(), VariablesError> {
    let path = path(project);
    let file = File {
        version: VERSION,
        variables,
    };
    let write = || {
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        // Readable for its owner only from the start (mode 0600).
        let mut file = tempfile::NamedTempFile::new_in(project.directory())?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|source: io::Error| VariablesError::Io {
        operation: "write",
        path: path.clone(),
        source,
    })
}

fn path(project: &Project) -> PathBuf {
    project.directory().join("env.json")
}
