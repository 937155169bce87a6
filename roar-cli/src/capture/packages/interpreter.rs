//! Which Pythons ran, and in which environments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{UsedFile, recall_or, state};
use crate::capture::notes::Notes;
use crate::model::{Interpreter, RawString};

/// Larger files are not searched for a version.
const LIMIT_BYTES: u64 = 256 << 20;

/// The Pythons among the programs that were executed.
pub(super) fn interpreters(files: &[UsedFile], notes: &Notes) -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    let environments = environments(files);
    for file in files.iter().filter(|file| file.executed) {
        let Some((implementation, short)) = name_of(&file.path) else {
            continue;
        };
        // Where Python is a library, the library knows its version.
        let library = files.iter().map(|file| file.path.as_path()).find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&format!("{LIBRARY}{short}.so")))
        });
        let version = [library, Some(&file.path)]
            .into_iter()
            .flatten()
            .find_map(|path| version_in(path, &short, notes));
        let folder = file.path.parent();
        let environment = environments.iter().find(|environment| {
            environment
                .home
                .as_deref()
                .is_none_or(|home| Some(home) == folder)
        });
        let prefix = folder.and_then(Path::parent);
        let conda = prefix.filter(|prefix| prefix.join("conda-meta").is_dir());
        let interpreter = Interpreter {
            implementation: implementation.to_owned(),
            version: version.unwrap_or(short),
            executable: RawString::from_path(&file.path),
            environment: conda
                .or(environment.map(|environment| environment.prefix.as_path()))
                .map(RawString::from_path),
            conda: conda.map(conda_name),
        };
        if !found.contains(&interpreter) {
            found.push(interpreter);
        }
    }
    found
}

/// How the library is called that is a Python.
const LIBRARY: &str = "libpython";

/// Whether a path may be that of a Python; cheap, for it is asked of every event.
pub(super) fn may_be(path: &[u8]) -> bool {
    let start = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let name = &path[start..];
    let starts = |with: &str| name.starts_with(with.as_bytes());
    starts(LIBRARY) || (name.len() < 16 && (starts("python") || starts("pypy")))
}

/// Looks into a Python ahead of the question.
pub(super) fn learn(path: &Path, notes: &Notes) {
    let of_library = || {
        let name = path.file_name()?.to_str()?.strip_prefix(LIBRARY)?;
        Some(name.split_once(".so")?.0.to_owned())
    };
    let short = name_of(path).map(|(_, short)| short).or_else(of_library);
    if let Some(short) = short {
        version_in(path, &short, notes);
    }
}

/// A virtual environment: every Python that runs in one reads its `pyvenv.cfg`.
struct Environment {
    prefix: PathBuf,
    /// The folder of the Python it was made with.
    home: Option<PathBuf>,
}

fn environments(files: &[UsedFile]) -> Vec<Environment> {
    let configurations: BTreeSet<&Path> = files
        .iter()
        .map(|file| file.path.as_path())
        .filter(|path| path.file_name().is_some_and(|name| name == "pyvenv.cfg"))
        .collect();
    configurations
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let home = text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == "home").then(|| PathBuf::from(value.trim()))
            });
            Some(Environment {
                prefix: path.parent()?.to_path_buf(),
                home: home.map(|home| home.canonicalize().unwrap_or(home)),
            })
        })
        .collect()
}

fn conda_name(prefix: &Path) -> String {
    let is_named = prefix
        .parent()
        .is_some_and(|parent| parent.ends_with("envs"));
    let name = prefix.file_name().unwrap_or_default();
    if is_named {
        name.to_string_lossy().into_owned()
    } else {
        "base".to_owned()
    }
}

/// `python3.11` is CPython 3.11.
fn name_of(path: &Path) -> Option<(&'static str, String)> {
    let name = path.file_name()?.to_str()?;
    let (implementation, version) = if let Some(version) = name.strip_prefix("python") {
        ("cpython", version)
    } else {
        ("pypy", name.strip_prefix("pypy")?)
    };
    let version = version.trim_end_matches(['t', 'd', 'm', 'u']);
    let is_version = version
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    (is_version && version.contains('.')).then(|| (implementation, version.to_owned()))
}

/// CPython's binary holds its version as a text of its own (PY_VERSION).
fn version_in(path: &Path, short: &str, notes: &Notes) -> Option<String> {
    let state = state(path)?;
    recall_or(notes, path, &state, || {
        let size = path.metadata().ok()?.len();
        let content = (size <= LIMIT_BYTES)
            .then(|| fs::read(path).ok())
            .flatten()?;
        version_text(&content, short)
    })
}

/// The version as a text of its own. Linkers keep a text only once when it is the end of another
/// one (`/home/ann/.pyenv/versions/3.11.7`): without the former, such an end has to do.
fn version_text(content: &[u8], short: &str) -> Option<String> {
    let start = format!("{short}.");
    let versions = |is_before: fn(u8) -> bool| {
        memchr::memmem::find_iter(content, start.as_bytes()).find_map(|at| {
            let before = at.checked_sub(1).and_then(|at| content.get(at));
            before.filter(|before| is_before(**before))?;
            let text = &content[at..(at + 24).min(content.len())];
            let end = text.iter().position(|b| *b == 0)?;
            let text = std::str::from_utf8(&text[..end]).ok()?;
            let patch = &text[start.len()..];
            let digits = patch.bytes().take_while(u8::is_ascii_digit).count();
            let rest = patch[digits..].trim_end_matches('+');
            let is_release = rest.is_empty() || rest.starts_with(['a', 'b', 'r']);
            (digits > 0 && is_release).then(|| text.to_owned())
        })
    };
    versions(|before| before == 0)
        .or_else(|| versions(|before| before != b'.' && !before.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for (path, expected) in [
            ("/usr/bin/python3.11", Some(("cpython", "3.11"))),
            ("/opt/py/bin/python3.13t", Some(("cpython", "3.13"))),
            ("/opt/bin/pypy3.10", Some(("pypy", "3.10"))),
            ("/usr/bin/python3-config", None),
            ("/usr/bin/pythonw", None),
            ("/usr/bin/perl5.36", None),
        ] {
            let found = name_of(Path::new(path));
            let found = found
                .as_ref()
                .map(|(name, version)| (*name, version.as_str()));
            assert_eq!(found, expected, "{path}");
        }
        for (content, expected) in [
            (&b"x\x003.11.2\0"[..], Some("3.11.2")),
            (b"\x003.11.so\x003.11.2+\0", Some("3.11.2+")),
            (b"\x003.11.0rc1\0", Some("3.11.0rc1")),
            (b"\x003.1.2\0 3.11.2", None),
            (b"\x003.11.", None),
            (b"\0/p/versions/3.11.7\0", Some("3.11.7")),
            (b"\0/p/3.11.7\0\x003.11.2\0", Some("3.11.2")),
            (b"\x0013.11.7\0.3.11.7\0", None),
        ] {
            assert_eq!(version_text(content, "3.11").as_deref(), expected);
        }
    }
}
