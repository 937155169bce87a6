//! Keeps the written pages in step with the tree: what exists is mentioned, what is mentioned
//! exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source::SourceFile;
use super::tables::LAYERS;
use super::{Finding, Weight};

/// The pages that every reader is pointed to.
const PAGES: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "RELIABILITY.md",
    "BENCHMARKS.md",
    "SCHEMA_CHANGES.md",
];

/// All findings over the pages under `root`.
pub(super) fn check(root: &Path, files: &[SourceFile], tasks: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let read = |page: &str| fs::read_to_string(root.join(page)).unwrap_or_default();
    for page in PAGES {
        if read(page).trim().is_empty() {
            findings.push(finding(page, "the page is missing".to_owned()));
        }
    }
    let contributing = read("CONTRIBUTING.md");
    findings.extend(missing_words(
        "CONTRIBUTING.md",
        &contributing,
        tasks.iter().map(|task| format!("cargo xtask {task}")),
    ));
    let readme = read("README.md");
    let commands = fs::read_to_string(root.join("roar-cli/src/commands/mod.rs"));
    let commands = command_names(&commands.unwrap_or_default());
    findings.extend(missing_words(
        "README.md",
        &readme,
        commands.iter().map(|command| format!("roar {command}")),
    ));
    let keys = fs::read_to_string(root.join("roar-cli/src/settings/keys.rs")).unwrap_or_default();
    findings.extend(missing_words(
        "README.md",
        &readme,
        setting_names(&keys).iter().map(|key| format!("`{key}`")),
    ));
    findings.extend(map(&read("ARCHITECTURE.md"), &modules(files)));
    let manifest = read("roar-common/Cargo.toml");
    findings.extend(no_dependencies("roar-common/Cargo.toml", &manifest));
    findings
}

fn finding(file: &str, message: String) -> Finding {
    Finding {
        file: file.to_owned(),
        line: 0,
        weight: Weight::Error,
        message,
    }
}

/// A finding for each word that the page does not have.
pub(super) fn missing_words(
    page: &str,
    text: &str,
    words: impl Iterator<Item = String>,
) -> Vec<Finding> {
    words
        .filter(|word| !has_word(text, word))
        .map(|word| finding(page, format!("does not mention {word}")))
        .collect()
}

/// Whether the text has the word, not as the start of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let after = text[at + word.len()..].chars().next();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_')
    })
}

/// The names of the settings in the table's source: every `name: "section.key"`.
pub(super) fn setting_names(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name: \""))
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// The map in ARCHITECTURE.md names each top module of roar-cli, and no other.
pub(super) fn map(page: &str, modules: &BTreeSet<String>) -> Vec<Finding> {
    let (mut inside, mut mapped) = (false, BTreeSet::new());
    for line in page.lines() {
        if !line.starts_with(' ') {
            inside = line.starts_with("roar-cli/");
        } else if let (true, Some(entry)) = (inside, line.strip_prefix("  ")) {
            let name = entry.split([' ', '/', '.']).next().unwrap_or_default();
            if !name.is_empty() {
                mapped.insert(name.to_owned());
            }
        }
    }
    let unmapped = modules
        .difference(&mapped)
        .map(|module| format!("the map does not have roar-cli's module '{module}'"));
    let gone = mapped
        .difference(modules)
        .map(|module| format!("the map has '{module}', roar-cli has no such module"));
    let unlayered = LAYERS
        .iter()
        .map(|(module, _)| *module)
        .filter(|module| !modules.contains(*module) && *module != "main")
        .map(|module| format!("the layers have '{module}', roar-cli has no such module"));
    unmapped
        .chain(gone)
        .chain(unlayered)
        .map(|message| finding("ARCHITECTURE.md", message))
        .collect()
}

/// The top modules of roar-cli.
fn modules(files: &[SourceFile]) -> BTreeSet<String> {
    files
        .iter()
        .filter(|file| file.krate == "roar-cli")
        .filter_map(|file| file.module.first().cloned())
        .filter(|module| module != "main")
        .collect()
}

/// The subcommands: the variants of `enum Command`.
pub(super) fn command_names(source: &str) -> Vec<String> {
    let items = syn::parse_file(source).map(|file| file.items);
    items
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| match item {
            syn::Item::Enum(item) if item.ident == "Command" => Some(item.variants),
            _ => None,
        })
        .flatten()
        .map(|variant| variant.ident.to_string().to_lowercase())
        .collect()
}

/// The kernel interface must not drag anything in.
pub(super) fn no_dependencies(page: &str, manifest: &str) -> Vec<Finding> {
    let table = manifest.parse::<toml::Table>().unwrap_or_default();
    let has = table
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .is_some_and(|dependencies| !dependencies.is_empty());
    if has {
        vec![finding(page, "must have no dependencies".to_owned())]
    } else {
        Vec::new()
    }
}
