//! Which packages of the system own the files that were used.
//!
//! The lists of a whole system hold some hundred thousand paths. They are searched for the files in
//! question only, and the answers are kept: the next run asks for mostly the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Notebook, UsedFile, apk, dpkg, python_source, state, write};

/// Where packages of the system put files.
const FOLDERS: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt",
];

/// Who installed the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manager {
    /// Debian and its descendants.
    #[default]
    Dpkg,
    /// Alpine.
    Apk,
}

/// A package and its version.
pub(super) type Package = (String, String);

/// The answer.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) manager: Manager,
    by_path: BTreeMap<PathBuf, Package>,
}

impl Owners {
    /// The owner of a file that was asked for.
    pub(super) fn of(&self, path: &Path) -> Option<(&str, &str)> {
        let (package, version) = self.by_path.get(&asked(path))?;
        Some((package, version))
    }

    /// Every package that owns any of them.
    pub(super) fn packages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_path
            .values()
            .map(|(package, version)| (package.as_str(), version.as_str()))
    }
}

/// What was learned of one state of the database.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// Index into `packages`; none for a file that no package owns.
    owners: BTreeMap<String, Option<usize>>,
    packages: Vec<Package>,
}

/// Looks up the owners of the files that packages of the system may own.
pub(super) fn owners(files: &[UsedFile], notebook: &mut dyn Notebook) -> Owners {
    let dpkg_lists = Path::new(dpkg::LISTS);
    let (manager, source) = if dpkg_lists.is_dir() {
        (Manager::Dpkg, dpkg_lists)
    } else {
        (Manager::Apk, Path::new(apk::DATABASE))
    };
    let states = match manager {
        Manager::Dpkg => state(dpkg_lists).zip(state(Path::new(dpkg::STATUS))),
        Manager::Apk => state(source).map(|state| (state, String::new())),
    };
    let Some((first, second)) = states else {
        return Owners::default();
    };
    let state = format!("{first} {second}");
    let wanted: BTreeSet<String> = files
        .iter()
        .filter(|file| FOLDERS.iter().any(|folder| file.path.starts_with(folder)))
        .filter_map(|file| asked(&file.path).into_os_string().into_string().ok())
        .collect();
    let mut known: Known = notebook
        .recall(source, &state)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let unknown: BTreeSet<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|path| !known.owners.contains_key(*path))
        .collect();
    if !unknown.is_empty() {
        let found = match manager {
            Manager::Dpkg => dpkg::owners(&unknown),
            Manager::Apk => apk::owners(&unknown),
        };
        learn(&mut known, &unknown, &found);
        write(notebook, source, &state, &known);
    }
    let by_path = wanted.into_iter().filter_map(|path| {
        let package = known.packages.get((*known.owners.get(&path)?)?)?;
        Some((PathBuf::from(path), package.clone()))
    });
    Owners {
        manager,
        by_path: by_path.collect(),
    }
}

fn learn(known: &mut Known, asked: &BTreeSet<&str>, found: &BTreeMap<String, Package>) {
    for path in asked {
        let index = found.get(*path).map(|package| {
            known
                .packages
                .iter()
                .position(|p| p == package)
                .unwrap_or_else(|| {
                    known.packages.push(package.clone());
                    known.packages.len() - 1
                })
        });
        known.owners.insert((*path).to_owned(), index);
    }
}

/// The file that a package would list: byte code is made on the machine.
fn asked(path: &Path) -> PathBuf {
    python_source(path).unwrap_or_else(|| path.to_path_buf())
}
