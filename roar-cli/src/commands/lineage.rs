//! `roar lineage` and `roar why`: where a content came from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, FoundArtifact};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::ancestry::{Producers, ancestry};
use crate::lineage::{Execution, Place};
use crate::model::{Digest, RawString};
use crate::present::Terminal;
use crate::present::lineage::{LineageJob, LineageSource, LineageView};
use crate::store::{JobSummary, Store, StoreError};

/// Show where a file came from: the jobs that led to it and what they read.
///
/// The file is found by its content, wherever it was moved or copied to.
#[derive(Debug, clap::Args)]
pub(super) struct LineageArgs {
    /// A path, or an artifact hash (4 digits or more).
    #[arg(value_name = "PATH|HASH")]
    artifact: OsString,
    /// Follow inputs to the jobs that made them at most so many times; with 0, show only the job
    /// that made the file.
    #[arg(short, long, value_name = "DEPTH")]
    depth: Option<u32>,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
    /// The form of the output.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For machines; the same as --json.
    Json,
}

/// Tell in plain words where a file came from, and the commands that make it again.
#[derive(Debug, clap::Args)]
pub(super) struct WhyArgs {
    /// A path, or an artifact hash (4 digits or more).
    #[arg(value_name = "PATH|HASH")]
    artifact: OsString,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// The file is not recorded, or the hash is ambiguous.
pub(super) fn lineage(context: &mut Context, args: &LineageArgs) -> Result<ExitCode, CommandError> {
    let jobs_deep = args.depth.map(|depth| depth.saturating_add(1));
    let view = view(context, &args.artifact, jobs_deep)?;
    let text = if args.json || args.output == Form::Json {
        view.json()
    } else {
        view.text(&context.cwd, clock::now_ns(), Terminal::from_environment())
    };
    context.ui.data(&text);
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// The file is not recorded, or the hash is ambiguous.
pub(super) fn why(context: &mut Context, args: &WhyArgs) -> Result<ExitCode, CommandError> {
    let view = view(context, &args.artifact, None)?;
    let text = if args.json {
        view.why_json(&context.cwd)
    } else {
        view.words(&context.cwd, clock::now_ns())
    };
    context.ui.data(&text);
    Ok(ExitCode::SUCCESS)
}

fn view(
    context: &Context,
    artifact: &OsString,
    jobs_deep: Option<u32>,
) -> Result<LineageView, CommandError> {
    let (project, store) = reading::open(context)?;
    let found = reference::resolve_artifact(&store, &context.cwd, artifact)?;
    found.warn_if_changed(context);
    let (store, found) = (&store, &found);
    store.moment(|| lineage_of(store, found, jobs_deep, project.root))?
}

fn lineage_of(
    store: &Store,
    found: &FoundArtifact,
    jobs_deep: Option<u32>,
    root: PathBuf,
) -> Result<LineageView, CommandError> {
    let target = target(store, found)?;
    let mut recorded = Recorded {
        store,
        known: HashMap::new(),
    };
    let found = ancestry(&target, jobs_deep, &mut recorded)?;
    let mut known = recorded.known;
    let mut jobs = Vec::with_capacity(found.jobs.len());
    for ancestor in found.jobs {
        let id = ancestor.execution.job_id;
        let (Some(summary), Some(place)) = (known.remove(&id), store.job_place(id)?) else {
            continue;
        };
        jobs.push(LineageJob {
            summary,
            cwd: place.cwd,
            git: place.git,
            inputs: ancestor.execution.inputs,
            producers: ancestor.producers,
            outputs: ancestor.execution.outputs,
        });
    }
    let readers = first_readers(&jobs);
    let sources = found
        .unsourced
        .into_iter()
        .map(|place| {
            // Whether a content from outside stands where a job had written before it was read.
            let edited_after = match readers.get(&(&place.path, &place.hash)) {
                Some(reader) => {
                    store.last_other_writer(&place.path, place.hash.as_ref(), *reader)?
                }
                None => None,
            };
            Ok(LineageSource {
                place,
                edited_after,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(LineageView {
        target,
        jobs,
        sources,
        cut: found.cut,
        project_root: project_root(root),
    })
}

fn project_root(root: PathBuf) -> PathBuf {
    root.canonicalize().unwrap_or(root)
}

/// The content found, at the path asked for or where it was last met.
///
/// # Errors
/// The database cannot be read.
pub(super) fn target(store: &Store, found: &FoundArtifact) -> Result<Place, CommandError> {
    let path = match &found.asked {
        Some(asked) => asked.path.clone(),
        None => store
            .last_use(found.artifact.id, false)?
            .map(|one| one.path)
            .unwrap_or_default(),
    };
    Ok(Place {
        path,
        hash: Some(found.artifact.hash.clone()),
        size_bytes: found.artifact.size_bytes,
    })
}

/// The first of the jobs that read a content at a place; the jobs are in order of their ids.
fn first_readers(jobs: &[LineageJob]) -> HashMap<(&RawString, &Option<Digest>), i64> {
    let mut readers = HashMap::new();
    for job in jobs {
        for input in &job.inputs {
            readers
                .entry((&input.path, &input.hash))
                .or_insert(job.summary.id);
        }
    }
    readers
}

/// Producers as the store knows them; remembers the jobs it met.
pub(super) struct Recorded<'a> {
    pub(super) store: &'a Store,
    pub(super) known: HashMap<i64, JobSummary>,
}

impl Producers for Recorded<'_> {
    type Error = StoreError;

    fn producer_of(
        &mut self,
        hash: &Digest,
        path: &RawString,
        before: Option<i64>,
        elsewhere: bool,
    ) -> Result<Option<i64>, StoreError> {
        self.store.producer_of(hash, path, before, elsewhere)
    }

    fn execution(&mut self, job_id: i64) -> Result<Option<Execution>, StoreError> {
        let Some(summary) = self.store.job_summary(job_id)? else {
            return Ok(None);
        };
        self.known.insert(job_id, summary.clone());
        let job = self.store.job_with_files(summary)?;
        Ok(Some(reading::execution(
            &job.summary,
            job.inputs,
            job.outputs,
        )))
    }

    fn writer_of(&mut self, path: &RawString, before: i64) -> Result<Option<i64>, StoreError> {
        let uses = self.store.uses_of_path(path)?;
        let writer = uses
            .into_iter()
            .find(|one| one.produced && one.job.id < before);
        Ok(writer.map(|writer| writer.job.id))
    }
}
