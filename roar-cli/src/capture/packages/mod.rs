//! The software that a job used, told by the files it read: nothing is asked of the job's own
//! programs, nothing is put into them, and no package manager is started.
//!
//! A package counts when one of its files was read, mapped or executed. What every Python looks
//! at when it starts (`.pth` files, their hooks, the distributions' own descriptions) does not.
//!
//! Package databases are large and change rarely: what was learned from one is noted for the user
//! ([`Notes`]), and learned beside the command where it is not ([`LookAhead`]).

mod ahead;
mod apk;
mod conda;
mod dpkg;
mod index;
mod interpreter;
mod libraries;
mod python;
mod rpm;
mod system;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::notes::Notes;
use crate::model::{Program, RawString, Software};

pub use ahead::LookAhead;

/// A file that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedFile {
    /// Absolute and real.
    pub path: PathBuf,
    /// Whether it was executed as a program.
    pub executed: bool,
}

/// The software behind these files.
pub fn used(files: &[UsedFile], notes: &Notes) -> Software {
    let mut software = Software::default();
    python::distributions(files, notes, &mut software);
    let owners = system::owners(files, notes);
    for (package, version) in owners.packages() {
        let packages = match owners.manager {
            system::Manager::Dpkg => &mut software.dpkg,
            system::Manager::Rpm => &mut software.rpm,
            system::Manager::Apk => &mut software.apk,
        };
        packages.insert(package.to_owned(), version.to_owned());
    }
    software.unread = owners
        .unread
        .iter()
        .map(|path| RawString::from_path(path))
        .collect();
    software.conda = conda::packages(files, notes);
    software.interpreters = interpreter::interpreters(files, notes);
    software.libraries = libraries::versions(files, &software.pip);
    software.programs = files
        .iter()
        .filter(|file| file.executed)
        .map(|file| Program {
            path: RawString::from_path(&file.path),
            package: owners
                .of(&file.path)
                .map(|(package, version)| format!("{package} {version}")),
        })
        .collect();
    software.programs.sort_by(|a, b| a.path.cmp(&b.path));
    software.programs.dedup();
    software
}

/// The state of a file or folder, as text; it changes when the content does.
fn state(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some(format!(
            "{}:{}:{}:{}.{}",
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.ctime(),
            metadata.ctime_nsec()
        ))
    }
    #[cfg(not(unix))]
    Some(format!(
        "{:?}:{}",
        metadata.modified().ok()?,
        metadata.len()
    ))
}

/// Recalls a document, or makes it and keeps it.
fn recall_or<T: Serialize + DeserializeOwned>(
    notes: &Notes,
    source: &Path,
    state: &str,
    make: impl FnOnce() -> T,
) -> T {
    let known = notes.recall(source, state);
    if let Some(known) = known.and_then(|text| serde_json::from_slice(&text).ok()) {
        return known;
    }
    let made = make();
    if let Ok(text) = serde_json::to_vec(&made) {
        notes.learn(source, state, &text);
    }
    made
}

/// `a/__pycache__/b.cpython-311.pyc` is made of `a/b.py`, whoever wrote it.
pub fn python_source(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let folder = path.parent()?;
    if folder.file_name()? != "__pycache__" {
        return None;
    }
    let module = name.split('.').next()?;
    Some(folder.parent()?.join(format!("{module}.py")))
}

/// Whether a module was put there by an installer, or came with a Python: it is told by name and
/// version, and is nobody's code of the project, wherever the environment lies.
pub fn is_installed_module(path: &Path) -> bool {
    let names: Vec<&str> = path.iter().filter_map(std::ffi::OsStr::to_str).collect();
    let is_site = |name: &&str| python::SITES.contains(name);
    let is_library = |pair: &[&str]| {
        matches!(pair[0], "lib" | "lib64")
            && pair[1]
                .strip_prefix("python")
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    names.iter().any(is_site) || names.windows(2).any(is_library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_installers_and_of_the_project() {
        for (path, expected) in [
            ("/p/.venv/lib/python3.11/site-packages/a/b.py", true),
            ("/p/env/lib/python3.12/os.py", true),
            ("/usr/lib/python3/dist-packages/a.py", true),
            ("/p/lib/python/a.py", false),
            ("/p/site/a.py", false),
            ("/p/a.py", false),
        ] {
            assert_eq!(is_installed_module(Path::new(path)), expected, "{path}");
        }
    }
}
