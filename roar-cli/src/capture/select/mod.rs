//! What counts: observed files become inputs, outputs, and accesses kept out by a filter.
//!
//! Pure: the observation, the settings and [`Facts`] gathered beforehand decide; no file is looked
//! at. Nothing is lost: whatever is neither input nor output stands in `filtered`, with the
//! settings key or the rule that put it there.
//!
//! The first rule that fits decides, for reading and for writing separately:
//!
//! | rule | keeps out |
//! |---|---|
//! | `roar` | the project's `.roar/` |
//! | `git` | repositories: `.git`, and the inside of bare ones |
//! | `kernel` | `/proc`, `/sys`, `/dev` (not `/dev/shm`) |
//! | `namespace` | files written where only the command's own mounts show them |
//! | `temporary` | files that came and went within the job |
//! | `filters.ignore_paths` | what the user's patterns match |
//! | `filters.ignore_torch_cache` | compiler caches |
//! | `filters.ignore_package_reads` | installed packages and language runtimes, read or written |
//! | `filters.ignore_system_reads` | system files that are read; bookkeeping under `/var` and `/run` either way |
//! | `filters.ignore_tmp_files` | what the job WROTE to temporary folders; what was there before stays an input |
//! | `filters.ignore_library_caches` | hidden files of the home folder, but for downloaded models and data |
//! | `redirect` | what stood in a log before, when the caller's shell appends the command's output to it |
//! | `output.track_repo_files` | code tracked by git that is read: the commit identifies it |
//!
//! A file inside the project is judged by its path below the project: a project may live under
//! `/tmp`, `/usr/src` or `~/.cache` and is not filtered for that.

mod code;
mod patterns;
mod places;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use crate::event::PathQuality;
use crate::model::{FileAccess, FilteredRecord, RawString};
use crate::observe::{Input, InputCause, Observation, ObservedFile, Output};
use crate::settings::Settings;

use patterns::Patterns;
use places::Place;

/// What has to be known besides the observation. All paths are absolute and real.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The project's folder.
    pub project_root: RawString,
    /// The user's home folder.
    pub home: Option<RawString>,
    /// Folders for temporary files.
    pub temporary_folders: Vec<RawString>,
    /// The files that the caller's shell redirected roar's own stdout and stderr to.
    pub redirects: Vec<RawString>,
    /// Those of the observed paths that git tracks.
    pub tracked: HashSet<RawString>,
}

/// A consumed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedInput<'a> {
    /// The file.
    pub file: &'a ObservedFile,
    /// Its role as an input.
    pub input: &'a Input,
}

/// A produced file, under one of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedOutput<'a> {
    /// The file.
    pub file: &'a ObservedFile,
    /// Its role as an output.
    pub output: &'a Output,
    /// The name: the output's path or one of its links.
    pub path: &'a RawString,
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected<'a> {
    /// Consumed files.
    pub inputs: Vec<SelectedInput<'a>>,
    /// Produced files.
    pub outputs: Vec<SelectedOutput<'a>>,
    /// Everything else, and by what.
    pub filtered: Vec<FilteredRecord>,
}

/// Sorts observed files into inputs, outputs and filtered accesses; a file updated in place can be
/// input and output.
pub fn select<'a>(
    observation: &'a Observation,
    settings: &Settings,
    facts: &Facts,
) -> Selected<'a> {
    let rules = Rules {
        settings,
        facts,
        patterns: &Patterns::new(&settings.filters.ignore_paths, facts.home.as_ref()),
        prefixes: &places::language_prefixes(&observation.files, facts),
    };
    let mut selected = Selected::default();
    for file in &observation.files {
        rules.place(file, &mut selected);
    }
    selected
        .filtered
        .extend(observation.temporaries.iter().map(|file| FilteredRecord {
            path: file.path.clone(),
            access: FileAccess::Temporary,
            by: "temporary".to_owned(),
        }));
    selected
}

/// Whether files may become inputs or outputs, as far as their paths alone tell: for work that is
/// done before the job has ended. What it lets through may still be filtered in the end.
pub struct Glance {
    settings: Settings,
    facts: Facts,
    patterns: Patterns,
    prefixes: BTreeSet<Vec<u8>>,
}

impl Glance {
    /// One for these settings and facts.
    pub fn new(settings: &Settings, facts: &Facts) -> Self {
        Self {
            patterns: Patterns::new(&settings.filters.ignore_paths, facts.home.as_ref()),
            settings: settings.clone(),
            facts: facts.clone(),
            prefixes: BTreeSet::new(),
        }
    }

    /// Whether a file that was read or written may count.
    pub fn may_count(&self, path: &RawString, was_written: bool) -> bool {
        let rules = Rules {
            settings: &self.settings,
            facts: &self.facts,
            patterns: &self.patterns,
            prefixes: &self.prefixes,
        };
        let by = if was_written {
            rules.write_rule(path)
        } else {
            rules.read_place_rule(path)
        };
        by.is_none()
    }
}

/// Everything a rule may look at.
struct Rules<'a> {
    settings: &'a Settings,
    facts: &'a Facts,
    patterns: &'a Patterns,
    /// Where language runtimes and virtual environments are installed.
    prefixes: &'a BTreeSet<Vec<u8>>,
}

impl Rules<'_> {
    fn place<'a>(&self, file: &'a ObservedFile, selected: &mut Selected<'a>) {
        let write_rule = |path| {
            let is_foreign = |output: &Output| output.quality == PathQuality::Foreign;
            if file.output.as_ref().is_some_and(is_foreign) {
                return Some("namespace");
            }
            self.write_rule(path)
        };
        let read = file.input.as_ref().and_then(|input| {
            // What was only written to, without having been emptied, is judged as the output
            // that it is: an appended log is no data that the job consumed.
            let appended = match (input.cause, &file.output) {
                (InputCause::Kept, Some(output)) => write_rule(&output.path).or_else(|| {
                    // The command did not choose the file, and cannot know what is in it.
                    let redirected = self.facts.redirects.contains(&output.path);
                    redirected.then_some("redirect")
                }),
                _ => None,
            };
            let by = appended.or_else(|| self.read_rule(input));
            if by.is_none() {
                selected.inputs.push(SelectedInput { file, input });
            }
            by.map(|by| (&input.path, by))
        });
        let mut kept_out: Vec<(&RawString, FileAccess, &str)> = Vec::new();
        if let Some(output) = &file.output {
            for path in std::iter::once(&output.path).chain(&output.links) {
                match write_rule(path) {
                    None => selected.outputs.push(SelectedOutput { file, output, path }),
                    Some(by) if read == Some((path, by)) => {
                        kept_out.push((path, FileAccess::ReadWrite, by));
                    }
                    Some(by) => kept_out.push((path, FileAccess::Write, by)),
                }
            }
        }
        if let Some((path, by)) = read
            && !kept_out
                .iter()
                .any(|(_, access, _)| *access == FileAccess::ReadWrite)
        {
            kept_out.push((path, FileAccess::Read, by));
        }
        selected.filtered.extend(
            kept_out
                .into_iter()
                .map(|(path, access, by)| FilteredRecord {
                    path: path.clone(),
                    access,
                    by: by.to_owned(),
                }),
        );
    }

    /// What keeps the file from being an input.
    fn read_rule(&self, input: &Input) -> Option<&'static str> {
        if let Some(by) = self.read_place_rule(&input.path) {
            return Some(by);
        }
        let is_code = || {
            self.facts.tracked.contains(&input.path) && code::is_code(&input.path, input.basis())
        };
        if !self.settings.output.track_repo_files && is_code() {
            return Some("output.track_repo_files");
        }
        None
    }

    /// What keeps any file at this path from being an input.
    fn read_place_rule(&self, path: &RawString) -> Option<&'static str> {
        let filters = &self.settings.filters;
        let place = Place::of(path.as_bytes(), self.facts, self.prefixes);
        if let Some(by) = self.either_rule(path, &place) {
            return Some(by);
        }
        if filters.ignore_system_reads && place.is_system() {
            return Some("filters.ignore_system_reads");
        }
        if filters.ignore_library_caches && place.is_library_cache() {
            return Some("filters.ignore_library_caches");
        }
        None
    }

    /// What keeps the file from being an output.
    fn write_rule(&self, path: &RawString) -> Option<&'static str> {
        let filters = &self.settings.filters;
        let place = Place::of(path.as_bytes(), self.facts, self.prefixes);
        if let Some(by) = self.either_rule(path, &place) {
            return Some(by);
        }
        if filters.ignore_system_reads && place.is_system_bookkeeping() {
            return Some("filters.ignore_system_reads");
        }
        if filters.ignore_tmp_files && place.is_temporary() {
            return Some("filters.ignore_tmp_files");
        }
        if filters.ignore_library_caches && place.is_library_cache() {
            return Some("filters.ignore_library_caches");
        }
        None
    }

    /// The rules that do not care about the direction.
    fn either_rule(&self, path: &RawString, place: &Place<'_>) -> Option<&'static str> {
        let filters = &self.settings.filters;
        if place.is_roar() {
            return Some("roar");
        }
        if place.is_git() {
            return Some("git");
        }
        if place.is_kernel() {
            return Some("kernel");
        }
        if self.patterns.matches(path, &self.facts.project_root) {
            return Some("filters.ignore_paths");
        }
        if filters.ignore_torch_cache && place.is_torch_cache() {
            return Some("filters.ignore_torch_cache");
        }
        if filters.ignore_package_reads && place.is_package() {
            return Some("filters.ignore_package_reads");
        }
        None
    }
}
