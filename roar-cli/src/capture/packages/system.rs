//! Which packages of the system own the files that were used.
//!
//! The lists of a whole system hold some hundred thousand paths. They are searched for the files in
//! question only, and the answers are kept: the next run asks for mostly the same ones.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Notebook, UsedFile, apk, dpkg, python_source, state};

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

/// What was learned of one state of the database, as the text that is kept: every run reads it and
/// asks for a few of its thousands of paths, so that it is searched, not parsed. After a line that
/// tells the form come the paths in order of their bytes, each on a line of its own with package
/// and version behind tabs; with neither where no package owns it.
struct Known(String);

const FORM: &str = "owners-2\n";

impl Known {
    /// What is kept; nothing where that is of another form.
    fn of(text: Option<String>) -> Self {
        let kept = text.filter(|text| text.starts_with(FORM));
        Self(kept.unwrap_or_else(|| FORM.to_owned()))
    }

    /// What is known of a path: package and version with a tab between them; empty where it is known
    /// to have no owner.
    fn get(&self, path: &str) -> Option<&str> {
        let mut rest = &self.0[FORM.len()..];
        while !rest.is_empty() {
            // The line around the middle.
            let middle = rest.len() / 2;
            let bytes = rest.as_bytes();
            let start = bytes[..middle].iter().rposition(|b| *b == b'\n');
            let start = start.map_or(0, |at| at + 1);
            let end = bytes[start..].iter().position(|b| *b == b'\n');
            let end = end.map_or(rest.len(), |at| start + at);
            let line = &rest[start..end];
            let (found, owner) = line.split_once('\t')?;
            match found.cmp(path) {
                Ordering::Equal => return Some(owner),
                Ordering::Less => rest = rest.get(end + 1..).unwrap_or_default(),
                Ordering::Greater => rest = &rest[..start],
            }
        }
        None
    }

    /// Adds what was found of the paths that were asked for.
    fn learn(&mut self, asked: &BTreeSet<&str>, found: &BTreeMap<String, Package>) {
        let mut lines: Vec<String> = self.0[FORM.len()..].lines().map(str::to_owned).collect();
        lines.extend(asked.iter().map(|path| match found.get(*path) {
            Some((package, version)) => format!("{path}\t{package}\t{version}"),
            None => format!("{path}\t"),
        }));
        let path = |line: &String| line.split('\t').next().unwrap_or_default().to_owned();
        lines.sort_by_cached_key(path);
        FORM.clone_into(&mut self.0);
        for line in lines {
            self.0.push_str(&line);
            self.0.push('\n');
        }
    }
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
    let found = ask(notebook, source, &state, &wanted, |unknown| match manager {
        Manager::Dpkg => dpkg::owners(unknown),
        Manager::Apk => apk::owners(unknown),
    });
    let by_path = found
        .into_iter()
        .map(|(path, owner)| (PathBuf::from(path), owner));
    Owners {
        manager,
        by_path: by_path.collect(),
    }
}

/// The owners of these paths: those that are known, and of the others what `find` says, which is
/// kept.
pub(super) fn ask(
    notebook: &mut dyn Notebook,
    source: &Path,
    state: &str,
    wanted: &BTreeSet<String>,
    find: impl FnOnce(&BTreeSet<&str>) -> BTreeMap<String, Package>,
) -> BTreeMap<String, Package> {
    let mut known = Known::of(notebook.recall(source, state));
    let unknown: BTreeSet<&str> = wanted
        .iter()
        .map(String::as_str)
        // No package has such a file, and no line could hold it.
        .filter(|path| !path.contains(['\t', '\n']))
        .filter(|path| known.get(path).is_none())
        .collect();
    if !unknown.is_empty() {
        let found = find(&unknown);
        known.learn(&unknown, &found);
        notebook.learn(source, state, &known.0);
    }
    let owned = wanted.iter().filter_map(|path| {
        let (package, version) = known.get(path)?.split_once('\t')?;
        Some((path.clone(), (package.to_owned(), version.to_owned())))
    });
    owned.collect()
}

/// The file that a package would list: byte code is made on the machine.
fn asked(path: &Path) -> PathBuf {
    python_source(path).unwrap_or_else(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_found_and_more_is_learned() {
        let mut known = Known::of(None);
        assert_eq!(known.get("/usr/bin/a"), None);
        let names: Vec<String> = (0..100).map(|n| format!("/usr/bin/{n}")).collect();
        // A byte below the tab, one above it, and a path that begins like another.
        let odd = [
            "/usr/bin/1\u{1}",
            "/usr/bin/é",
            "/usr/bin/1/x",
            "/usr/bin/1 2",
        ];
        let all: Vec<&str> = names.iter().map(String::as_str).chain(odd).collect();
        for half in all.chunks(52) {
            let found = half
                .iter()
                .filter(|path| !path.ends_with('7'))
                .map(|path| ((*path).to_owned(), (format!("p{path}"), "1:2 3".to_owned())));
            let asked = half.iter().copied().collect();
            known.learn(&asked, &found.collect());
        }
        let kept = Known::of(Some(known.0.clone()));
        for path in &all {
            let owner = format!("p{path}\t1:2 3");
            let expected = if path.ends_with('7') { "" } else { &owner };
            assert_eq!(kept.get(path), Some(expected), "{path:?}");
        }
        for path in ["", "/", "/usr/bin/", "/usr/bin/100", "/zz"] {
            assert_eq!(kept.get(path), None, "{path}");
        }
        // The form that roar kept before.
        assert_eq!(Known::of(Some("{\"owners\":{}}".into())).0, FORM);
    }
}
