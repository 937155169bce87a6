//! Old places in texts, replaced by new ones: a command that names files by absolute paths is to
//! find them where they are now.

use std::path::{Path, PathBuf};

use super::places::{self, ENVIRONMENT};
use super::plan::Plan;
use crate::model::{PortableFile, PortableJob, RawString};

/// What is replaced by what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebase {
    /// The longest first.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Rebase {
    /// Adds a place and where it is now. A place that says nothing (`/`, a relative one) is left
    /// alone.
    pub fn add(&mut self, from: &RawString, to: &RawString) {
        let from = from.as_bytes();
        let from = from.strip_suffix(b"/").unwrap_or(from);
        if from.len() < 2 || !from.starts_with(b"/") || from == to.as_bytes() {
            return;
        }
        if self.pairs.iter().any(|(known, _)| known == from) {
            return;
        }
        self.pairs.push((from.to_vec(), to.as_bytes().to_vec()));
        self.pairs
            .sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    }

    /// The text with every old place replaced, wherever a path may begin and end.
    pub fn apply(&self, text: &RawString) -> RawString {
        let bytes = text.as_bytes();
        let mut result = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let begins = bytes[at] == b'/' && (at == 0 || !is_path_byte(bytes[at - 1]));
            let found = self.pairs.iter().filter(|_| begins).find(|(from, _)| {
                let rest = bytes[at..].strip_prefix(from.as_slice());
                rest.is_some_and(|rest| {
                    rest.first()
                        .is_none_or(|next| *next == b'/' || !is_path_byte(*next))
                })
            });
            if let Some((from, to)) = found {
                result.extend_from_slice(to);
                at += from.len();
            } else {
                result.push(bytes[at]);
                at += 1;
            }
        }
        RawString::new(result)
    }
}

/// Where the places of a job are in a reproduction below `root`.
pub fn rebase(plan: &Plan, job: &PortableJob, root: &Path) -> Rebase {
    let mut rebase = Rebase::default();
    if let Some(python) = &plan.python {
        let here = RawString::from_path(&root.join(ENVIRONMENT));
        for prefix in &python.prefixes {
            rebase.add(prefix, &here);
        }
    }
    rebase.add(&job.root, &RawString::from_path(root));
    for file in job.inputs.iter().chain(&job.outputs) {
        if !file.is_outside() {
            continue;
        }
        if let Ok(place) = places::place_of(&file.path) {
            rebase.add(&file.path, &RawString::from_path(&root.join(place)));
        }
        for folder in named_folders(job, file) {
            let folder = RawString::from_path(&folder);
            if let Ok(place) = places::place_of(&folder) {
                rebase.add(&folder, &RawString::from_path(&root.join(place)));
            }
        }
    }
    if job.cwd.as_bytes().starts_with(b"/")
        && let Ok(place) = places::folder_of(&job.cwd)
    {
        rebase.add(&job.cwd, &RawString::from_path(&root.join(place)));
    }
    rebase
}

/// Folders around a file that the command names: a dataset is given by its folder. Those of the
/// system are not: everything is in them.
fn named_folders(job: &PortableJob, file: &PortableFile) -> Vec<PathBuf> {
    let path = file.path.to_path_buf();
    path.ancestors()
        .skip(1)
        .filter(|folder| folder.components().count() > 2)
        .filter(|folder| {
            let folder = RawString::from_path(folder);
            let mut texts = job.argv.iter().chain(job.conditions.environment.values());
            texts.any(|text| names(text, &folder))
        })
        .map(Path::to_path_buf)
        .collect()
}

/// Whether a text names exactly this folder or file, and not only something in it.
fn names(text: &RawString, place: &RawString) -> bool {
    let (bytes, place) = (text.as_bytes(), place.as_bytes());
    memchr::memmem::find_iter(bytes, place).any(|at| {
        let begins = at == 0 || !is_path_byte(bytes[at - 1]);
        let rest = &bytes[at + place.len()..];
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        begins && rest.first().is_none_or(|next| !is_path_byte(*next))
    })
}

/// Whether a byte commonly belongs to the name of a file. Signs that separate paths from each
/// other and from options do not.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+~%@".contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names() {
        for (text, expected) in [
            ("/data/set", true),
            ("--data=/data/set/", true),
            ("cat /data/set /x", true),
            ("/data/set/x.csv", false),
            ("/data/sets", false),
            ("/mnt/data/set", false),
        ] {
            assert_eq!(names(&text.into(), &"/data/set".into()), expected, "{text}");
        }
    }

    #[test]
    fn places_in_texts() {
        let mut rebase = Rebase::default();
        rebase.add(&"/home/a/p".into(), &"/out".into());
        rebase.add(&"/home/a/p/.venv".into(), &"/env".into());
        rebase.add(&"/data/x.csv".into(), &"/out/.outside/data/x.csv".into());
        rebase.add(&"/".into(), &"/no".into());
        for (text, expected) in [
            ("/home/a/p", "/out"),
            ("/home/a/p/train.py", "/out/train.py"),
            ("--data=/home/a/p/d", "--data=/out/d"),
            ("/home/a/p/.venv/bin/python", "/env/bin/python"),
            ("/home/a/p/.venvs/x", "/out/.venvs/x"),
            ("/home/a/pq", "/home/a/pq"),
            ("/mnt/home/a/p", "/mnt/home/a/p"),
            ("cat '/home/a/p/x' >/home/a/p/y", "cat '/out/x' >/out/y"),
            ("/x:/home/a/p:/home/a/p/lib", "/x:/out:/out/lib"),
            ("/data/x.csv", "/out/.outside/data/x.csv"),
            ("/data/x.csv.gz", "/data/x.csv.gz"),
            ("relative", "relative"),
        ] {
            assert_eq!(rebase.apply(&text.into()), expected.into(), "{text}");
        }
    }
}
