//! dpkg's database: `/var/lib/dpkg/info/*.list` has the files of each package, `status` its version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::system::Package;

/// The folder of the lists.
pub(super) const LISTS: &str = "/var/lib/dpkg/info";

/// The file of the versions.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";

/// Folders that a merged `/usr` has links for: lists may name files by either path.
const MERGED: &[&str] = &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// The owners of these paths (real ones).
pub(super) fn owners(paths: &BTreeSet<&str>) -> BTreeMap<String, Package> {
    let aliases: Vec<&str> = MERGED
        .iter()
        .copied()
        .filter(|folder| Path::new(folder).is_symlink())
        .collect();
    let Ok(entries) = fs::read_dir(LISTS) else {
        return BTreeMap::new();
    };
    let lists: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "list")
        })
        .collect();
    let found: Vec<(String, String)> = lists
        .par_iter()
        .flat_map_iter(|list| {
            let package = list.file_stem().unwrap_or_default().to_string_lossy();
            let text = fs::read(list).unwrap_or_default();
            listed(&String::from_utf8_lossy(&text), paths, &aliases)
                .into_iter()
                .map(|path| (path, package.clone().into_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    let status = fs::read_to_string(STATUS).unwrap_or_default();
    let versions = Versions::of(&status);
    found
        .into_iter()
        .filter_map(|(path, package)| Some((path, versions.get(&package)?)))
        .collect()
}

/// Those of `paths` that a list has, as they were asked for.
fn listed(list: &str, paths: &BTreeSet<&str>, aliases: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for line in list.lines() {
        if paths.contains(line) {
            found.push(line.to_owned());
        } else if aliases.iter().any(|folder| {
            line.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        }) {
            let real = format!("/usr{line}");
            if paths.contains(real.as_str()) {
                found.push(real);
            }
        }
    }
    found
}

/// Versions by name and by `name:architecture`.
struct Versions<'a> {
    by_name: HashMap<(&'a str, &'a str), &'a str>,
    native: &'a str,
}

impl<'a> Versions<'a> {
    fn of(status: &'a str) -> Self {
        let mut by_name = HashMap::new();
        let mut native = "";
        for stanza in status.split("\n\n") {
            let field = |name: &str| {
                stanza
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let (Some(package), Some(architecture), Some(version)) =
                (field("Package"), field("Architecture"), field("Version"))
            {
                if package == "dpkg" {
                    native = architecture;
                }
                by_name.insert((package, architecture), version);
            }
        }
        Self { by_name, native }
    }

    /// The package that a list is named after; its own architecture is not worth a word.
    fn get(&self, list: &str) -> Option<Package> {
        let (name, architecture) = list.split_once(':').unwrap_or((list, ""));
        let candidates = [architecture, self.native, "all"];
        let architecture = candidates
            .into_iter()
            .find(|architecture| self.by_name.contains_key(&(name, *architecture)))?;
        let version = self.by_name[&(name, architecture)];
        let shown = if architecture == self.native || architecture == "all" {
            name.to_owned()
        } else {
            format!("{name}:{architecture}")
        };
        Some((shown, version.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\n\n\
        Package: libc6\nArchitecture: amd64\nVersion: 2.36-9\nDescription: x\n Version: no\n\n\
        Package: libc6\nArchitecture: i386\nVersion: 2.36-9\n\n\
        Package: doc\nArchitecture: all\nVersion: 1:2~x\n";

    #[test]
    fn versions_by_list_name() {
        let versions = Versions::of(STATUS);
        for (list, expected) in [
            ("libc6:amd64", Some(("libc6", "2.36-9"))),
            ("libc6:i386", Some(("libc6:i386", "2.36-9"))),
            ("doc", Some(("doc", "1:2~x"))),
            ("dpkg", Some(("dpkg", "1.21"))),
            ("gone", None),
        ] {
            let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(versions.get(list), expected, "{list}");
        }
    }

    #[test]
    fn either_path_of_a_merged_file() {
        let paths = BTreeSet::from(["/usr/lib/a.so", "/usr/bin/x", "/usr/lib64"]);
        let list = "/.\n/lib\n/lib/a.so\n/usr/bin/x\n/lib64\n/library/usr/lib/a.so\n";
        assert_eq!(
            listed(list, &paths, &["/lib"]),
            ["/usr/lib/a.so", "/usr/bin/x"]
        );
        assert_eq!(listed(list, &paths, &[]), ["/usr/bin/x"]);
    }
}
