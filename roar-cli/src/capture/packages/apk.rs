//! Alpine's database: one text with a paragraph for each package (`P:` name, `V:` version, `F:`
//! folder, `R:` file in it).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::system::Package;

/// The database.
pub(super) const DATABASE: &str = "/lib/apk/db/installed";

/// The owners of these paths.
pub(super) fn owners(paths: &BTreeSet<&str>) -> BTreeMap<String, Package> {
    fs::read_to_string(DATABASE)
        .map(|text| find(&text, paths))
        .unwrap_or_default()
}

fn find(text: &str, paths: &BTreeSet<&str>) -> BTreeMap<String, Package> {
    let mut found = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let (mut package, mut version, mut folder) = ("", "", "");
        for line in paragraph.lines() {
            match line.split_once(':') {
                Some(("P", name)) => package = name,
                Some(("V", number)) => version = number,
                Some(("F", path)) => folder = path,
                Some(("R", name)) => {
                    let path = format!("/{folder}/{name}");
                    if paths.contains(path.as_str()) {
                        found.insert(path, (package.to_owned(), version.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_their_folders() {
        let text = "C:Q1\nP:musl\nV:1.2.4-r2\nF:lib\nR:ld-musl.so.1\na:0:0:755\n\n\
            P:busybox\nV:1.36-r5\nF:bin\nR:busybox\nF:etc\nR:securetty\n";
        let paths = BTreeSet::from(["/lib/ld-musl.so.1", "/bin/busybox", "/bin/sh"]);
        let found = find(text, &paths);
        let package = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(found.len(), 2);
        assert_eq!(found["/lib/ld-musl.so.1"], package("musl", "1.2.4-r2"));
        assert_eq!(found["/bin/busybox"], package("busybox", "1.36-r5"));
    }
}
