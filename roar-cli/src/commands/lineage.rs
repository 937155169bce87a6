//! `roar lineage` and `roar why`: where a content came from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, Content, FoundArtifact};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::ancestry::{Producers, ancestry};
use crate::lineage::{Execution, Place};
use crate::model::{Digest, RawString};
use crate::present::Terminal;
use crate::present::lineage::{LineageJob, LineageSource, LineageView, first_readers};
use crate::store::{CollectionRow, FileRef, JobSummary, Store, StoreError};

/// Show where a file came from: the jobs that led to it and what they read.
///
/// The file is found by its content, wherever it was moved or copied to. A collection is one line;
/// with --all each of its files is.
#[derive(Debug, clap::Args)]
pub(super) struct LineageArgs {
    /// A path, or the hash of an artifact or a collection (4 digits or more).
    #[arg(value_name = "PATH|HASH")]
    artifact: OsString,
    /// Follow inputs to the jobs that made them at most so many times; with 0, show only the job
    /// that made the file.
    #[arg(short, long, value_name = "DEPTH")]
    depth: Option<u32>,
    /// Name every file.
    #[arg(long)]
    all: bool,
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
    /// A path, or the hash of an artifact or a collection (4 digits or more).
    #[arg(value_name = "PATH|HASH")]
    artifact: OsString,
    /// Name every file.
    #[arg(long)]
    all: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// The file is not recorded, or the hash is ambiguous.
pub(super) fn lineage(context: &mut Context, args: &LineageArgs) -> Result<ExitCode, CommandError> {
    let jobs_deep = args.depth.map(|depth| depth.saturating_add(1));
    let mut view = view(context, &args.artifact, jobs_deep)?;
    view.all = args.all;
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
    let mut view = view(context, &args.artifact, None)?;
    view.all = args.all;
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
    let asked = match reference::resolve_content(&store, &context.cwd, artifact)? {
        Content::Artifact(found) => {
            found.warn_if_changed(context);
            Asked::file(target(&store, &found)?)
        }
        Content::Collection(found) => collection(&store, &found)?,
    };
    store.moment(|| lineage_of(&store, asked, jobs_deep, project.root))?
}

/// What was asked for.
struct Asked {
    target: Place,
    files: Vec<Place>,
    is_collection: bool,
}

impl Asked {
    fn file(target: Place) -> Self {
        Self {
            files: vec![target.clone()],
            target,
            is_collection: false,
        }
    }
}

/// A collection as its newest maker wrote it, else as its newest reader found it.
fn collection(store: &Store, found: &CollectionRow) -> Result<Asked, CommandError> {
    let newest = found.uses.iter().max_by_key(|one| (one.2, one.0.id));
    let (folder, files) = match newest {
        Some((job, folder, produced)) => {
            let job = store.job_with_files(job.clone())?;
            let files = if *produced { job.outputs } else { job.inputs };
            (folder.clone(), files)
        }
        None => Default::default(),
    };
    let is_member = |file: &FileRef| file.hash.is_some() && file.path.is_below(&folder);
    let files = files.into_iter().filter(is_member);
    Ok(Asked {
        files: files.map(reading::place).collect(),
        target: Place {
            path: folder.clone(),
            hash: Some(found.hash.clone()),
            size_bytes: found.size_bytes,
        },
        is_collection: true,
    })
}

fn lineage_of(
    store: &Store,
    asked: Asked,
    jobs_deep: Option<u32>,
    root: PathBuf,
) -> Result<LineageView, CommandError> {
    let mut recorded = Recorded {
        store,
        known: HashMap::new(),
    };
    let found = ancestry(&asked.files, jobs_deep, &mut recorded)?;
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
            collections: store.collection_places(id)?,
        });
    }
    let readers = first_readers(&jobs);
    let sources = found
        .unsourced
        .into_iter()
        .map(|place| {
            // Whether a content from outside stands where a job had written before it was read.
            let reader = match readers.get(&(&place.path, &place.hash)) {
                Some(job) => Some(job.summary.id),
                None => store.first_reader(&place.path, place.hash.as_ref())?,
            };
            let edited_after = match reader {
                Some(reader) => {
                    store.last_other_writer(&place.path, place.hash.as_ref(), reader)?
                }
                None => None,
            };
            Ok(LineageSource {
                place,
                edited_after,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    let Asked {
        target,
        files,
        is_collection,
    } = asked;
    Ok(LineageView {
        target,
        files,
        is_collection,
        jobs,
        sources,
        cut: found.cut,
        project_root: project_root(root),
        all: false,
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
