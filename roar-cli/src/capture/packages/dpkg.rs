//! dpkg's database: `/var/lib/dpkg/info/*.list` has the files of each package, `status` its version,
//! `diversions` what is elsewhere than listed.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;

use super::index::{Listed, Merged, Package, hash};

/// The folder of the lists.
pub(super) const LISTS: &str = "/var/lib/dpkg/info";

/// The file of the versions.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";

/// Files that one package has put in the place of another one's (dpkg-divert(1)).
pub(super) const DIVERSIONS: &str = "/var/lib/dpkg/diversions";

/// Every package with its files, by the paths where they really are; none when the database cannot be
/// read.
pub(super) fn packages() -> Option<Vec<Listed>> {
    let entries = fs::read_dir(LISTS).ok()?;
    let mut lists: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    lists.retain(|path| path.extension().is_some_and(|e| e == "list"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = text(fs::read(STATUS).ok()?);
    let diversions = text(fs::read(DIVERSIONS).unwrap_or_default());
    let (versions, diversions) = (Versions::of(&status), Diversions::of(&diversions));
    let merged = Merged::here();
    let listed = lists.par_iter().filter_map(|list| {
        let name = list.file_stem()?.to_str()?;
        let package = versions.get(name)?;
        let text = fs::read(list).ok()?;
        let paths = String::from_utf8_lossy(&text);
        let paths = paths.lines().map(|path| {
            let path = diversions.real(path, name);
            hash(&merged.real(path))
        });
        Some((package, paths.collect()))
    });
    let listed: Vec<Listed> = listed.collect();
    // Lists of no package that is known: the one text, or the other, is not what it should be.
    (!listed.is_empty() || lists.is_empty()).then_some(listed)
}

/// Who has diverted which file to where.
struct Diversions<'a>(HashMap<&'a str, (&'a str, &'a str)>);

impl<'a> Diversions<'a> {
    /// Three lines each: the file, where it is now, and the package in whose favour.
    fn of(text: &'a str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let of_three = lines.chunks_exact(3).filter_map(|three| match three {
            [from, to, package] => Some((*from, (*to, *package))),
            _ => None,
        });
        Self(of_three.collect())
    }

    /// Where the file is that a list names.
    fn real<'p>(&self, path: &'p str, list: &str) -> &'p str
    where
        'a: 'p,
    {
        let package = list.split(':').next().unwrap_or_default();
        match self.0.get(path) {
            Some((to, diverter)) if *diverter != package => to,
            _ => path,
        }
    }
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
    fn diverted_files() {
        let text = "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/x.real\n:\n/cut\n";
        let diversions = Diversions::of(text);
        for (path, list, expected) in [
            ("/bin/sh", "dash", "/bin/sh"),
            ("/bin/sh", "dash:amd64", "/bin/sh"),
            ("/bin/sh", "bash", "/bin/sh.distrib"),
            ("/usr/bin/x", "y", "/usr/bin/x.real"),
            ("/usr/bin/y", "y", "/usr/bin/y"),
            ("/cut", "y", "/cut"),
        ] {
            assert_eq!(diversions.real(path, list), expected, "{path} of {list}");
        }
    }
}
