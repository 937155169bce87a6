//! Where a content came from, in plain words, and the commands that make it again (`roar why`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::handed::Handed;
use super::lineage::{
    FileDocument, LineageDocument, LineageJob, LineageSource, LineageView, file, step,
};
use super::members::{self, Group};
use super::{Style, human, inert, paths, shell};
use crate::lineage::Place;
use crate::model::{GitState, RawString};

impl LineageView {
    /// The chain in plain words, ending with the commands that make the content again.
    pub fn words(&self, cwd: &Path, now_ns: i64) -> String {
        let mut text = String::new();
        let what = self.described(cwd);
        let handed = Handed::of(self);
        let Some(last) = self.producer() else {
            let line = match handed.edited_after(&self.target) {
                Some(job) => format!(
                    "was written by {} ({}), but has been changed since by something that was not \
                     recorded.",
                    step(job),
                    job.uid
                ),
                None => "came from outside: no recorded job wrote it.".to_owned(),
            };
            let _ = writeln!(text, "{what} {line}");
            return text;
        };
        let mut subject = match handed.moved_from(&self.target, last.summary.id) {
            Some(path) => {
                let path = paths::shown(path, cwd);
                format!("{what} was written, as {path},")
            }
            None => format!("{what} was written"),
        };
        for job in self.jobs.iter().rev() {
            if job.summary.id != last.summary.id {
                let is_on = |output: &&Place| handed.is_on(job, output);
                let names = self.names(job, job.outputs.iter().filter(is_on), true, cwd);
                let verb = if names.files == 1 { "was" } else { "were" };
                subject = format!("{} {verb} written", names.list(self.shown()));
            }
            let _ = writeln!(
                text,
                "{subject} by {} ({}), {}:\n\n    {}\n",
                step(&job.summary),
                job.summary.uid,
                human::ago(job.summary.started_at_ns, now_ns),
                Style::Reference.paint(&shell::join(&job.summary.argv))
            );
            let (ending, style) = super::job::ending(job.summary.state, job.summary.outcome);
            if matches!(style, Style::Bad | Style::Warning) {
                let line = format!("It did not succeed: {ending}.");
                let _ = writeln!(text, "{}", style.paint(&line));
            }
            if job.inputs.is_empty() {
                text.push_str("It read no file that is recorded.\n\n");
            } else {
                let inputs = self.inputs(job).into_iter().map(|(input, _)| input);
                let read = self.names(job, inputs, false, cwd);
                let _ = writeln!(text, "It read {}.\n", read.list(self.shown()));
            }
            let moved = moved(job, &handed);
            for (from, to) in moved.iter().take(self.shown()) {
                let _ = writeln!(
                    text,
                    "{} holds what was written as {}: something that was not recorded moved or \
                     copied it.",
                    paths::shown(to, cwd),
                    paths::shown(from, cwd)
                );
            }
            if let Some(more @ 1..) = moved.len().checked_sub(self.shown()) {
                let _ = writeln!(text, "So it did with {}.", human::count(more, "more file"));
            }
            if !moved.is_empty() {
                text.push('\n');
            }
        }
        text.push_str(&self.origins(cwd));
        if let Some(git) = &self.git {
            let _ = writeln!(text, "The code was {}.\n", code(git));
        }
        if self.cut {
            text.push_str("There is more above; without -d the whole chain is told.\n");
        } else {
            text.push_str("To make it again:\n\n");
            for command in self.commands(&handed, cwd) {
                let _ = writeln!(text, "    {}", Style::Reference.paint(&command));
            }
        }
        text
    }

    /// The names of a job's files, or of some of them.
    fn names<'a>(
        &self,
        job: &'a LineageJob,
        files: impl IntoIterator<Item = &'a Place>,
        produced: bool,
        cwd: &Path,
    ) -> Names {
        let groups = self.lines(files, |file| job.collection_of(file, produced));
        let all = if produced { &job.outputs } else { &job.inputs };
        let name = |group: &Group<'_, &Place>| match (group.collection, group.files.first()) {
            (Some(met), _) => {
                let is_member =
                    |file: &&Place| file.hash.is_some() && file.path.is_below(&met.folder);
                let all = all.iter().filter(is_member).count();
                let count = members::count(group.files.len(), all);
                format!("{} ({count})", members::folder(met, cwd))
            }
            (None, Some(file)) => paths::shown(&file.path, cwd),
            (None, None) => String::new(),
        };
        Names {
            files: groups.iter().map(|group| group.files.len()).sum(),
            names: groups.iter().map(name).collect(),
        }
    }

    /// What came from outside.
    fn origins(&self, cwd: &Path) -> String {
        let (edited, mut outside): (Vec<&LineageSource>, Vec<&LineageSource>) = self
            .sources
            .iter()
            .partition(|source| source.edited_after.is_some());
        let mut text = String::new();
        for source in edited {
            if let Some(job) = &source.edited_after {
                let _ = writeln!(
                    text,
                    "{} was written by {} ({}), but had been changed by something that was not \
                     recorded before it was read.",
                    paths::shown(&source.place.path, cwd),
                    step(job),
                    job.uid
                );
            }
        }
        outside.sort_by_key(|source| !self.is_own(&source.place.path));
        let groups = self.lines(outside, |source| {
            let reader = self.job(source.reader?)?;
            reader.collection_of(&source.place, false)
        });
        let name = |group: &Group<'_, &LineageSource>| match (group.collection, &group.files[..]) {
            (Some(met), members) => {
                let count = human::count(members.len(), "file");
                format!("{} ({count})", members::folder(met, cwd))
            }
            (None, [source, ..]) => paths::shown(&source.place.path, cwd),
            (None, []) => String::new(),
        };
        let names = Names {
            files: groups.iter().map(|group| group.files.len()).sum(),
            names: groups.iter().map(name).collect(),
        };
        if groups.len() > self.shown() {
            let list = names.list(self.shown());
            let _ = writeln!(
                text,
                "{list} came from outside: no recorded job wrote them."
            );
        } else {
            for (group, name) in groups.iter().zip(names.names) {
                let it = if group.collection.is_some() {
                    "them"
                } else {
                    "it"
                };
                let _ = writeln!(
                    text,
                    "{name} came from outside: no recorded job wrote {it}."
                );
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// The commands that make the content again, for a shell in `cwd`; what was moved or copied
    /// on the way is copied.
    fn commands<'a>(&'a self, handed: &Handed<'a>, cwd: &Path) -> Vec<String> {
        let mut commands = Vec::new();
        for job in &self.jobs {
            let moved = moved(job, handed);
            commands.extend(moved.iter().map(|(from, to)| copy(from, to, cwd)));
            let command = shell::join(&job.summary.argv);
            let folder: PathBuf = if job.summary.cwd.as_bytes() == b"." {
                self.project_root.clone()
            } else {
                self.project_root.join(job.summary.cwd.to_path_buf())
            };
            commands.push(if folder == cwd {
                command
            } else {
                let folder = RawString::from_path(&folder);
                format!("(cd {} && {command})", shell::quote(folder.as_bytes()))
            });
        }
        let last = self.producer().map(|job| job.summary.id);
        if let Some(from) = last.and_then(|last| handed.moved_from(&self.target, last)) {
            commands.push(copy(from, &self.target.path, cwd));
        }
        commands
    }

    /// The document of `why`: that of `lineage`, what came from outside, and the commands.
    pub fn why_json(&self, cwd: &Path) -> String {
        super::json(&WhyDocument {
            lineage: self.document(),
            sources: self
                .sources
                .iter()
                .map(|source| SourceDocument {
                    file: file(&source.place),
                    edited_after: source.edited_after.as_ref().map(|job| job.uid.as_str()),
                })
                .collect(),
            commands: self.commands(&Handed::of(self), cwd),
        })
    }
}

/// What a job read that had been moved or copied since it was written: from where to where.
fn moved<'a>(job: &'a LineageJob, handed: &Handed<'a>) -> Vec<(&'a RawString, &'a RawString)> {
    let inputs = job.inputs.iter().zip(&job.producers);
    inputs
        .filter_map(|(input, producer)| {
            Some((handed.moved_from(input, (*producer)?)?, &input.path))
        })
        .collect()
}

/// The command that copies a file to where it was read.
fn copy(from: &RawString, to: &RawString, cwd: &Path) -> String {
    let quoted = |path: &Path| {
        let path = path.strip_prefix(cwd).unwrap_or(path);
        shell::quote(RawString::from_path(path).as_bytes())
    };
    let (from, to) = (from.as_path(), to.as_path());
    let copy = format!("cp -- {} {}", quoted(&from), quoted(&to));
    match to.parent() {
        Some(folder) if from.parent() != Some(folder) && folder != cwd => {
            format!("mkdir -p -- {} && {copy}", quoted(folder))
        }
        _ => copy,
    }
}

/// Names in a sentence.
struct Names {
    names: Vec<String>,
    /// How many files they stand for.
    files: usize,
}

impl Names {
    /// `a`, `a and b`, `a, b and 7 more`: at most so many names.
    fn list(&self, shown: usize) -> String {
        match self.names.as_slice() {
            [] => "something".to_owned(),
            [one] => one.clone(),
            [most @ .., last] if self.names.len() <= shown => {
                format!("{} and {last}", most.join(", "))
            }
            all => format!("{} and {} more", all[..shown].join(", "), all.len() - shown),
        }
    }
}

fn code(git: &GitState) -> String {
    let mut text = git.commit.as_deref().map_or_else(
        || "not committed yet".to_owned(),
        |commit| format!("commit {}", inert(commit.get(..12).unwrap_or(commit))),
    );
    if let Some(branch) = &git.branch {
        let _ = write!(text, " on {}", inert(branch));
    }
    if git.dirty {
        text.push_str(", with uncommitted changes");
    }
    text
}

#[derive(Serialize)]
struct WhyDocument<'a> {
    #[serde(flatten)]
    lineage: LineageDocument<'a>,
    sources: Vec<SourceDocument<'a>>,
    commands: Vec<String>,
}

#[derive(Serialize)]
struct SourceDocument<'a> {
    #[serde(flatten)]
    file: FileDocument<'a>,
    edited_after: Option<&'a str>,
}
