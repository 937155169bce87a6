//! `cargo xtask tidy`: checks mechanically what ARCHITECTURE.md promises.
//!
//! `source` reads a Rust file into the facts that rules need (syn, not text search: a path in a
//! comment is no import, an import behind braces is one). `rules` judges a file by them, `tables`
//! holds who may do what, `documents` keeps the written pages in step with the tree.

mod documents;
mod rules;
mod source;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::source::SourceFile;
use crate::{console, workspace};

/// Check the architecture's invariants over the sources and documents
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Something that is not as ARCHITECTURE.md says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// From the workspace's top folder.
    file: String,
    /// 0 for a matter of the whole file.
    line: usize,
    weight: Weight,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Error,
    Warning,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            weight,
            message,
        } = self;
        f.write_str(file)?;
        if *line > 0 {
            write!(f, ":{line}")?;
        }
        match weight {
            Weight::Error => write!(f, ": {message}"),
            Weight::Warning => write!(f, ": warning: {message}"),
        }
    }
}

pub(crate) fn run(Args {}: &Args) -> Result<()> {
    let root = workspace::root();
    let files = read_sources(root)?;
    let mut findings = judge(&files);
    findings.extend(documents::check(root, &files, &crate::task_names()));
    findings.sort();
    for finding in &findings {
        console::line(&finding.to_string());
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.weight == Weight::Error)
        .count();
    if errors > 0 {
        bail!(
            "tidy: {errors} finding(s); ARCHITECTURE.md has the reasons, xtask/src/tidy the tables"
        );
    }
    console::line(&format!(
        "tidy: {} files are as they should be",
        files.len()
    ));
    Ok(())
}

/// Everything that the rules have to say about the files.
fn judge(files: &[SourceFile]) -> Vec<Finding> {
    // `#[cfg(test)] mod x;` makes another file, and those below it, test code.
    let test_modules: BTreeSet<(&str, Vec<String>)> = files
        .iter()
        .flat_map(|file| {
            let krate = file.krate.as_str();
            file.test_modules
                .iter()
                .map(move |module| (krate, module.clone()))
        })
        .collect();
    let is_test = |file: &SourceFile| {
        (1..=file.module.len()).any(|length| {
            test_modules.contains(&(file.krate.as_str(), file.module[..length].to_vec()))
        })
    };
    files
        .iter()
        .flat_map(|file| rules::check(file, is_test(file)))
        .collect()
}

/// The folders of Rust sources.
const PACKAGES: [&str; 7] = [
    "roar-common",
    "roar-ebpf",
    "roar-cli",
    "glaas/api",
    "glaas/server",
    "xtask",
    "tests",
];

fn read_sources(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for package in PACKAGES {
        for part in ["src", "tests"] {
            let folder = root.join(package).join(part);
            for path in rust_files(&folder)? {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let place = path.strip_prefix(root).unwrap_or(&path);
                // Tests beside the sources are judged as the tests package is.
                let krate = if part == "tests" { part } else { package };
                let file = SourceFile::parse(krate, &folder, &path, &text)
                    .with_context(|| format!("{} is not Rust", place.display()))?;
                files.push(file.named(&place.to_string_lossy()));
            }
        }
    }
    Ok(files)
}

/// All Rust files below a folder, sorted; none when it does not exist.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    let failed = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
