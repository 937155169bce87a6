//! Which packages of the system own the files that were used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::index::{Index, Package};
use super::{UsedFile, apk, dpkg, python_source, rpm, state};
use crate::capture::notes::Notes;

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
    /// Fedora, openSUSE and their like.
    Rpm,
    /// Alpine.
    Apk,
}

/// The answer.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) manager: Manager,
    /// The database, where it is there and cannot be read: damaged, or of a form that is not known.
    pub(super) unread: Option<PathBuf>,
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

/// Looks up the owners of the files that packages of the system may own.
pub(super) fn owners(files: &[UsedFile], notes: &Notes) -> Owners {
    let Some(database) = Database::here() else {
        return Owners::default();
    };
    let Some(index) = database.index(notes) else {
        return Owners {
            manager: database.manager,
            unread: Some(database.source),
            ..Owners::default()
        };
    };
    let of_system = files
        .iter()
        .filter(|file| FOLDERS.iter().any(|folder| file.path.starts_with(folder)));
    let by_path = of_system.filter_map(|file| {
        let path = asked(&file.path);
        let owner = index.owner(path.to_str()?)?;
        Some((path, owner))
    });
    Owners {
        manager: database.manager,
        unread: None,
        by_path: by_path.collect(),
    }
}

/// The database of this machine's packages.
pub(super) struct Database {
    manager: Manager,
    source: PathBuf,
    state: String,
}

impl Database {
    /// The first one that is there.
    pub(super) fn here() -> Option<Self> {
        // A machine may have another one's tools, but then their database is empty.
        let dpkg = [dpkg::LISTS, dpkg::STATUS, dpkg::DIVERSIONS];
        let (manager, sources) = if Path::new(dpkg::STATUS).is_file() {
            (Manager::Dpkg, dpkg.map(PathBuf::from).to_vec())
        } else if let Some(database) = rpm::database() {
            (Manager::Rpm, rpm::with_log(database))
        } else {
            (Manager::Apk, vec![PathBuf::from(apk::DATABASE)])
        };
        let first = state(sources.first()?)?;
        // Where there is no further one, that is its state.
        let further = sources[1..]
            .iter()
            .map(|source| state(source).unwrap_or_default());
        let states: Vec<String> = std::iter::once(first).chain(further).collect();
        Some(Self {
            manager,
            source: sources.into_iter().next()?,
            state: states.join(" "),
        })
    }

    /// Whether its index need not be made.
    pub(super) fn is_known(&self, notes: &Notes) -> bool {
        notes.knows(&self.source, &self.state)
    }

    /// The index over its files; none when it cannot be read.
    pub(super) fn index(&self, notes: &Notes) -> Option<Index> {
        let (source, state) = (&self.source, &self.state);
        Index::recall(notes, source, state).or_else(|| {
            let listed = match self.manager {
                Manager::Dpkg => dpkg::packages(),
                Manager::Rpm => rpm::packages(source),
                Manager::Apk => apk::packages(),
            }?;
            Some(Index::learn(notes, source, state, listed))
        })
    }
}

/// The file that a package would list: byte code is made on the machine.
fn asked(path: &Path) -> PathBuf {
    python_source(path).unwrap_or_else(|| path.to_path_buf())
}
