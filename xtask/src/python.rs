//! Finding a Python that can make virtual environments.

use std::path::PathBuf;
use std::process::Command;

use crate::process;

/// Names to look for, in each folder of PATH in turn.
const NAMES: [&str; 6] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
];

/// Fails unless the interpreter is new enough and brings venv and pip.
const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// The first interpreter on PATH that is at least Python 3.10 and has venv.
pub(crate) fn find() -> Option<PathBuf> {
    process::search_path()
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .filter(|candidate| candidate.is_file())
        .find(|candidate| process::succeeds(Command::new(candidate).args(["-c", PROBE])))
}
