//! What every question to the record needs: the open store, the clock, a session's graph,
//! the content of a file on disk.

use std::path::{Path, PathBuf};

use super::Context;
use crate::capture::hash::{self, HashCache, Unhashed, hash_files};
use crate::error::CommandError;
use crate::lineage::{ArtifactVersion, Execution, Place, SessionGraph, StaleRead, StepState};
use crate::model::{CacheKey, CachedHash, Digest, HashAlgorithm, JobState, RawString, Session};
use crate::present::human;
use crate::present::session::StepLine;
use crate::project::Project;
use crate::store::{ContentId, FileRef, GraphFile, GraphJob, PathId, Store, StoreError, running};

/// The project around the working directory and its store, for reading.
///
/// # Errors
/// There is no project, or its database cannot be read.
pub(super) fn open(context: &Context) -> Result<(Project, Store), CommandError> {
    let project = Project::find(&context.cwd)?;
    record_lost_jobs(context, &project);
    let store = match Store::open_read_only(&project) {
        Err(StoreError::Missing { .. } | StoreError::Outdated { .. }) => Store::open(&project)?,
        other => other?,
    };
    Ok((project, store))
}

/// Records the jobs whose roar was killed. A question must be answered even where nothing can
/// be written, so that a failure is only told.
fn record_lost_jobs(context: &Context, project: &Project) {
    let markers = std::fs::read_dir(project.directory().join("running"));
    let any = markers.is_ok_and(|mut entries| entries.next().is_some());
    if !any {
        return;
    }
    let swept = Store::open(project).and_then(|mut store| running::sweep(project, &mut store));
    if let Err(error) = swept {
        context
            .ui
            .warning(&format!("cannot record jobs that were cut short: {error}"));
    }
}

/// A graph without names.
pub(super) type IdGraph = SessionGraph<PathId, ContentId>;

/// The graph of a session.
///
/// # Errors
/// The database cannot be read.
pub(super) fn graph(store: &Store, session_id: i64) -> Result<IdGraph, StoreError> {
    let places = |files: Vec<GraphFile>| {
        let place = |file: GraphFile| Place {
            path: file.path,
            hash: file.content,
            size_bytes: file.size_bytes,
        };
        files.into_iter().map(place).collect()
    };
    let execution = |job: GraphJob| Execution {
        job_id: job.id,
        uid: job.uid,
        kind: job.kind,
        step_number: job.step_number,
        lost: job.state == JobState::Lost,
        failed: job.failed,
        inputs: places(job.inputs),
        outputs: places(job.outputs),
    };
    let jobs = store.graph_jobs(session_id)?;
    Ok(SessionGraph::new(jobs.into_iter().map(execution).collect()))
}

/// The steps by number, each with its newest execution.
///
/// # Errors
/// The database cannot be read.
pub(super) fn steps(
    store: &Store,
    graph: &IdGraph,
    states: &[StepState],
) -> Result<Vec<StepLine>, StoreError> {
    let job_of = |index: usize| graph.executions()[index].job_id;
    let newest = |step: &u32| graph.newest(*step);
    let jobs = store.summaries_of(graph.latest().keys().filter_map(newest).map(job_of))?;
    let steps = graph.latest().keys().filter_map(|step| {
        let index = newest(step)?;
        Some(StepLine {
            // It may have been taken back meanwhile.
            latest: jobs.get(job_of(index))?.clone(),
            state: states[index],
            executions: graph.executions_of(*step).len(),
        })
    });
    Ok(steps.collect())
}

/// Gives versions their names and puts them in order: by producing step, then path.
///
/// # Errors
/// The database cannot be read.
pub(super) fn named(
    store: &Store,
    versions: Vec<ArtifactVersion<PathId, ContentId>>,
) -> Result<Vec<ArtifactVersion>, StoreError> {
    let paths = store.paths_of(versions.iter().map(|version| version.path))?;
    let contents = versions.iter().flat_map(|version| {
        let ArtifactVersion {
            hash,
            superseded_by,
            ..
        } = version;
        [hash, superseded_by].into_iter().flatten().copied()
    });
    let digests = store.digests_of(contents)?;
    let mut named: Vec<ArtifactVersion> = versions
        .into_iter()
        .map(|version| ArtifactVersion {
            path: paths.get(version.path).cloned().unwrap_or_default(),
            hash: version.hash.and_then(|id| digests.get(id).cloned()),
            size_bytes: version.size_bytes,
            producer: version.producer,
            producer_step: version.producer_step,
            state: version.state,
            consumer_steps: version.consumer_steps,
            is_terminal: version.is_terminal,
            is_superseded: version.is_superseded,
            superseded_by: version
                .superseded_by
                .and_then(|id| digests.get(id).cloned()),
        })
        .collect();
    named.sort_by(|a, b| {
        (a.producer_step, &a.path, a.producer).cmp(&(b.producer_step, &b.path, b.producer))
    });
    Ok(named)
}

/// Gives files that stale steps made their names.
///
/// # Errors
/// The database cannot be read.
pub(super) fn named_reads(
    store: &Store,
    reads: Vec<StaleRead<PathId>>,
) -> Result<Vec<StaleRead>, StoreError> {
    let mut named = reads
        .into_iter()
        .map(|StaleRead { path, by_step }| {
            let path = store.path_of(path)?;
            Ok(StaleRead { path, by_step })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    named.sort();
    Ok(named)
}

/// A file of a job as lineage sees it.
pub(super) fn place(file: FileRef) -> Place {
    Place {
        path: file.path,
        hash: file.hash,
        size_bytes: file.size_bytes,
    }
}

/// The session asked for, else the active one; none before the first job.
///
/// # Errors
/// There is no such session.
pub(super) fn session(store: &Store, id: Option<i64>) -> Result<Option<Session>, CommandError> {
    let Some(id) = id else {
        return Ok(store.active_session()?);
    };
    if let Some(session) = store.session(id)? {
        return Ok(Some(session));
    }
    let error = CommandError::user(format!("there is no session {id}"));
    let known: Vec<String> = store.sessions()?.iter().map(|s| s.id.to_string()).collect();
    Err(match known.as_slice() {
        [] => error.hint("nothing is recorded yet; begin with: roar run COMMAND"),
        [.., _] => error.hint(format!("sessions: {}", known.join(", "))),
    })
}

/// What stands at a path.
pub(super) struct OnDisk {
    /// Absolute, symbolic links resolved where the file exists.
    pub(super) path: PathBuf,
    /// Its content, or why there is none.
    pub(super) content: Result<Digest, Unhashed>,
}

/// Hashes the file at a path, relative ones from `cwd`.
pub(super) fn hash_path(store: &Store, cwd: &Path, path: &Path) -> OnDisk {
    let resolved = resolved(cwd, path);
    let mut contents = hash_paths(store, std::slice::from_ref(&resolved));
    OnDisk {
        path: resolved,
        content: contents.pop().unwrap_or(Err(Unhashed::Missing)),
    }
}

/// The absolute path, relative ones from `cwd`; symbolic links resolved where the file, or at
/// least its folder, exists.
pub(super) fn resolved(cwd: &Path, path: &Path) -> PathBuf {
    let absolute = lexical(&cwd.join(path));
    absolute.canonicalize().unwrap_or_else(|_| {
        match (
            absolute.parent().map(Path::canonicalize),
            absolute.file_name(),
        ) {
            (Some(Ok(folder)), Some(name)) => folder.join(name),
            _ => absolute.clone(),
        }
    })
}

/// The contents of files, in the order of the paths.
pub(super) fn hash_paths(
    store: &Store,
    paths: &[impl hash::Place],
) -> Vec<Result<Digest, Unhashed>> {
    hash_files(paths, &[HashAlgorithm::Blake3], &mut ReadOnlyCache(store))
        .into_iter()
        .map(|hashed| {
            hashed.and_then(|hashed| {
                hashed
                    .hashes
                    .get(&HashAlgorithm::Blake3)
                    .cloned()
                    .ok_or_else(|| Unhashed::Io("not hashed".to_owned()))
            })
        })
        .collect()
}

/// The store's hash cache for commands that only ask: what it cannot say is hashed anew.
struct ReadOnlyCache<'a>(&'a Store);

impl HashCache for ReadOnlyCache<'_> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        self.0
            .cached_hashes(keys)
            .unwrap_or_else(|_| vec![None; keys.len()])
    }

    fn put(&mut self, _entries: &[(CacheKey, CachedHash)]) {}
}

/// The path without `.` and `..`, by its text alone.
fn lexical(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// A path in a message.
pub(super) fn shown(path: &Path) -> String {
    RawString::from_path(path).to_string()
}

/// The steps of a session in words: what a wrong reference is answered with.
pub(super) fn steps_in_words(store: &Store, session_id: i64) -> Result<String, CommandError> {
    let references: Vec<String> = store
        .steps(session_id)?
        .into_iter()
        .map(|(number, kind)| {
            crate::present::dag::reference(number, kind == crate::model::JobKind::Build)
        })
        .collect();
    Ok(match references.as_slice() {
        [] => "the session has no steps yet".to_owned(),
        [one] => format!("the session has one step: {one}"),
        [first, .., last] if references.len() > 12 => format!(
            "the session has {}: {first} to {last} (roar show lists them)",
            human::count(references.len(), "step")
        ),
        all => format!("the session has the steps {}", all.join(", ")),
    })
}
