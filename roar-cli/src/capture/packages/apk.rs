//! Alpine's database: one text with a paragraph for each package (`P:` name, `V:` version, `F:`
//! folder, `R:` file in it).

use std::fs;

use super::index::{Listed, Merged, Package, hash};

/// The database.
pub(super) const DATABASE: &str = "/lib/apk/db/installed";

/// Every package with its files; none when the database cannot be read.
pub(super) fn packages() -> Option<Vec<Listed>> {
    let text = fs::read(DATABASE).ok()?;
    let listed = parse(&String::from_utf8_lossy(&text), &Merged::here());
    (!listed.is_empty() || text.is_empty()).then_some(listed)
}

fn parse(text: &str, merged: &Merged) -> Vec<Listed> {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let (mut package, mut files, mut folder) = (Package::default(), Vec::new(), "");
        for line in paragraph.lines() {
            match line.split_once(':') {
                Some(("P", name)) => name.clone_into(&mut package.0),
                Some(("V", number)) => number.clone_into(&mut package.1),
                Some(("F", path)) => folder = path,
                Some(("R", name)) if folder.is_empty() => files.push(hash(&format!("/{name}"))),
                Some(("R", name)) => files.push(hash(&merged.real(&format!("/{folder}/{name}")))),
                _ => {}
            }
        }
        (package, files)
    });
    paragraphs
        .filter(|(package, _)| !package.0.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_their_folders() {
        let text = "C:Q1\nP:musl\nV:1.2.4-r2\nF:opt\nR:ld-musl.so.1\na:0:0:755\n\n\
            P:busybox\nV:1.36-r5\nF:\nR:init\nF:opt/bin\nR:busybox\nF:etc\nR:securetty\n\n";
        let package = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let files = |files: &[&str]| files.iter().map(|path| hash(path)).collect();
        let expected: Vec<Listed> = vec![
            (package("musl", "1.2.4-r2"), files(&["/opt/ld-musl.so.1"])),
            (
                package("busybox", "1.36-r5"),
                files(&["/init", "/opt/bin/busybox", "/etc/securetty"]),
            ),
        ];
        assert_eq!(parse(text, &Merged::here()), expected);
    }
}
