//! Which Python distributions own the files that were used: from what pip, uv and conda leave
//! beside the modules (`*.dist-info`, `*.egg-info`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::{UsedFile, python_source, recall_or, state};
use crate::capture::notes::Notes;
use crate::model::Software;

/// Folders that hold distributions.
pub(super) const SITES: &[&str] = &["site-packages", "dist-packages"];

/// Read by every Python of an environment as it starts: no sign that a job needed them.
const HOOKS: &[&str] = &[
    "_distutils_hack",
    "_virtualenv.py",
    "sitecustomize.py",
    "usercustomize.py",
];

/// What one folder of distributions holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Site {
    distributions: Vec<Distribution>,
    /// Index into `distributions` by path below the folder. A folder all of whose files belong
    /// to one distribution stands for them.
    owners: BTreeMap<String, usize>,
}

/// An installed distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Distribution {
    name: String,
    version: String,
    /// Where it came from, if not from an index.
    origin: Option<String>,
    /// The folder of an editable installation.
    editable: Option<PathBuf>,
}

/// Adds the distributions that own any of these files.
pub(super) fn distributions(files: &[UsedFile], notes: &Notes, software: &mut Software) {
    let mut folders: BTreeMap<PathBuf, Vec<&Path>> = BTreeMap::new();
    for file in files {
        if let Some((folder, below)) = split(&file.path) {
            folders.entry(folder).or_default().push(below);
        }
    }
    let mut used: BTreeSet<(String, String, Option<String>)> = BTreeSet::new();
    for (folder, paths) in folders {
        let Some(site) = Site::of(&folder, notes) else {
            continue;
        };
        let owned = paths.into_iter().filter_map(|below| site.owner(below));
        let editable = files
            .iter()
            .filter(|file| split(&file.path).is_none())
            .filter_map(|file| site.editable_owner(&file.path));
        used.extend(owned.chain(editable).map(|owner| {
            let Distribution {
                name,
                version,
                origin,
                editable: _,
            } = owner.clone();
            (name, version, origin)
        }));
    }
    for (name, version, origin) in used {
        if let Some(origin) = origin {
            software.origins.insert(name.clone(), origin);
        }
        // Two environments in one job may have two versions.
        let versions = software.pip.entry(name).or_default();
        if !versions.is_empty() {
            versions.push_str(", ");
        }
        versions.push_str(&version);
    }
}

/// Looks at a folder of distributions ahead of the question.
pub(super) fn learn(folder: &Path, notes: &Notes) {
    Site::of(folder, notes);
}

/// How the names of such folders end, and what follows in the paths of their files.
static ENDING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("-packages/"));

/// The folder of distributions that a path is in, as bytes; cheap, for it is asked of every event.
pub(super) fn site_of(path: &[u8]) -> Option<&[u8]> {
    let folders = ENDING.find_iter(path).filter_map(|at| {
        let folder = &path[..at + "-packages".len()];
        let name = folder.rsplit(|byte| *byte == b'/').next()?;
        SITES
            .iter()
            .any(|site| site.as_bytes() == name)
            .then_some(folder)
    });
    folders.last()
}

/// The folder of distributions that a path is in, and the path below it.
fn split(path: &Path) -> Option<(PathBuf, &Path)> {
    let folder = path.ancestors().find(|folder| {
        folder
            .file_name()
            .is_some_and(|name| SITES.iter().any(|site| name == *site))
    })?;
    let below = path.strip_prefix(folder).ok()?;
    Some((folder.to_path_buf(), below))
}

impl Site {
    /// What a folder holds, as it is noted or as it is read now.
    fn of(folder: &Path, notes: &Notes) -> Option<Self> {
        let state = state(folder)?;
        Some(recall_or(notes, folder, &state, || Self::read(folder)))
    }

    /// The owner of a file below the folder, if its use counts.
    fn owner(&self, below: &Path) -> Option<&Distribution> {
        let source = python_source(below);
        let below = source.as_deref().unwrap_or(below);
        let first = below.components().next()?.as_os_str().to_str()?;
        let is_path_file = Path::new(first).extension().is_some_and(|e| e == "pth");
        let describes = first.ends_with(".dist-info") || first.ends_with(".egg-info");
        let starts = HOOKS.contains(&first) || is_path_file || first.starts_with("__editable__");
        if describes || starts {
            return None;
        }
        let mut path = String::new();
        for component in below.components() {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(component.as_os_str().to_str()?);
            if let Some(index) = self.owners.get(&path) {
                return self.distributions.get(*index);
            }
        }
        // `name.cpython-311-x86_64-linux-gnu.so` of a distribution that only names its modules.
        let module = first.split('.').next()?;
        self.distributions.get(*self.owners.get(module)?)
    }

    /// The editable installation that a module outside of the folder belongs to.
    fn editable_owner(&self, path: &Path) -> Option<&Distribution> {
        let is_module = path
            .extension()
            .is_some_and(|extension| ["py", "pyc", "so"].iter().any(|e| extension == *e));
        self.distributions.iter().find(|distribution| {
            let root = distribution.editable.as_deref();
            is_module && root.is_some_and(|root| path.starts_with(root))
        })
    }

    /// Reads the descriptions of everything that is installed in a folder.
    fn read(folder: &Path) -> Self {
        let mut site = Self::default();
        let mut files: Vec<(String, usize)> = Vec::new();
        let Ok(entries) = fs::read_dir(folder) else {
            return site;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let extension = path
                .extension()
                .and_then(|e| e.to_str())
                .unwrap_or_default();
            let found = match extension {
                "dist-info" => described(&path.join("METADATA")),
                "egg-info" if path.is_dir() => described(&path.join("PKG-INFO")),
                "egg-info" => described(&path),
                "egg-link" => linked(&path),
                _ => None,
            };
            let Some(mut distribution) = found else {
                continue;
            };
            if let Some(direct) = DirectUrl::read(&path) {
                distribution.editable = direct.editable_folder();
                distribution.origin = Some(direct.origin());
            }
            let index = site.distributions.len();
            files.extend(
                owned_paths(&path, &distribution.name)
                    .into_iter()
                    .map(|p| (p, index)),
            );
            site.distributions.push(distribution);
        }
        files.sort_unstable();
        collapse(&files, 0, &mut site.owners);
        site
    }
}

/// Name and version from the head of a description.
fn described(path: &Path) -> Option<Distribution> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let field = |name: &str| {
        text.lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    Some(Distribution {
        name: field("Name")?,
        version: field("Version")?,
        ..Distribution::default()
    })
}

/// An editable installation of the old kind: a link to a folder with its `*.egg-info`.
fn linked(path: &Path) -> Option<Distribution> {
    let text = fs::read_to_string(path).ok()?;
    let folder = PathBuf::from(text.lines().next()?.trim());
    let description = fs::read_dir(&folder).ok()?.flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().ends_with(".egg-info")
    })?;
    let mut distribution = described(&description.path().join("PKG-INFO"))?;
    distribution.origin = Some(format!("file://{} (editable)", folder.display()));
    distribution.editable = Some(folder);
    Some(distribution)
}

/// `direct_url.json`: <https://packaging.python.org/en/latest/specifications/direct-url/>
#[derive(Deserialize)]
struct DirectUrl {
    url: String,
    #[serde(default)]
    dir_info: DirInfo,
    vcs_info: Option<VcsInfo>,
}

#[derive(Default, Deserialize)]
struct DirInfo {
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    commit_id: String,
}

impl DirectUrl {
    fn read(description: &Path) -> Option<Self> {
        let text = fs::read(description.join("direct_url.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn editable_folder(&self) -> Option<PathBuf> {
        let path = self.url.strip_prefix("file://")?;
        let path = PathBuf::from(unescaped(path));
        self.dir_info
            .editable
            .then(|| path.canonicalize().unwrap_or(path))
    }

    fn origin(&self) -> String {
        match &self.vcs_info {
            Some(VcsInfo { vcs, commit_id }) => format!("{vcs}+{}@{commit_id}", self.url),
            None if self.dir_info.editable => format!("{} (editable)", self.url),
            None => self.url.clone(),
        }
    }
}

/// `%20` and its like as bytes.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2);
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Paths below the folder that a distribution owns: from `RECORD`; where the installer left none,
/// its top-level modules.
fn owned_paths(description: &Path, name: &str) -> Vec<String> {
    if let Ok(record) = fs::read_to_string(description.join("RECORD")) {
        return record.lines().filter_map(recorded_path).collect();
    }
    let modules = fs::read_to_string(description.join("top_level.txt"))
        .unwrap_or_else(|_| name.to_lowercase().replace('-', "_"));
    modules
        .lines()
        .filter(|module| !module.is_empty())
        .flat_map(|module| [module.to_owned(), format!("{module}.py")])
        .collect()
}

/// The first field of a line of `RECORD`; scripts and the like lie outside of the folder.
fn recorded_path(line: &str) -> Option<String> {
    let path = match line.strip_prefix('"') {
        Some(quoted) => quoted.split("\",").next()?.replace("\"\"", "\""),
        None => line.split(',').next()?.to_owned(),
    };
    (!path.is_empty() && !path.starts_with("../") && !path.starts_with('/')).then_some(path)
}

/// Replaces the sorted files of a folder by the folder where all have one owner.
fn collapse(files: &[(String, usize)], start: usize, owners: &mut BTreeMap<String, usize>) {
    let mut rest = files;
    while let Some((path, owner)) = rest.first() {
        let end = path[start..].find('/').map(|at| start + at);
        let prefix = &path[..end.unwrap_or(path.len())];
        let count = rest
            .iter()
            .take_while(|(other, _)| match other.strip_prefix(prefix) {
                Some(tail) => tail.is_empty() || tail.starts_with('/'),
                None => false,
            })
            .count()
            .max(1);
        let (group, others) = rest.split_at(count);
        match end {
            Some(end) if group.iter().any(|(_, other)| other != owner) => {
                collapse(group, end + 1, owners);
            }
            _ => {
                owners.insert(prefix.to_owned(), *owner);
            }
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[(&str, usize)]) -> Site {
        let mut files: Vec<(String, usize)> = files
            .iter()
            .map(|(path, owner)| ((*path).to_owned(), *owner))
            .collect();
        files.sort_unstable();
        let distributions = (0..4)
            .map(|number| Distribution {
                name: number.to_string(),
                ..Distribution::default()
            })
            .collect();
        let mut owners = BTreeMap::new();
        collapse(&files, 0, &mut owners);
        Site {
            distributions,
            owners,
        }
    }

    #[test]
    fn folders_stand_for_their_files() {
        let site = site(&[
            ("numpy/__init__.py", 0),
            ("numpy/core/a.so", 0),
            ("numpy.libs/b.so", 0),
            ("google/protobuf/x.py", 1),
            ("google/protobuf/y.py", 1),
            ("google/auth/x.py", 2),
            ("six.py", 3),
            ("bare", 3),
        ]);
        let owners: Vec<&str> = site.owners.keys().map(String::as_str).collect();
        let expected = [
            "bare",
            "google/auth",
            "google/protobuf",
            "numpy",
            "numpy.libs",
            "six.py",
        ];
        assert_eq!(owners, expected);
        for (path, expected) in [
            ("numpy/core/a.so", Some("0")),
            ("numpy/made/later.txt", Some("0")),
            ("numpy.libs/b.so", Some("0")),
            ("google/auth/z.py", Some("2")),
            ("google/other.py", None),
            ("six.py", Some("3")),
            ("__pycache__/six.cpython-311.pyc", Some("3")),
            ("numpy/__pycache__/__init__.cpython-311.pyc", Some("0")),
            ("bare.cpython-311-x86_64-linux-gnu.so", Some("3")),
            ("numpy-1.0.dist-info/METADATA", None),
            ("_distutils_hack/__init__.py", None),
            ("x.pth", None),
            ("unknown/x.py", None),
        ] {
            let found = site.owner(Path::new(path)).map(|owner| owner.name.as_str());
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn folders_of_distributions() {
        for (path, expected) in [
            (
                "/v/lib/python3/site-packages/a/b.py",
                Some("/v/lib/python3/site-packages"),
            ),
            (
                "/usr/lib/python3/dist-packages/x",
                Some("/usr/lib/python3/dist-packages"),
            ),
            (
                "/v/site-packages/a/site-packages/b.py",
                Some("/v/site-packages/a/site-packages"),
            ),
            ("/v/my-site-packages/a", None),
            ("/v/site-packages", None),
            ("/v/site-packages.old/a", None),
        ] {
            let found = site_of(path.as_bytes()).map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), expected, "{path}");
            let split = split(Path::new(path)).map(|(folder, _)| folder);
            assert!(expected.is_none() || split.as_deref() == expected.map(Path::new));
        }
    }

    #[test]
    fn lines_of_record() {
        for (line, expected) in [
            ("a/b.py,sha256=x,12", Some("a/b.py")),
            ("\"a,b/\"\"c\"\".py\",sha256=x,12", Some("a,b/\"c\".py")),
            ("../../../bin/x,,", None),
            ("/usr/x,,", None),
            ("", None),
        ] {
            assert_eq!(recorded_path(line).as_deref(), expected, "{line}");
        }
        assert_eq!(unescaped("/a%20b%/c%zz%C3%A9"), "/a b%/c%zzé");
    }
}
