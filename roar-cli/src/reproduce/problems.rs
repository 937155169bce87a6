//! What is known to stand against making a lineage again, before anything is tried.

use super::plan::Source;
use super::trust::{is_cloneable, is_commit};
use super::{places, secrets};
use crate::model::{GitCondition, GitState, PortableJob, RawString, RedactedPlace};

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It cannot be done.
    Impossible,
    /// It can be tried, but the result may differ.
    Doubtful,
}

/// Something that stands against a reproduction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How much.
    pub weight: Weight,
    /// Positions of the steps it concerns; none when it concerns all.
    pub steps: Vec<usize>,
    /// In words.
    pub text: String,
}

/// Problems, each told once for all the steps it concerns.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
}

impl Found {
    pub(super) fn add(&mut self, weight: Weight, step: usize, text: String) {
        match self.problems.iter_mut().find(|known| known.text == text) {
            Some(known) => {
                if known.steps.last() != Some(&step) {
                    known.steps.push(step);
                }
            }
            None => self.problems.push(Problem {
                weight,
                steps: vec![step],
                text,
            }),
        }
    }

    pub(super) fn look_at(&mut self, step: usize, job: &PortableJob, source: Option<&Source>) {
        use Weight::{Doubtful, Impossible};
        if job.argv.is_empty() {
            self.add(Impossible, step, "no command is recorded".to_owned());
        }
        if job.duration_ns.is_none() {
            let text = "roar was killed while it ran: what it read and wrote is not known";
            self.add(Impossible, step, text.to_owned());
        } else if !job.complete {
            let text = "its record is incomplete: it may need more than is known";
            self.add(Doubtful, step, text.to_owned());
        }
        if !job.outcome.succeeded() && job.duration_ns.is_some() {
            let how = match (job.outcome.exit_code, job.outcome.signal) {
                (_, Some(signal)) => format!("it was killed by signal {signal}"),
                (Some(code), None) => format!("it failed with status {code}"),
                (None, None) => "how it ended is not known".to_owned(),
            };
            self.add(Doubtful, step, how);
        }
        for file in job.inputs.iter().chain(&job.outputs) {
            if !places::is_usable(file) {
                let text = format!("the path '{}' cannot be used", file.path);
                self.add(Impossible, step, text);
            }
        }
        if places::folder_of(&job.cwd).is_err() {
            let text = format!("the folder '{}' cannot be used", job.cwd);
            self.add(Impossible, step, text);
        }
        for file in job.outputs.iter().filter(|file| file.is_outside()) {
            let text = format!(
                "it wrote '{}', outside of the project: its arguments are given a place within",
                file.path
            );
            self.add(Doubtful, step, text);
        }
        for hidden in secrets::hidden(step, job) {
            self.add(Impossible, step, hidden.problem());
        }
        for redaction in &job.conditions.redactions {
            if let RedactedPlace::Variable { name } = &redaction.place {
                let name = RawString::from(&**name);
                let text =
                    format!("the value of ${name} was a secret: it is taken as it is set here");
                self.add(Doubtful, step, text);
            }
        }
        if let Some(launch) = job.conditions.launch.as_ref().filter(|l| l.id.is_some()) {
            let world = launch.world_size.unwrap_or(0);
            let text = format!(
                "it is part of a distributed launch ({}, {world} ranks) that may have used \
                 several machines",
                RawString::from(&*launch.kind)
            );
            self.add(Doubtful, step, text);
        }
        match &job.git {
            None => {
                let text = "it ran outside git: its code is to be had only where its files are";
                self.add(Doubtful, step, text.to_owned());
            }
            Some(git) => self.look_at_code(step, git, source),
        }
    }

    fn look_at_code(&mut self, step: usize, git: &GitState, source: Option<&Source>) {
        use Weight::{Doubtful, Impossible};
        match git.commit.as_deref() {
            None => {
                let text = "its repository had no commit yet";
                self.add(Impossible, step, text.to_owned());
            }
            Some(commit) if !is_commit(commit) => {
                let text = format!("'{}' is no commit", RawString::from(commit));
                self.add(Impossible, step, text);
            }
            Some(_) => {}
        }
        match &git.remote {
            Some(url) if !is_cloneable(url) => {
                let text = format!("'{}' cannot be cloned from", RawString::from(&**url));
                self.add(Impossible, step, text);
            }
            Some(url)
                if source
                    .and_then(|s| s.remote.as_ref())
                    .is_some_and(|r| r != url) =>
            {
                let text = format!(
                    "its code is of another repository ({})",
                    RawString::from(&**url)
                );
                self.add(Doubtful, step, text);
            }
            _ => {}
        }
        if git.dirty && git.patch_hash.is_none() {
            let note = git.patch_note.as_deref().unwrap_or("not recorded");
            let text = format!(
                "its uncommitted changes were not kept ({})",
                RawString::from(note)
            );
            self.add(Impossible, step, text);
        } else if git.patch_redacted {
            let text = "secrets were taken out of its patch: the code is not quite the same";
            self.add(Doubtful, step, text.to_owned());
        } else if let Some(note) = &git.patch_note {
            let text = format!("its patch: {}", RawString::from(&**note));
            self.add(Doubtful, step, text);
        }
        for file in &git.untracked {
            if places::place_of(&file.path).is_err() {
                let text = format!("the path '{}' cannot be used", file.path);
                self.add(Impossible, step, text);
            } else if file.redacted {
                let text = format!("secrets were taken out of the copy of '{}'", file.path);
                self.add(Doubtful, step, text);
            }
        }
        for module in &git.submodules {
            if places::place_of(&module.path).is_err() {
                let text = format!("the path '{}' cannot be used", module.path);
                self.add(Impossible, step, text);
            }
            if module
                .checked_out
                .as_deref()
                .is_some_and(|at| at != module.commit)
            {
                let text = format!(
                    "the submodule '{}' was not at the commit that the repository records",
                    module.path
                );
                self.add(Doubtful, step, text);
            }
        }
        for (condition, text) in [
            (
                GitCondition::Lfs,
                "files are kept by git LFS, which must be installed",
            ),
            (GitCondition::Conflict, "files had conflicts"),
            (GitCondition::InProgress, "a merge or rebase was under way"),
            (GitCondition::Bare, "its repository is bare"),
        ] {
            if git.conditions.contains(&condition) {
                self.add(Doubtful, step, text.to_owned());
            }
        }
    }
}
