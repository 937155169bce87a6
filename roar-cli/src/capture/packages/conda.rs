//! conda's packages: `conda-meta/*.json` of an environment lists the files of each, Python or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::system::{Package, ask};
use super::{Notebook, UsedFile, python_source, state};

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
pub(super) fn packages(
    files: &[UsedFile],
    notebook: &mut dyn Notebook,
) -> BTreeMap<String, String> {
    let mut environments: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let mut known: HashMap<PathBuf, Option<PathBuf>> = HashMap::new();
    for file in files {
        let source = python_source(&file.path);
        let path = source.as_deref().unwrap_or(&file.path);
        let Some(folder) = path.parent() else {
            continue;
        };
        if let Some(environment) = environment(folder, &mut known)
            && let Ok(below) = path.strip_prefix(&environment)
            && let Some(below) = below.to_str()
        {
            let asked = environments.entry(environment).or_default();
            asked.insert(below.to_owned());
        }
    }
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for (environment, asked) in environments {
        packages.extend(owners(&environment, &asked, notebook).into_values());
    }
    packages
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

fn owners(
    environment: &Path,
    asked: &BTreeSet<String>,
    notebook: &mut dyn Notebook,
) -> BTreeMap<String, Package> {
    let source = environment.join(DESCRIPTIONS);
    let Some(state) = state(&source) else {
        return BTreeMap::new();
    };
    ask(notebook, &source, &state, asked, |unknown| {
        read(&source, unknown)
    })
}

/// The owners of these paths, from all descriptions.
fn read(source: &Path, paths: &BTreeSet<&str>) -> BTreeMap<String, Package> {
    let Ok(entries) = fs::read_dir(source) else {
        return BTreeMap::new();
    };
    let descriptions: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    descriptions
        .par_iter()
        .filter_map(|path| serde_json::from_slice::<Description>(&fs::read(path).ok()?).ok())
        .flat_map_iter(|description| {
            let Description {
                name,
                version,
                files,
            } = description;
            let owned = files
                .into_iter()
                .filter(|file| paths.contains(file.as_str()));
            owned
                .map(|file| (file, (name.clone(), version.clone())))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Forgetful;

    impl Notebook for Forgetful {
        fn recall(&mut self, _source: &Path, _state: &str) -> Option<String> {
            None
        }
        fn learn(&mut self, _source: &Path, _state: &str, _document: &str) {}
    }

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
            let found = packages(files, &mut Forgetful);
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
