//! Where a content came from: as a list of jobs and as JSON; `present::why` has it in plain words.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::dag::reference;
use super::handed::Handed;
use super::members::{self, CollectionDocument, Group, collection_of, grouped};
use super::table::{Cell, Column, Table, truncate};
use super::{Style, Terminal, human, paths, shell};
use crate::lineage::Place;
use crate::model::{Digest, GitState, JobKind, RawString};
use crate::store::{CollectionPlace, JobSummary};

/// The lineage of one content, or of a collection.
#[derive(Clone, Debug)]
pub struct LineageView {
    /// The content asked for; for a collection its folder and the hash over its members.
    pub target: Place,
    /// What was asked for, file by file.
    pub files: Vec<Place>,
    /// A collection was asked for.
    pub is_collection: bool,
    /// The jobs that led to it, each after all jobs it depends on.
    pub jobs: Vec<LineageJob>,
    /// The repository when the job ran that made it; none outside git.
    pub git: Option<GitState>,
    /// The contents that no recorded job produced.
    pub sources: Vec<LineageSource>,
    /// There was more above the depth asked for.
    pub cut: bool,
    /// The project's folder.
    pub project_root: std::path::PathBuf,
    /// For people: every file by its name.
    pub all: bool,
}

/// A job on the way.
#[derive(Clone, Debug)]
pub struct LineageJob {
    /// The job.
    pub summary: JobSummary,
    /// What it consumed.
    pub inputs: Vec<Place>,
    /// For each input, the job that produced it.
    pub producers: Vec<Option<i64>>,
    /// Of what it produced, at least what is on the way; where it has collections, everything.
    pub outputs: Vec<Place>,
    /// The collections among both.
    pub collections: Vec<CollectionPlace>,
}

impl LineageJob {
    /// The collection that an input or an output is a member of.
    pub(super) fn collection_of(&self, file: &Place, produced: bool) -> Option<&CollectionPlace> {
        file.hash.as_ref()?;
        collection_of(&self.collections, produced, &file.path)
    }
}

/// A content from outside.
#[derive(Clone, Debug)]
pub struct LineageSource {
    /// The content and its place.
    pub place: Place,
    /// The first of the jobs that read it there; none where none on the way did.
    pub reader: Option<i64>,
    /// The job that had written the place before something unrecorded changed it.
    pub edited_after: Option<JobSummary>,
}

/// At most so many files of a job are named for people.
pub(super) const FILES_SHOWN: usize = 8;

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
            self.described(cwd),
            human::count(self.jobs.len(), "job"),
        );
        if self.cut {
            let note = "(there is more above; ask deeper with -d)";
            let _ = writeln!(text, "{}", Style::Dim.paint(note));
        }
        let handed = Handed::of(self);
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
            text.push_str(&self.files(job, &handed, cwd, terminal));
        }
        text
    }

    /// The files of a job: inputs with where they came from, outputs that were handed on.
    fn files(
        &self,
        job: &LineageJob,
        handed: &Handed<'_>,
        cwd: &Path,
        terminal: Terminal,
    ) -> String {
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new("").flexible(),
            Column::new("").right().expendable(2),
            Column::new("").expendable(1),
            Column::new("").expendable(3),
        ])
        .indent(4);
        let mut more_read = 0;
        let inputs = self.lines(self.inputs(job), |(input, _)| {
            job.collection_of(input, false)
        });
        for (at, group) in inputs.iter().enumerate() {
            if at >= self.shown() {
                more_read += group.files.len();
                continue;
            }
            let origin = match &group.files[..] {
                [(input, producer)] => self.origin_of(input, *producer, handed, cwd),
                files => self.origin(files.iter().map(|(_, producer)| *producer)),
            };
            let files: Vec<&Place> = group.files.iter().map(|(input, _)| *input).collect();
            table.row(row(
                "read",
                group.collection,
                &files,
                files.len(),
                &origin,
                cwd,
            ));
        }
        table.rows(more("read", more_read));
        let is_on = |output: &&Place| handed.is_on(job, output);
        let outputs = self.lines(job.outputs.iter().filter(is_on), |output| {
            job.collection_of(output, true)
        });
        // Outputs by the lines that tell of them.
        let mut told = 0;
        for group in outputs.iter().take(self.shown()) {
            let files: Vec<&Place> = match group.collection {
                Some(met) => {
                    let is_member = |output: &&Place| {
                        output.hash.is_some() && output.path.is_below(&met.folder)
                    };
                    job.outputs.iter().filter(is_member).collect()
                }
                None => group.files.clone(),
            };
            told += files.len();
            let handed_on = group.files.len();
            table.row(row("wrote", group.collection, &files, handed_on, "", cwd));
        }
        let written = usize::try_from(job.summary.output_count).unwrap_or(usize::MAX);
        table.rows(more("wrote", written.saturating_sub(told)));
        table.render(terminal)
    }

    /// What a job read and who made it: what tells most first, for lists that are cut. That is
    /// what other jobs had made, then what is the project's; a program may read a dozen files of its own.
    pub(super) fn inputs<'a>(&self, job: &'a LineageJob) -> Vec<(&'a Place, Option<i64>)> {
        let producers = job.producers.iter().copied();
        let mut inputs: Vec<(&Place, Option<i64>)> = job.inputs.iter().zip(producers).collect();
        inputs.sort_by_key(|(input, producer)| (producer.is_none(), !self.is_own(&input.path)));
        inputs
    }

    /// Whether a place is within the project.
    pub(super) fn is_own(&self, path: &RawString) -> bool {
        path.is_below(&RawString::from_path(&self.project_root))
    }

    /// Files line by line: a collection is one, unless every file is to be named.
    pub(super) fn lines<'a, T>(
        &self,
        files: impl IntoIterator<Item = T>,
        collection_of: impl Fn(&T) -> Option<&'a CollectionPlace>,
    ) -> Vec<Group<'a, T>> {
        grouped(files, |file| collection_of(file).filter(|_| !self.all))
    }

    /// How many lines a list may have.
    pub(super) fn shown(&self) -> usize {
        if self.all { usize::MAX } else { FILES_SHOWN }
    }

    /// Where a file came from, given who produced it.
    fn origin_of(
        &self,
        input: &Place,
        producer: Option<i64>,
        handed: &Handed<'_>,
        cwd: &Path,
    ) -> String {
        if producer.is_none()
            && let Some(job) = handed.edited_after(input)
        {
            return format!("edited after {}", step(job));
        }
        let origin = self.origin([producer].into_iter());
        match producer.and_then(|id| handed.moved_from(input, id)) {
            Some(path) => format!("{origin}, as {}", paths::shown(path, cwd)),
            None => origin,
        }
    }

    /// Where files came from, given who produced each.
    fn origin(&self, producers: impl Iterator<Item = Option<i64>>) -> String {
        let producers: BTreeSet<Option<i64>> = producers.collect();
        let mut from: Vec<String> = producers
            .iter()
            .filter_map(|producer| Some(step(&self.job((*producer)?)?.summary)))
            .collect();
        if producers.contains(&None) {
            from.push("outside".to_owned());
        }
        match from.as_slice() {
            [] => String::new(),
            [one] => format!("from {one}"),
            [a, b] => format!("from {a} and {b}"),
            more => format!("from {} jobs", more.len()),
        }
    }

    /// A job on the way, by its id, of which they are in order.
    pub(super) fn job(&self, id: i64) -> Option<&LineageJob> {
        let at = self.jobs.binary_search_by_key(&id, |job| job.summary.id);
        at.ok().map(|at| &self.jobs[at])
    }

    /// The job that produced the target: of a collection, the last of those that made its files.
    pub fn producer(&self) -> Option<&LineageJob> {
        let contents: HashSet<&Digest> = self
            .files
            .iter()
            .filter_map(|file| file.hash.as_ref())
            .collect();
        self.jobs.iter().rev().find(|job| {
            let mut made = job.outputs.iter().filter_map(|output| output.hash.as_ref());
            made.any(|hash| contents.contains(hash))
        })
    }

    /// What was asked for.
    pub(super) fn described(&self, cwd: &Path) -> String {
        let Place {
            path,
            hash,
            size_bytes,
        } = &self.target;
        let mut text = paths::shown(path, cwd);
        let mut facts: Vec<String> = hash.iter().map(|hash| hash.short().to_owned()).collect();
        facts.extend(size_bytes.map(human::size));
        if self.is_collection {
            text.push('/');
            facts.push(human::count(self.files.len(), "file"));
        }
        if hash.is_some() {
            let _ = write!(text, " ({})", facts.join(", "));
        }
        Style::Heading.paint(&text)
    }

    /// The document of `lineage`; its keys are a published interface.
    pub fn json(&self) -> String {
        super::json(&self.document())
    }

    /// Of the outputs, those on the way to the target: what else the jobs wrote is told by
    /// `show`. One content is one artifact, whatever its places.
    pub(super) fn document(&self) -> LineageDocument<'_> {
        let inputs = self.jobs.iter().flat_map(|job| &job.inputs);
        let on_the_way: HashSet<ArtifactKey<'_>> =
            inputs.chain(&self.files).map(artifact_key).collect();
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
            .chain(&self.files)
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

pub(super) fn step(job: &JobSummary) -> String {
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

/// A line of a job's files; of a collection's `files`, `meant` are meant.
fn row(
    verb: &'static str,
    collection: Option<&CollectionPlace>,
    files: &[&Place],
    meant: usize,
    origin: &str,
    cwd: &Path,
) -> Vec<Cell> {
    let bytes: Option<u64> = files.iter().map(|file| file.size_bytes).sum();
    let (path, hash, note) = match (collection, files.first()) {
        (Some(met), _) => (
            members::folder(met, cwd),
            Some(&met.hash),
            format!("{} {origin}", members::count(meant, files.len())),
        ),
        (None, Some(file)) => (
            paths::shown(&file.path, cwd),
            file.hash.as_ref(),
            origin.to_owned(),
        ),
        (None, None) => (String::new(), None, String::new()),
    };
    vec![
        Cell::new(verb, Style::Dim),
        path.into(),
        bytes.map(human::size).unwrap_or_default().into(),
        hash_cell(hash),
        Cell::new(note.trim_end(), Style::Dim),
    ]
}

/// The line that stands for the files of a job that are not named, if there are any.
fn more(verb: &'static str, files: usize) -> Option<Vec<Cell>> {
    let count = human::count(files, "more file");
    let blank = || Cell::from("");
    let cells = || {
        vec![
            Cell::new(verb, Style::Dim),
            Cell::new(count, Style::Dim),
            blank(),
            blank(),
            blank(),
        ]
    };
    (files > 0).then(cells)
}

fn hash_cell(hash: Option<&Digest>) -> Cell {
    match hash {
        Some(hash) => Cell::new(hash.short(), Style::Reference),
        None => Cell::new("not hashed", Style::Warning),
    }
}

pub(super) fn file(place: &Place) -> FileDocument<'_> {
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
        collections: job
            .collections
            .iter()
            .map(CollectionDocument::from)
            .collect(),
    }
}

#[derive(Serialize)]
pub(super) struct LineageDocument<'a> {
    artifact: FileDocument<'a>,
    jobs: Vec<JobDocument<'a>>,
    artifacts: Vec<FileDocument<'a>>,
}

#[derive(Serialize)]
pub(super) struct FileDocument<'a> {
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    collections: Vec<CollectionDocument<'a>>,
}
