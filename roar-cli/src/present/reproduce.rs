//! What a reproduction would take, and how it goes.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::table::{Cell, Column, Table};
use super::{Style, Terminal, dag, human, inert, shell};
use crate::model::{JobKind, RawString};
use crate::reproduce::inputs::Presence;
use crate::reproduce::machine::OtherPackage;
use crate::reproduce::plan::{NeededInput, Plan, Python};
use crate::reproduce::problems::Weight;
use crate::reproduce::python::Maker;
use crate::reproduce::steps::Progress;

/// So many entries of a list are shown unless all are asked for.
const SHOWN: usize = 20;

/// What was found out about this machine.
#[derive(Debug)]
pub struct Outlook {
    /// By input of the plan.
    pub presences: Vec<Presence>,
    /// How the Python can be had; none when none is needed.
    pub python: Option<Maker>,
    /// System packages that are not as recorded; none where that cannot be told.
    pub other_packages: Option<Vec<OtherPackage>>,
    /// This machine's architecture.
    pub architecture: String,
    /// Parts of the lineage or the code that cannot be had, in words.
    pub gaps: Vec<String>,
    /// What of the lineage is not known for sure, in words.
    pub doubts: Vec<String>,
}

/// A plan to be shown.
#[derive(Debug)]
pub struct PlanView<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// What was found out.
    pub outlook: &'a Outlook,
    /// What the user asked for, as typed.
    pub reference: String,
    /// Nothing is cut.
    pub all: bool,
}

impl PlanView<'_> {
    /// For people.
    pub fn text(&self, terminal: Terminal) -> String {
        let mut text = String::new();
        for target in &self.plan.lineage.targets {
            let hash = target.hash().map(|hash| hash.short().to_owned());
            let size = target.size_bytes.map(human::size).unwrap_or_default();
            let hash = hash.unwrap_or_else(|| "no hash".to_owned());
            let _ = writeln!(
                text,
                "{} {} {size}",
                Style::Heading.paint(&target.path.to_string()),
                Style::Reference.paint(&hash)
            );
        }
        let mut facts = Table::new(vec![Column::new(""), Column::new("").flexible()]).indent(2);
        for (name, fact) in self.facts() {
            facts.row(vec![Cell::new(name, Style::Dim), fact.into()]);
        }
        // What a command will be given is never cut.
        text.push_str(&facts.render(wide(terminal)));
        self.steps(&mut text, terminal);
        self.inputs(&mut text, terminal);
        self.problems(&mut text);
        if self.all {
            self.requirements(&mut text, terminal);
        }
        text
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let plan = self.plan;
        match &plan.source {
            Some(source) => {
                let from = match &source.remote {
                    Some(remote) => inert(remote),
                    None => format!("{} (no remote is recorded)", source.top),
                };
                facts.push(("code", from));
                facts.push(("commit", source.commit.clone()));
            }
            None => facts.push(("code", "no repository is recorded".to_owned())),
        }
        let (mut patches, mut untracked) = (Vec::new(), 0);
        for git in (0..plan.steps.len()).filter_map(|step| plan.job(step).git.as_ref()) {
            if let Some(patch) = &git.patch_hash
                && !patches.contains(patch)
            {
                patches.push(patch.clone());
            }
            untracked = untracked.max(git.untracked.len());
        }
        if !patches.is_empty() {
            let shorts: Vec<&str> = patches.iter().map(|p| p.get(..8).unwrap_or(p)).collect();
            facts.push(("patch", shorts.join(" ")));
        }
        if untracked > 0 {
            facts.push(("untracked", human::count(untracked, "file")));
        }
        if let Some(python) = &plan.python {
            let how = self.outlook.python.as_ref().map(|maker| how(maker, python));
            let how = how.unwrap_or_default();
            facts.push(("python", format!("{} ({how})", python.version)));
            let packages = python.distributions.iter();
            let names: Vec<String> = packages.map(|(name, v)| format!("{name} {v}")).collect();
            if !names.is_empty() {
                facts.push(("packages", self.listed(&names)));
            }
        }
        if !plan.dpkg.is_empty() {
            let total = human::count(plan.dpkg.len(), "package");
            let state = match &self.outlook.other_packages {
                None => "whether they are here cannot be told".to_owned(),
                Some(others) if others.is_empty() => "all here at their versions".to_owned(),
                Some(others) => {
                    let names: Vec<String> = others.iter().map(other_package).collect();
                    format!(
                        "{} not here or of another version (--package-sync installs them): {}",
                        others.len(),
                        self.listed(&names)
                    )
                }
            };
            facts.push(("system", format!("{total}, {state}")));
        }
        if !plan.libraries.is_empty() {
            let libraries = plan.libraries.iter();
            let names: Vec<String> = libraries.map(|(n, v)| format!("{n} {v}")).collect();
            facts.push(("libraries", self.listed(&names)));
        }
        let variables = self.variables();
        if !variables.is_empty() {
            facts.push(("environment", self.listed(&variables)));
        }
        facts
    }

    /// Every variable that a step is given.
    fn variables(&self) -> Vec<String> {
        let mut variables = Vec::new();
        for step in 0..self.plan.steps.len() {
            for (name, value) in &self.plan.job(step).conditions.environment {
                let shown = format!("{}={}", inert(name), shell::quote(value.as_bytes()));
                if !variables.contains(&shown) {
                    variables.push(shown);
                }
            }
        }
        variables
    }

    fn listed(&self, entries: &[String]) -> String {
        if self.all || entries.len() <= SHOWN {
            return entries.join(", ");
        }
        format!(
            "{}, and {} more (--list-requirements)",
            entries[..SHOWN].join(", "),
            entries.len() - SHOWN
        )
    }

    fn steps(&self, text: &mut String, terminal: Terminal) {
        let _ = writeln!(text, "{}", Style::Heading.paint("steps"));
        let mut table = Table::new(vec![
            Column::new("").right(),
            Column::new(""),
            Column::new("").flexible(),
            Column::new("").expendable(1),
        ])
        .indent(2);
        let total = self.plan.steps.len();
        let shown = if self.all {
            total
        } else {
            total.min(2 * SHOWN)
        };
        for (position, step) in self.plan.steps.iter().enumerate().take(shown) {
            let job = self.plan.job(position);
            let mut notes = Vec::new();
            if !step.after.is_empty() {
                notes.push(format!("after {}", ranges(&step.after)));
            }
            if job.cwd != ".".into() {
                notes.push(format!("in {}", job.cwd));
            }
            let build = job.kind == JobKind::Build;
            table.row(vec![
                (position + 1).to_string().into(),
                Cell::new(dag::reference(job.step_number, build), Style::Reference),
                shell::one_line(&job.argv).into(),
                Cell::new(notes.join("; "), Style::Dim),
            ]);
        }
        // What will be run is never cut.
        text.push_str(&table.render(wide(terminal)));
        if shown < total {
            let _ = writeln!(
                text,
                "  and {} more (--list-requirements shows all)",
                total - shown
            );
        }
    }

    fn inputs(&self, text: &mut String, terminal: Terminal) {
        if self.plan.inputs.is_empty() {
            return;
        }
        let title = "inputs that no step makes";
        let _ = writeln!(text, "{}", Style::Heading.paint(title));
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new("").right().expendable(2),
            Column::new("").expendable(1),
            Column::new("").flexible(),
        ])
        .indent(2);
        // Those that are in the way come first.
        let mut inputs: Vec<(&NeededInput, &Presence)> = self
            .plan
            .inputs
            .iter()
            .zip(&self.outlook.presences)
            .collect();
        inputs.sort_by_key(|(_, presence)| rank(presence));
        let total = inputs.len();
        let shown = if self.all {
            total
        } else {
            total.min(2 * SHOWN)
        };
        for (input, presence) in inputs.into_iter().take(shown) {
            let (words, style) = presence_words(presence);
            let hash = input.file.hash().map_or("", |hash| hash.short());
            table.row(vec![
                input.file.path.to_string().into(),
                input
                    .file
                    .size_bytes
                    .map(human::size)
                    .unwrap_or_default()
                    .into(),
                Cell::new(hash, Style::Dim),
                Cell::new(words, style),
            ]);
        }
        text.push_str(&table.render(if self.all { wide(terminal) } else { terminal }));
        if shown < total {
            let _ = writeln!(
                text,
                "  and {} more (--list-requirements shows all)",
                total - shown
            );
        }
    }

    fn problems(&self, text: &mut String) {
        let problems = self.stated_problems();
        if problems.is_empty() {
            return;
        }
        let _ = writeln!(text, "{}", Style::Heading.paint("problems"));
        let total = problems.len();
        let shown = if self.all {
            total
        } else {
            total.min(2 * SHOWN)
        };
        // What is impossible comes first.
        for (weight, line) in problems.into_iter().take(shown) {
            let mark = match weight {
                Weight::Impossible => Style::Bad.paint("impossible:"),
                Weight::Doubtful => Style::Warning.paint("doubtful:"),
            };
            let _ = writeln!(text, "  {mark} {line}");
        }
        if shown < total {
            let _ = writeln!(
                text,
                "  and {} more (--list-requirements shows all)",
                total - shown
            );
        }
    }

    /// Those of the plan, and those of this machine.
    fn stated_problems(&self) -> Vec<(Weight, String)> {
        let mut stated: Vec<(Weight, String)> = self
            .plan
            .problems
            .iter()
            .map(|problem| {
                let line = if problem.steps.is_empty() {
                    problem.text.clone()
                } else {
                    format!("step {}: {}", ranges(&problem.steps), problem.text)
                };
                (problem.weight, line)
            })
            .collect();
        for missing in &self.outlook.gaps {
            stated.push((Weight::Impossible, missing.clone()));
        }
        for doubt in &self.outlook.doubts {
            stated.push((Weight::Doubtful, doubt.clone()));
        }
        let inputs = self.plan.inputs.iter().zip(&self.outlook.presences);
        for (input, presence) in inputs {
            if let Some(text) = crate::reproduce::inputs::obstacle(input, presence) {
                stated.push((Weight::Impossible, text));
            }
            if let Presence::Changed(_) = presence {
                let path = &input.file.path;
                let text = format!("the input '{path}' is not what it was: the result may differ");
                stated.push((Weight::Doubtful, text));
            }
        }
        if let (Some(python), Some(maker)) = (&self.plan.python, &self.outlook.python)
            && maker.is_hopeless()
        {
            let text = format!("Python {} is not to be had here", python.version);
            stated.push((Weight::Impossible, text));
        }
        let mut architectures: Vec<&str> = (0..self.plan.steps.len())
            .map(|step| self.plan.job(step).host.arch.as_str())
            .filter(|arch| !arch.is_empty() && *arch != self.outlook.architecture)
            .collect();
        architectures.dedup();
        if let Some(other) = architectures.first() {
            let text = format!(
                "it was made on {}; this is {}",
                inert(other),
                self.outlook.architecture
            );
            stated.push((Weight::Doubtful, text));
        }
        stated.sort_by_key(|(weight, _)| *weight);
        stated
    }

    fn requirements(&self, text: &mut String, terminal: Terminal) {
        if self.plan.dpkg.is_empty() {
            return;
        }
        let _ = writeln!(text, "{}", Style::Heading.paint("system packages"));
        let others = self.outlook.other_packages.as_deref().unwrap_or(&[]);
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new(""),
            Column::new("").flexible(),
        ])
        .indent(2);
        for (name, version) in &self.plan.dpkg {
            let here = others.iter().find(|other| other.name == *name);
            let note = match here.map(|other| &other.here) {
                None => Cell::new("", Style::Plain),
                Some(None) => Cell::new("not here", Style::Warning),
                Some(Some(version)) => Cell::new(format!("{version} here"), Style::Warning),
            };
            table.row(vec![inert(name).into(), inert(version).into(), note]);
        }
        text.push_str(&table.render(wide(terminal)));
    }

    /// For machines.
    pub fn json(&self) -> String {
        let plan = self.plan;
        let steps: Vec<Value> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(position, step)| {
                let job = plan.job(position);
                let after: Vec<usize> = step.after.iter().map(|step| step + 1).collect();
                json!({
                    "position": position + 1,
                    "step_number": job.step_number,
                    "job_uid": job.uid,
                    "job_type": job.kind,
                    "command": shell::one_line(&job.argv),
                    "argv": job.argv,
                    "cwd": job.cwd,
                    "environment": job.conditions.environment,
                    "after": after,
                })
            })
            .collect();
        let inputs: Vec<Value> = plan
            .inputs
            .iter()
            .zip(&self.outlook.presences)
            .map(|(input, presence)| {
                let steps: Vec<usize> = input.steps.iter().map(|step| step + 1).collect();
                json!({
                    "path": input.file.path,
                    "hash": input.file.hash(),
                    "size": input.file.size_bytes,
                    "steps": steps,
                    "presence": presence_name(presence),
                    "found": found_at(presence).map(RawString::from_path),
                })
            })
            .collect();
        let problems: Vec<Value> = self
            .stated_problems()
            .into_iter()
            .map(|(weight, text)| {
                let weight = match weight {
                    Weight::Impossible => "impossible",
                    Weight::Doubtful => "doubtful",
                };
                json!({"weight": weight, "text": text})
            })
            .collect();
        super::json(&json!({
            "targets": plan.lineage.targets,
            "source": plan.source.as_ref().map(|source| json!({
                "remote": source.remote, "commit": source.commit, "top": source.top,
            })),
            "python": plan.python.as_ref().map(|python| json!({
                "version": python.version, "packages": python.distributions,
                "origins": python.origins,
            })),
            "packages": {"dpkg": plan.dpkg, "libraries": plan.libraries},
            "steps": steps,
            "inputs": inputs,
            "problems": problems,
        }))
    }
}

/// Positions in order, counted from 1: `1, 3-5`.
fn ranges(positions: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in positions.iter().map(|position| position + 1) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let runs = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    runs.collect::<Vec<_>>().join(", ")
}

fn other_package(other: &OtherPackage) -> String {
    let OtherPackage { name, wanted, here } = other;
    let here = here
        .as_ref()
        .map_or(String::new(), |here| format!(" ({here} here)"));
    inert(&format!("{name} {wanted}{here}"))
}

/// How the Python is had.
fn how(maker: &Maker, python: &Python) -> String {
    match (&maker.found, &maker.uv) {
        (Some(found), uv) if found.version == python.version => {
            let by = if uv.is_some() { ", by uv" } else { "" };
            format!("here: {}{by}", found.path.display())
        }
        (Some(found), Some(_)) => format!("by uv, else {} stands in", found.version),
        (None, Some(_)) => "by uv".to_owned(),
        (Some(found), None) => format!("{} stands in: {}", found.version, found.path.display()),
        (None, None) => "not to be had here".to_owned(),
    }
}

/// As wide as a line may get.
fn wide(terminal: Terminal) -> Terminal {
    Terminal {
        width: usize::from(u16::MAX),
        ..terminal
    }
}

fn rank(presence: &Presence) -> u8 {
    match presence {
        Presence::Missing | Presence::Unknown(None) => 0,
        Presence::Changed(_) | Presence::Redacted => 1,
        Presence::Unknown(_) | Presence::Unseen => 2,
        Presence::Kept | Presence::InCommit | Presence::At(_) => 3,
    }
}

fn presence_name(presence: &Presence) -> &'static str {
    match presence {
        Presence::Kept => "kept",
        Presence::InCommit => "in_commit",
        Presence::At(_) => "found",
        Presence::Changed(_) => "changed",
        Presence::Redacted => "redacted",
        Presence::Unseen => "unseen",
        Presence::Missing => "missing",
        Presence::Unknown(_) => "not_hashed",
    }
}

fn found_at(presence: &Presence) -> Option<&std::path::Path> {
    match presence {
        Presence::At(path) | Presence::Changed(path) | Presence::Unknown(Some(path)) => Some(path),
        _ => None,
    }
}

fn presence_words(presence: &Presence) -> (String, Style) {
    let shown = |path: &std::path::Path| RawString::from_path(path).to_string();
    match presence {
        Presence::Kept => ("a copy is kept with the record".to_owned(), Style::Good),
        Presence::InCommit => ("in the commit".to_owned(), Style::Good),
        Presence::At(path) => (format!("here: {}", shown(path)), Style::Good),
        Presence::Redacted => (
            "only a copy without its secrets is kept".to_owned(),
            Style::Warning,
        ),
        Presence::Changed(path) => (
            format!("another content stands at {}", shown(path)),
            Style::Warning,
        ),
        Presence::Unseen => (
            "not found here; the commit may have it".to_owned(),
            Style::Warning,
        ),
        Presence::Missing => ("missing".to_owned(), Style::Bad),
        Presence::Unknown(Some(path)) => (
            format!("was not hashed; taken from {}", shown(path)),
            Style::Warning,
        ),
        Presence::Unknown(None) => ("missing, and was not hashed".to_owned(), Style::Bad),
    }
}

/// What is about to happen, on one line.
pub fn progress_line(plan: &Plan, progress: Progress<'_>) -> String {
    let step_line = |step: usize| {
        let command = shell::one_line(&plan.job(step).argv);
        format!("[{}/{}] {command}", step + 1, plan.steps.len())
    };
    match progress {
        Progress::Code => "fetching the code".to_owned(),
        Progress::Environment => "making the environment".to_owned(),
        Progress::Note(text) => text.to_owned(),
        Progress::Step(step) => step_line(step),
        Progress::Done(step) => format!("{} (done before)", step_line(step)),
        Progress::Anew => {
            "an interrupted step had changed its own inputs: starting again from the first step"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_ranges() {
        for (positions, expected) in [
            (&[][..], ""),
            (&[0], "1"),
            (&[0, 1], "1, 2"),
            (&[0, 2, 3, 4, 8], "1, 3-5, 9"),
        ] {
            assert_eq!(ranges(positions), expected);
        }
    }
}
