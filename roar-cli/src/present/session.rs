//! A session: its overview (`roar show`) and how the files on disk compare (`roar status`).

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::dag::{reference, state_style};
use super::job::{Facts, ending};
use super::table::{Cell, Column, Table};
use super::{Style, Terminal, human, inert, paths, shell};
use crate::lineage::{StaleInput, StepState};
use crate::model::{Digest, GitState, JobKind, JobState, RawString, Session};
use crate::store::JobSummary;

/// A session with its steps.
#[derive(Clone, Copy, Debug)]
pub struct SessionView<'a> {
    /// The session.
    pub session: &'a Session,
    /// Its steps, by number.
    pub steps: &'a [StepLine],
}

/// A step of a session.
#[derive(Clone, Debug)]
pub struct StepLine {
    /// Its latest execution.
    pub latest: JobSummary,
    /// Whether that is still true.
    pub state: StepState,
    /// How often it was executed.
    pub executions: usize,
}

impl SessionView<'_> {
    /// For people.
    pub fn text(&self, now_ns: i64, terminal: Terminal) -> String {
        let mut text = heading(self.session, self.steps, now_ns);
        if self.steps.is_empty() {
            return text;
        }
        text.push('\n');
        let mut table = Table::new(vec![
            Column::new("step"),
            Column::new("state"),
            Column::new("last job").expendable(1),
            Column::new("runs").right().expendable(5),
            Column::new("started").expendable(3),
            Column::new("took").right().expendable(4),
            Column::new("status").expendable(2),
            Column::new("command").flexible(),
        ]);
        for StepLine {
            latest,
            state,
            executions,
        } in self.steps
        {
            let (ending, style) = ending(latest.state, latest.outcome);
            let name = latest
                .name
                .as_ref()
                .map_or(String::new(), |name| format!("[{}] ", inert(name)));
            table.row(vec![
                Cell::new(
                    reference(latest.step_number, latest.kind == JobKind::Build),
                    Style::Reference,
                ),
                Cell::new(state.name(), state_style(*state)),
                latest.uid.as_str().into(),
                executions.to_string().into(),
                Cell::new(human::ago(latest.started_at_ns, now_ns), Style::Dim),
                latest
                    .duration_ns
                    .map(human::duration)
                    .unwrap_or_default()
                    .into(),
                Cell::new(ending, style),
                format!("{name}{}", shell::one_line(&latest.argv)).into(),
            ]);
        }
        text.push_str(&table.render(terminal));
        text
    }

    /// For machines.
    pub fn json(&self) -> String {
        super::json(&SessionDocument {
            session_id: self.session.id,
            started_at: human::rfc3339(self.session.started_at_ns),
            is_active: self.session.active,
            total_steps: self.steps.len(),
            total_jobs: total_jobs(self.steps),
            stale_count: stale(self.steps).count(),
            steps: self
                .steps
                .iter()
                .map(|step| StepDocument {
                    state: step.state,
                    executions: step.executions,
                    latest: super::log::document(&step.latest),
                })
                .collect(),
        })
    }
}

/// How a recorded output compares with the file at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisk {
    /// The content that was recorded.
    Present,
    /// Another content.
    Changed,
    /// Nothing.
    Missing,
    /// Something that cannot be compared: never hashed, or not readable now.
    Unverified,
}

/// A recorded output and the file at its place.
#[derive(Clone, Debug, Serialize)]
pub struct ArtifactCheck {
    /// Absolute path.
    pub path: RawString,
    /// The recorded content.
    pub hash: Option<Digest>,
    /// The content now, where there is one.
    pub found: Option<Digest>,
    /// How they compare.
    pub state: OnDisk,
    /// The step that made it.
    pub producer_step: u32,
    /// Why it could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A stale step and why it is.
#[derive(Clone, Debug)]
pub struct StaleStep {
    /// Its latest execution.
    pub latest: JobSummary,
    /// Inputs produced anew since; none when only something upstream is stale.
    pub inputs: Vec<StaleInput>,
}

/// The state of a session against the disk.
#[derive(Clone, Copy, Debug)]
pub struct StatusView<'a> {
    /// The session.
    pub session: &'a Session,
    /// Its steps.
    pub steps: &'a [StepLine],
    /// The repository now; none outside git.
    pub git: Option<&'a GitState>,
    /// The newest version of every output.
    pub artifacts: &'a [ArtifactCheck],
    /// Steps to run again.
    pub stale: &'a [StaleStep],
}

/// At most so many files are named for people.
const FILES_SHOWN: usize = 20;

impl StatusView<'_> {
    /// For people.
    pub fn text(&self, cwd: &Path, now_ns: i64, terminal: Terminal) -> String {
        let mut text = heading(self.session, self.steps, now_ns);
        let mut facts = Facts::default();
        facts.add(
            "git",
            self.git
                .map_or("not in a git repository".to_owned(), git_line),
        );
        facts.add("artifacts", self.artifact_line());
        text.push_str(&facts.text);
        let off: Vec<&ArtifactCheck> = self
            .artifacts
            .iter()
            .filter(|check| check.state != OnDisk::Present)
            .collect();
        if !off.is_empty() {
            text.push('\n');
            let mut table = Table::new(vec![
                Column::new(""),
                Column::new("").flexible(),
                Column::new("").expendable(1),
            ])
            .indent(2);
            for check in off.iter().take(FILES_SHOWN) {
                let (word, style) = match check.state {
                    OnDisk::Changed => ("changed", Style::Warning),
                    OnDisk::Missing => ("missing", Style::Bad),
                    OnDisk::Present | OnDisk::Unverified => ("unverified", Style::Dim),
                };
                table.row(vec![
                    Cell::new(word, style),
                    paths::shown(&check.path, cwd).into(),
                    Cell::new(format!("made by {}", self.reference(check)), Style::Dim),
                ]);
            }
            text.push_str(&table.render(terminal));
            if let Some(more @ 1..) = off.len().checked_sub(FILES_SHOWN) {
                let _ = writeln!(text, "  {}", Style::Dim.paint(&format!("and {more} more")));
            }
        }
        text.push_str(&self.stale_text(cwd, terminal));
        text
    }

    /// The step that made an output.
    fn reference(&self, check: &ArtifactCheck) -> String {
        let number = check.producer_step;
        let mut steps = self.steps.iter().map(|step| &step.latest);
        let step = steps.find(|latest| latest.step_number == number);
        reference(number, step.is_some_and(|step| step.kind == JobKind::Build))
    }

    fn artifact_line(&self) -> String {
        let of = |state| {
            self.artifacts
                .iter()
                .filter(|check| check.state == state)
                .count()
        };
        let mut line = format!(
            "{} present, {} changed, {} missing",
            of(OnDisk::Present),
            of(OnDisk::Changed),
            of(OnDisk::Missing)
        );
        let unverified = of(OnDisk::Unverified);
        if unverified > 0 {
            let _ = write!(line, ", {unverified} unverified");
        }
        line
    }

    fn stale_text(&self, cwd: &Path, terminal: Terminal) -> String {
        if self.stale.is_empty() {
            return String::new();
        }
        let mut text = format!("\n{}\n", Style::Heading.paint("Stale steps"));
        let mut table = Table::new(vec![Column::new(""), Column::new("").flexible()]).indent(2);
        for StaleStep { latest, inputs } in self.stale {
            let step = reference(latest.step_number, latest.kind == JobKind::Build);
            table.row(vec![
                Cell::new(format!("{step}*"), Style::Warning),
                shell::one_line(&latest.argv).into(),
            ]);
            if inputs.is_empty() {
                table.row(vec![
                    "".into(),
                    Cell::new("a step it depends on is stale", Style::Dim),
                ]);
            }
            for input in inputs.iter().take(3) {
                let why = format!(
                    "@{} has since produced {} anew",
                    input.by_step,
                    paths::shown(&input.path, cwd)
                );
                table.row(vec!["".into(), Cell::new(why, Style::Dim)]);
            }
        }
        text.push_str(&table.render(terminal));
        text
    }

    /// For machines.
    pub fn json(&self) -> String {
        let of = |state| {
            self.artifacts
                .iter()
                .filter(|check| check.state == state)
                .count()
        };
        super::json(&StatusDocument {
            session_id: self.session.id,
            started_at: human::rfc3339(self.session.started_at_ns),
            total_steps: self.steps.len(),
            total_jobs: total_jobs(self.steps),
            git: self.git,
            artifacts: ArtifactsDocument {
                present: of(OnDisk::Present),
                changed: of(OnDisk::Changed),
                missing: of(OnDisk::Missing),
                unverified: of(OnDisk::Unverified),
                files: self.artifacts,
            },
            stale_steps: self
                .stale
                .iter()
                .map(|step| StaleDocument {
                    step_number: step.latest.step_number,
                    job_uid: step.latest.uid.as_str(),
                    command: shell::join(&step.latest.argv),
                    inputs: step
                        .inputs
                        .iter()
                        .map(
                            |StaleInput {
                                 path,
                                 consumed,
                                 produced,
                                 by_step,
                             }| {
                                StaleInputDocument {
                                    path,
                                    consumed,
                                    produced,
                                    by_step: *by_step,
                                }
                            },
                        )
                        .collect(),
                })
                .collect(),
        })
    }
}

fn heading(session: &Session, steps: &[StepLine], now_ns: i64) -> String {
    let mut line = format!(
        "{}, {}, started {}",
        human::count(steps.len(), "step"),
        human::count(total_jobs(steps), "job"),
        human::ago(session.started_at_ns, now_ns)
    );
    let stale = stale(steps).count();
    if stale > 0 {
        let _ = write!(line, ", {stale} stale");
    }
    let failed = steps.iter().filter(|step| has_failed(step)).count();
    if failed > 0 {
        let _ = write!(line, ", {failed} failed");
    }
    if !session.active {
        line.push_str(", no longer active");
    }
    let title = format!("Session {}", session.id);
    format!("{}: {line}\n", Style::Heading.paint(&title))
}

fn total_jobs(steps: &[StepLine]) -> usize {
    steps.iter().map(|step| step.executions).sum()
}

fn stale(steps: &[StepLine]) -> impl Iterator<Item = &StepLine> {
    steps.iter().filter(|step| step.state == StepState::Stale)
}

fn has_failed(step: &StepLine) -> bool {
    step.latest.state == JobState::Done && !step.latest.outcome.succeeded()
}

fn git_line(git: &GitState) -> String {
    let mut line = match (&git.commit, &git.branch) {
        (Some(commit), _) => inert(commit.get(..12).unwrap_or(commit)),
        (None, _) => "no commit yet".to_owned(),
    };
    match &git.branch {
        Some(branch) => {
            let _ = write!(line, " on {}", inert(branch));
        }
        None => line.push_str(", detached"),
    }
    line.push_str(if git.dirty {
        ", with uncommitted changes"
    } else {
        ", clean"
    });
    line
}

#[derive(Serialize)]
struct SessionDocument<'a> {
    session_id: i64,
    started_at: String,
    is_active: bool,
    total_steps: usize,
    total_jobs: usize,
    stale_count: usize,
    steps: Vec<StepDocument<'a>>,
}

#[derive(Serialize)]
struct StepDocument<'a> {
    #[serde(rename = "step_state")]
    state: StepState,
    executions: usize,
    #[serde(flatten)]
    latest: super::log::JobLine<'a>,
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    session_id: i64,
    started_at: String,
    total_steps: usize,
    total_jobs: usize,
    git: Option<&'a GitState>,
    artifacts: ArtifactsDocument<'a>,
    stale_steps: Vec<StaleDocument<'a>>,
}

#[derive(Serialize)]
struct ArtifactsDocument<'a> {
    present: usize,
    changed: usize,
    missing: usize,
    unverified: usize,
    files: &'a [ArtifactCheck],
}

#[derive(Serialize)]
struct StaleDocument<'a> {
    step_number: u32,
    job_uid: &'a str,
    command: String,
    inputs: Vec<StaleInputDocument<'a>>,
}

#[derive(Serialize)]
struct StaleInputDocument<'a> {
    path: &'a RawString,
    consumed: &'a Digest,
    produced: &'a Digest,
    by_step: u32,
}
