//! conda's packages: `conda-meta/*.json` of an environment lists the files of each, Python or not.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::index::{Index, Listed, hash};
use super::{UsedFile, python_source, state};
use crate::capture::notes::Notes;

/// The folder of the descriptions, below that of the environment.
const DESCRIPTIONS: &str = "conda-meta";

/// What a description says.
#[derive(Deserialize)]
struct Description {
    name: String,
    version: String,
    #[serde(default)]
    files: Vec<String>,
}

/// The packages that own any of these files, by name, with their versions.
pub(super) fn packages(files: &[UsedFile], notes: &Notes) -> BTreeMap<String, String> {
    let mut known: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    let mut indexes: HashMap<PathBuf, Option<Index>> = HashMap::new();
    let owned = files.iter().filter_map(|file| {
        let source = python_source(&file.path);
        let path = source.as_deref().unwrap_or(&file.path);
        let environment = environment(path.parent()?, &mut known)?;
        let below = path.strip_prefix(&environment).ok()?.to_str()?.to_owned();
        let index = indexes
            .entry(environment)
            .or_insert_with_key(|environment| index(environment, notes));
        index.as_ref()?.owner(&below)
    });
    owned.collect()
}

/// Looks at the environment that a folder is in, if any, ahead of the question.
pub(super) fn learn(folder: &Path, notes: &Notes) {
    if let Some(environment) = environment(folder, &mut HashMap::new()) {
        index(&environment, notes);
    }
}

/// The environment that a folder is in: the innermost one.
fn environment(folder: &Path, known: &mut HashMap<PathBuf, Option<PathBuf>>) -> Option<PathBuf> {
    if let Some(found) = known.get(folder) {
        return found.clone();
    }
    let found = if folder.join(DESCRIPTIONS).is_dir() {
        Some(folder.to_path_buf())
    } else {
        folder
            .parent()
            .and_then(|parent| environment(parent, known))
    };
    known.insert(folder.to_path_buf(), found.clone());
    found
}

fn index(environment: &Path, notes: &Notes) -> Option<Index> {
    let source = environment.join(DESCRIPTIONS);
    let state = state(&source)?;
    Some(Index::of(notes, &source, &state, || read(&source)))
}

/// Every package with its files, from all descriptions.
fn read(source: &Path) -> Vec<Listed> {
    let Ok(entries) = fs::read_dir(source) else {
        return Vec::new();
    };
    let mut descriptions: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    descriptions.retain(|path| path.extension().is_some_and(|e| e == "json"));
    let packages = descriptions.par_iter().filter_map(|path| {
        let Description {
            name,
            version,
            files,
        } = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let paths = files.iter().map(|path| hash(path));
        Some(((name, version), paths.collect()))
    });
    packages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_in_an_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = folder.path().join("envs/one");
        let meta = environment.join("conda-meta");
        fs::create_dir_all(&meta).expect("makes it");
        let describe = |name: &str, text: &str| fs::write(meta.join(name), text).expect("writes");
        describe(
            "zlib-1.3-0.json",
            r#"{"name": "zlib", "version": "1.3", "build": "0", "files": ["lib/libz.so.1.3"]}"#,
        );
        describe(
            "numpy-2.1-0.json",
            r#"{"name": "numpy", "version": "2.1", "files": ["lib/python3.12/site-packages/numpy/a.py"]}"#,
        );
        describe("broken-1-0.json", "{");
        describe("history", "==> x <==");
        let file = |path: &str| UsedFile {
            path: environment.join(path),
            executed: false,
        };
        let found = |files: &[UsedFile]| {
            let found = packages(files, &Notes::default());
            let shown: Vec<String> = found.iter().map(|(n, v)| format!("{n} {v}")).collect();
            shown.join(", ")
        };
        assert_eq!(found(&[file("lib/libz.so.1.3")]), "zlib 1.3");
        let byte_code = "lib/python3.12/site-packages/numpy/__pycache__/a.cpython-312.pyc";
        assert_eq!(
            found(&[file(byte_code), file("lib/libz.so.1.3")]),
            "numpy 2.1, zlib 1.3"
        );
        assert_eq!(found(&[file("lib/mine.so"), file("../../x")]), "");
    }
}
