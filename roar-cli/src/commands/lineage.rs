//! `roar lineage` and `roar why`: where a content came from.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::reference::{self, Content, FoundArtifact};
use crate::clock;
use crate::error::CommandError;
use crate::lineage::Place;
use crate::lineage::ancestry::{Ancestor, Producers, Unsourced, ancestry, may_come_from_elsewhere};
use crate::present::Terminal;
use crate::present::lineage::{LineageJob, LineageSource, LineageView};
use crate::store::{
    CollectionRow, ContentId, FileRef, GraphFile, Makers, PathId, Store, StoreError,
};

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
    let mut view = ManuallyDrop::new(view(context, &args.artifact, jobs_deep)?); // as long as the process
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
    let mut view = ManuallyDrop::new(view(context, &args.artifact, None)?); // as long as the process
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
    let Asked {
        target,
        files,
        is_collection,
    } = asked;
    let mut makers = BTreeSet::new();
    let mut unmade = Vec::new();
    for file in &files {
        match maker_of(store, file)? {
            Some(maker) => makers.extend([maker]),
            None => unmade.push(file),
        }
    }
    let found = ancestry(makers, jobs_deep, &mut Recorded::new(store)?)?;
    let read = sources_of(store, &found.unsourced)?;
    let mut sources = Vec::new();
    {
        let known: HashSet<_> = read.iter().map(|source| &source.place).collect();
        for file in unmade.into_iter().filter(|file| !known.contains(file)) {
            sources.push(unread_source(store, file)?);
        }
    }
    sources.extend(read);
    let mut view = LineageView {
        jobs: named_jobs(store, found.jobs, &files)?,
        target,
        files,
        is_collection,
        git: None,
        sources,
        cut: found.cut,
        project_root: project_root(root),
        all: false,
    };
    let maker = view.producer().map(|job| job.summary.id);
    if let Some(maker) = maker {
        view.git = store.job_git(maker)?;
    }
    Ok(view)
}

/// The newest job that made a file.
///
/// # Errors
/// The database cannot be read.
pub(super) fn maker_of(store: &Store, file: &Place) -> Result<Option<i64>, StoreError> {
    match &file.hash {
        Some(hash) => {
            let elsewhere = may_come_from_elsewhere(file.size_bytes);
            store.producer_of(hash, &file.path, None, elsewhere)
        }
        None => Ok(None),
    }
}

/// Gives jobs their names: of all that they read, and of what they wrote what is on the way to the
/// files that were asked for. Of a job with collections everything is named: which files those
/// have, their names tell.
fn named_jobs(
    store: &Store,
    jobs: Vec<Ancestor<PathId, ContentId>>,
    asked: &[Place],
) -> Result<Vec<LineageJob>, StoreError> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
    let summaries = store.summaries_of(ids.iter().copied())?;
    let mut collections = store.collection_places_of(&ids)?;
    let inputs = || jobs.iter().flat_map(|job| &job.inputs);
    let mut contents: HashSet<ContentId> = inputs().filter_map(|input| input.hash).collect();
    let unhashed = inputs().filter(|input| input.hash.is_none());
    let places: HashSet<PathId> = unhashed.map(|input| input.path).collect();
    for hash in asked.iter().filter_map(|file| file.hash.as_ref()) {
        contents.extend(store.content_id(hash)?);
    }
    let is_on_the_way = |output: &GraphFile| match output.content {
        Some(content) => contents.contains(&content),
        None => places.contains(&output.path),
    };
    let mut makers = store.makers()?;
    let mut outputs = Vec::with_capacity(jobs.len());
    for id in &ids {
        let mut of_job = makers.outputs(*id)?;
        if !collections.contains_key(id) {
            of_job.retain(is_on_the_way);
        }
        outputs.push(of_job);
    }
    let written = || outputs.iter().flatten();
    let paths = inputs().map(|file| file.path);
    let paths = store.paths_of(paths.chain(written().map(|file| file.path)))?;
    let digests = inputs().filter_map(|file| file.hash);
    let digests = store.digests_of(digests.chain(written().filter_map(|file| file.content)))?;
    let named = |path: PathId, hash: Option<ContentId>, size_bytes: Option<u64>| Place {
        path: paths.get(path).cloned().unwrap_or_default(),
        hash: hash.and_then(|id| digests.get(id).cloned()),
        size_bytes,
    };
    let named_job = |(job, outputs): (Ancestor<PathId, ContentId>, Vec<GraphFile>)| {
        let read = job.inputs.into_iter();
        let written = outputs.into_iter();
        Some(LineageJob {
            summary: summaries.get(job.job_id)?.clone(),
            inputs: read
                .map(|file| named(file.path, file.hash, file.size_bytes))
                .collect(),
            producers: job.producers,
            outputs: written
                .map(|file| named(file.path, file.content, file.size_bytes))
                .collect(),
            collections: collections.remove(&job.job_id).unwrap_or_default(),
        })
    };
    Ok(jobs
        .into_iter()
        .zip(outputs)
        .filter_map(named_job)
        .collect())
}

/// What jobs read that no job had made, and whether a job had written its place before.
fn sources_of(
    store: &Store,
    unsourced: &[Unsourced<PathId, ContentId>],
) -> Result<Vec<LineageSource>, StoreError> {
    let places = || unsourced.iter().map(|source| &source.place);
    let paths = store.paths_of(places().map(|place| place.path))?;
    let digests = store.digests_of(places().filter_map(|place| place.hash))?;
    let mut makers = store.makers()?;
    let mut sources = Vec::with_capacity(unsourced.len());
    for Unsourced { place, reader } in unsourced {
        let edited_after = match makers.other_writer_of(place.path, place.hash, *reader)? {
            Some(writer) => store.job_summary(writer)?,
            None => None,
        };
        sources.push(LineageSource {
            place: Place {
                path: paths.get(place.path).cloned().unwrap_or_default(),
                hash: place.hash.and_then(|id| digests.get(id).cloned()),
                size_bytes: place.size_bytes,
            },
            reader: Some(*reader),
            edited_after,
        });
    }
    Ok(sources)
}

/// A file that was asked for, that no job made and none on the way read.
fn unread_source(store: &Store, place: &Place) -> Result<LineageSource, StoreError> {
    let Place { path, hash, .. } = place;
    let edited_after = match store.first_reader(path, hash.as_ref())? {
        Some(reader) => store.last_other_writer(path, hash.as_ref(), reader)?,
        None => None,
    };
    Ok(LineageSource {
        place: place.clone(),
        reader: None,
        edited_after,
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

/// Producers as the store knows them.
pub(super) struct Recorded<'a>(Makers<'a>);

impl<'a> Recorded<'a> {
    /// # Errors
    /// The database cannot be read.
    pub(super) fn new(store: &'a Store) -> Result<Self, StoreError> {
        store.makers().map(Self)
    }
}

impl Producers for Recorded<'_> {
    type Error = StoreError;
    type Path = PathId;
    type Content = ContentId;

    fn producer_of(
        &mut self,
        content: &ContentId,
        path: &PathId,
        before: i64,
        elsewhere: bool,
    ) -> Result<Option<i64>, StoreError> {
        self.0.producer_of(*content, *path, before, elsewhere)
    }

    fn inputs(&mut self, job_id: i64) -> Result<Vec<Place<PathId, ContentId>>, StoreError> {
        let inputs = self.0.inputs(job_id)?.into_iter();
        let place = |file: GraphFile| Place {
            path: file.path,
            hash: file.content,
            size_bytes: file.size_bytes,
        };
        Ok(inputs.map(place).collect())
    }

    fn writer_of(&mut self, path: &PathId, before: i64) -> Result<Option<i64>, StoreError> {
        self.0.writer_of(*path, before)
    }
}
