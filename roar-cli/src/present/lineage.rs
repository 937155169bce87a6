//! Where a content came from: as a list of jobs, in plain words, and as JSON.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::dag::reference;
use super::table::{Cell, Column, Table, truncate};
use super::{Style, Terminal, human, inert, paths, shell};
use crate::lineage::Place;
use crate::model::{Digest, GitState, JobKind, RawString};
use crate::store::JobSummary;

/// The lineage of one content.
#[derive(Clone, Debug)]
pub struct LineageView {
    /// The content asked for.
    pub target: Place,
    /// The jobs that led to it, each after all jobs it depends on.
    pub jobs: Vec<LineageJob>,
    /// The contents that no recorded job produced.
    pub sources: Vec<LineageSource>,
    /// There was more above the depth asked for.
    pub cut: bool,
    /// The project's folder.
    pub project_root: std::path::PathBuf,
}

/// A job on the way.
#[derive(Clone, Debug)]
pub struct LineageJob {
    /// The job.
    pub summary: JobSummary,
    /// Folder it ran in, relative to the project.
    pub cwd: RawString,
    /// The repository then; none outside git.
    pub git: Option<GitState>,
    /// What it consumed.
    pub inputs: Vec<Place>,
    /// For each input, the job that produced it.
    pub producers: Vec<Option<i64>>,
    /// What it produced.
    pub outputs: Vec<Place>,
}

/// A content from outside.
#[derive(Clone, Debug)]
pub struct LineageSource {
    /// The content and its place.
    pub place: Place,
    /// The job that had written the place before something unrecorded changed it.
    pub edited_after: Option<JobSummary>,
}

/// By job, the outputs that were handed on.
type HandedOn<'a> = HashMap<i64, BTreeSet<&'a RawString>>;

/// At most so many files of a job are named for people.
const FILES_SHOWN: usize = 8;

impl LineageView {
    /// The jobs, oldest first, with the files that matter.
    pub fn text(&self, cwd: &Path, now_ns: i64, terminal: Terminal) -> String {
        let sources = match self.sources.len() {
            0 => String::new(),
            number => format!(", {}", human::count(number, "source")),
        };
        let mut text = format!(
            "{} {}: {}{sources}\n",
            Style::Heading.paint("Lineage of"),
            described(&self.target, cwd),
            human::count(self.jobs.len(), "job"),
        );
        if self.cut {
            let note = "(there is more above; ask deeper with -d)";
            let _ = writeln!(text, "{}", Style::Dim.paint(note));
        }
        let wanted = self.handed_on();
        let latest_session = self.jobs.last().map(|job| job.summary.session_id);
        for job in &self.jobs {
            let summary = &job.summary;
            let session = if Some(summary.session_id) == latest_session {
                String::new()
            } else {
                format!(" (session {})", summary.session_id)
            };
            let head = format!(
                "{} {}{session}  {}",
                reference(summary.step_number, summary.kind == JobKind::Build),
                summary.uid,
                human::ago(summary.started_at_ns, now_ns)
            );
            let command = shell::one_line(&summary.argv);
            let room = terminal.width.saturating_sub(4).max(12);
            let _ = writeln!(
                text,
                "\n{}\n    {}",
                Style::Reference.paint(&head),
                truncate(&command, room, terminal)
            );
            text.push_str(&self.files(job, &wanted, cwd, terminal));
        }
        text
    }

    /// The files of a job: inputs with where they came from, outputs that were handed on.
    fn files(
        &self,
        job: &LineageJob,
        wanted: &HandedOn<'_>,
        cwd: &Path,
        terminal: Terminal,
    ) -> String {
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new("").flexible(),
            Column::new("").right(),
            Column::new(""),
            Column::new("").expendable(1),
        ])
        .indent(4);
        let mut row = |word: &'static str, place: &Place, from: &str| {
            table.row(vec![
                Cell::new(word, Style::Dim),
                paths::shown(&place.path, cwd).into(),
                place.size_bytes.map(human::size).unwrap_or_default().into(),
                hash_cell(place.hash.as_ref()),
                Cell::new(from, Style::Dim),
            ]);
        };
        for (input, producer) in job.inputs.iter().zip(&job.producers).take(FILES_SHOWN) {
            let from = producer.and_then(|id| self.job(id)).map_or_else(
                || {
                    if producer.is_none() {
                        "from outside".to_owned()
                    } else {
                        String::new()
                    }
                },
                |job| format!("from {}", step(&job.summary)),
            );
            row("read", input, &from);
        }
        let (on_the_way, aside): (Vec<&Place>, Vec<&Place>) =
            job.outputs.iter().partition(|output| {
                let of_job = wanted.get(&job.summary.id);
                of_job.is_some_and(|paths| paths.contains(&output.path))
            });
        for output in on_the_way.iter().take(FILES_SHOWN) {
            row("wrote", output, "");
        }
        let hidden = job.inputs.len().saturating_sub(FILES_SHOWN)
            + on_the_way.len().saturating_sub(FILES_SHOWN)
            + aside.len();
        let mut text = table.render(terminal);
        if hidden > 0 {
            let more = format!("    and {}", human::count(hidden, "more file"));
            let _ = writeln!(text, "{}", Style::Dim.paint(&more));
        }
        text
    }

    /// The outputs that were consumed on the way, and the target, by job and path.
    fn handed_on(&self) -> HandedOn<'_> {
        let mut wanted = HandedOn::new();
        let consumed = self
            .jobs
            .iter()
            .flat_map(|job| job.inputs.iter().zip(&job.producers))
            .filter_map(|(input, producer)| Some((input, (*producer)?)))
            .chain(self.producer().map(|job| (&self.target, job.summary.id)));
        for (place, id) in consumed {
            let Some(job) = self.job(id) else {
                continue;
            };
            let paths = output_of(job, place).into_iter().map(|output| &output.path);
            wanted.entry(id).or_default().extend(paths);
        }
        wanted
    }

    /// A job on the way, by its id, of which they are in order.
    fn job(&self, id: i64) -> Option<&LineageJob> {
        let at = self.jobs.binary_search_by_key(&id, |job| job.summary.id);
        at.ok().map(|at| &self.jobs[at])
    }

    /// The job that produced the target.
    fn producer(&self) -> Option<&LineageJob> {
        self.jobs.iter().rev().find(|job| {
            self.target.hash.is_some()
                && job
                    .outputs
                    .iter()
                    .any(|output| output.hash == self.target.hash)
        })
    }

    /// The chain in plain words, ending with the commands that make the content again.
    pub fn words(&self, cwd: &Path, now_ns: i64) -> String {
        let mut text = String::new();
        let what = described(&self.target, cwd);
        let Some(last) = self.producer() else {
            let _ = writeln!(text, "{what} came from outside: no recorded job wrote it.");
            return text;
        };
        let mut subject = format!("{what} was written");
        let handed_on = self.handed_on();
        for job in self.jobs.iter().rev() {
            if job.summary.id != last.summary.id {
                let of_job = handed_on.get(&job.summary.id).into_iter().flatten();
                let handed: Vec<String> = of_job.map(|path| paths::shown(path, cwd)).collect();
                let verb = if handed.len() == 1 { "was" } else { "were" };
                subject = format!("{} {verb} written", list(&handed));
            }
            let _ = writeln!(
                text,
                "{subject} by {} ({}), {}:\n\n    {}\n",
                step(&job.summary),
                job.summary.uid,
                human::ago(job.summary.started_at_ns, now_ns),
                Style::Reference.paint(&shell::join(&job.summary.argv))
            );
            if let (_, style @ (Style::Bad | Style::Warning)) =
                super::job::ending(job.summary.state, job.summary.outcome)
            {
                let ending = super::job::ending(job.summary.state, job.summary.outcome).0;
                let _ = writeln!(
                    text,
                    "{}",
                    style.paint(&format!("It did not succeed: {ending}."))
                );
            }
            if job.inputs.is_empty() {
                text.push_str("It read no file that is recorded.\n\n");
            } else {
                let read: Vec<String> = job
                    .inputs
                    .iter()
                    .map(|input| paths::shown(&input.path, cwd))
                    .collect();
                let _ = writeln!(text, "It read {}.\n", list(&read));
            }
        }
        for source in &self.sources {
            text.push_str(&source_in_words(source, cwd));
        }
        if !self.sources.is_empty() {
            text.push('\n');
        }
        if let Some(git) = &last.git {
            let _ = writeln!(text, "The code was {}.\n", code(git));
        }
        if self.cut {
            text.push_str("There is more above; without -d the whole chain is told.\n");
        } else {
            text.push_str("To make it again:\n\n");
            for command in self.commands(cwd) {
                let _ = writeln!(text, "    {}", Style::Reference.paint(&command));
            }
        }
        text
    }

    /// The commands that make the content again, for a shell in `cwd`.
    fn commands(&self, cwd: &Path) -> Vec<String> {
        self.jobs
            .iter()
            .map(|job| {
                let command = shell::join(&job.summary.argv);
                let folder = if job.cwd.as_bytes() == b"." {
                    self.project_root.clone()
                } else {
                    self.project_root.join(job.cwd.to_path_buf())
                };
                if folder == cwd {
                    command
                } else {
                    let folder = RawString::from_path(&folder);
                    format!("(cd {} && {command})", shell::quote(folder.as_bytes()))
                }
            })
            .collect()
    }

    /// The document of `lineage`; its keys are a published interface.
    pub fn json(&self) -> String {
        super::json(&self.document())
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
            commands: self.commands(cwd),
        })
    }

    /// Of the outputs, those on the way to the target: what else the jobs wrote is told by
    /// `show`. One content is one artifact, whatever its places.
    fn document(&self) -> LineageDocument<'_> {
        let inputs = self.jobs.iter().flat_map(|job| &job.inputs);
        let on_the_way: HashSet<ArtifactKey<'_>> = inputs
            .chain(std::iter::once(&self.target))
            .map(artifact_key)
            .collect();
        let jobs: Vec<JobDocument<'_>> = self
            .jobs
            .iter()
            .map(|job| job_document(job, &on_the_way))
            .collect();
        let mut seen = HashSet::new();
        let artifacts = self
            .jobs
            .iter()
            .flat_map(|job| job.inputs.iter().chain(&job.outputs))
            .chain(std::iter::once(&self.target))
            .filter(|place| on_the_way.contains(&artifact_key(place)))
            .filter(|place| seen.insert(artifact_key(place)))
            .map(file)
            .collect();
        LineageDocument {
            artifact: file(&self.target),
            jobs,
            artifacts,
        }
    }
}

/// What makes an artifact: its content, or the place where that could not be hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ArtifactKey<'a> {
    Content(&'a Digest),
    Place(&'a RawString),
}

fn artifact_key(place: &Place) -> ArtifactKey<'_> {
    match &place.hash {
        Some(hash) => ArtifactKey::Content(hash),
        None => ArtifactKey::Place(&place.path),
    }
}

fn described(place: &Place, cwd: &Path) -> String {
    let mut text = paths::shown(&place.path, cwd);
    let hash = place.hash.as_ref().map(Digest::short);
    let size = place.size_bytes.map(human::size);
    if let Some(hash) = hash {
        let size = size.map_or(String::new(), |size| format!(", {size}"));
        let _ = write!(text, " ({hash}{size})");
    }
    Style::Heading.paint(&text)
}

/// The outputs of a job that a place came from: the same place, else the same content.
fn output_of<'a>(job: &'a LineageJob, place: &Place) -> Vec<&'a Place> {
    let same: Vec<&Place> = job
        .outputs
        .iter()
        .filter(|output| output.hash == place.hash && place.hash.is_some())
        .collect();
    match same.iter().find(|output| output.path == place.path) {
        Some(exact) => vec![*exact],
        None => same,
    }
}

fn source_in_words(source: &LineageSource, cwd: &Path) -> String {
    let path = paths::shown(&source.place.path, cwd);
    match &source.edited_after {
        Some(job) => format!(
            "{path} was written by {} ({}), but had been changed by something that was not \
             recorded before it was read.\n",
            step(job),
            job.uid
        ),
        None => format!("{path} came from outside: no recorded job wrote it.\n"),
    }
}

fn step(job: &JobSummary) -> String {
    format!(
        "{} {}",
        if job.kind == JobKind::Build {
            "build step"
        } else {
            "step"
        },
        reference(job.step_number, job.kind == JobKind::Build)
    )
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

/// `a`, `a and b`, `a, b and 7 more`.
fn list(items: &[String]) -> String {
    match items {
        [] => "something".to_owned(),
        [one] => one.clone(),
        [most @ .., last] if items.len() <= FILES_SHOWN => {
            format!("{} and {last}", most.join(", "))
        }
        all => format!(
            "{} and {} more",
            all[..FILES_SHOWN].join(", "),
            all.len() - FILES_SHOWN
        ),
    }
}

fn hash_cell(hash: Option<&Digest>) -> Cell {
    match hash {
        Some(hash) => Cell::new(hash.short(), Style::Reference),
        None => Cell::new("not hashed", Style::Warning),
    }
}

fn file(place: &Place) -> FileDocument<'_> {
    FileDocument {
        path: &place.path,
        hash: place.hash.as_ref(),
        size: place.size_bytes,
    }
}

fn job_document<'a>(job: &'a LineageJob, on_the_way: &HashSet<ArtifactKey<'a>>) -> JobDocument<'a> {
    JobDocument {
        job_uid: job.summary.uid.as_str(),
        step_number: job.summary.step_number,
        command: shell::join(&job.summary.argv),
        timestamp: human::unix_seconds(job.summary.started_at_ns),
        duration_seconds: job.summary.duration_ns.map(human::seconds),
        exit_code: job.summary.outcome.exit_code,
        inputs: job.inputs.iter().map(file).collect(),
        outputs: job
            .outputs
            .iter()
            .filter(|output| on_the_way.contains(&artifact_key(output)))
            .map(file)
            .collect(),
    }
}

#[derive(Serialize)]
struct LineageDocument<'a> {
    artifact: FileDocument<'a>,
    jobs: Vec<JobDocument<'a>>,
    artifacts: Vec<FileDocument<'a>>,
}

#[derive(Serialize)]
struct WhyDocument<'a> {
    #[serde(flatten)]
    lineage: LineageDocument<'a>,
    sources: Vec<SourceDocument<'a>>,
    commands: Vec<String>,
}

#[derive(Serialize)]
struct FileDocument<'a> {
    path: &'a RawString,
    hash: Option<&'a Digest>,
    size: Option<u64>,
}

#[derive(Serialize)]
struct JobDocument<'a> {
    job_uid: &'a str,
    step_number: u32,
    command: String,
    timestamp: f64,
    duration_seconds: Option<f64>,
    exit_code: Option<i32>,
    inputs: Vec<FileDocument<'a>>,
    outputs: Vec<FileDocument<'a>>,
}

#[derive(Serialize)]
struct SourceDocument<'a> {
    #[serde(flatten)]
    file: FileDocument<'a>,
    edited_after: Option<&'a str>,
}
