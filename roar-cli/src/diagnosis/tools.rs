//! Programs and keys that other commands use. None of them is needed to run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Check, State};

/// All of them.
pub(super) fn all() -> Vec<Check> {
    vec![
        program("git", &["git"], "install git"),
        program("python", &["python3", "python"], "install Python 3"),
        program(
            "uv",
            &["uv"],
            "install uv (https://docs.astral.sh/uv/); venv serves as well",
        ),
        key(),
    ]
}

/// The first of the programs that says its version.
fn program(name: &'static str, candidates: &[&str], mend: &'static str) -> Check {
    for candidate in candidates {
        let output = Command::new(candidate)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        if let Ok(output) = output
            && output.status.success()
        {
            let text = String::from_utf8_lossy(&output.stdout);
            let version = text.lines().next().unwrap_or_default().trim().to_owned();
            return Check::ok(name, version.clone(), json!(version));
        }
    }
    Check::new(name, State::Note, "not found", Value::Null).mended_by(mend)
}

/// The key that a lineage server would know this user by.
fn key() -> Check {
    const NAME: &str = "GLaaS key";
    let named = std::env::var_os("ROAR_SSH_KEY").map(PathBuf::from);
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let usual = home.map(PathBuf::from).into_iter().flat_map(|home| {
        ["id_ed25519", "id_rsa", "id_ecdsa"].map(|name| home.join(".ssh").join(name))
    });
    let found = match named {
        Some(path) => Some(path).filter(|path| path.is_file()),
        None => usual.into_iter().find(|path| path.is_file()),
    };
    match found {
        Some(path) => {
            let path = path.to_string_lossy().into_owned();
            Check::ok(NAME, path.clone(), json!(path))
        }
        None => Check::new(NAME, State::Note, "no SSH key", Value::Null)
            .mended_by("ssh-keygen -t ed25519 (only a lineage server asks for it)"),
    }
}
