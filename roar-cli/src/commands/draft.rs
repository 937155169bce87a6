//! A job as far as it is known before it runs, and how the rest is filled in.

use std::borrow::BorrowMut;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use crate::capture::git;
use crate::capture::gpu;
use crate::capture::hash::{FoundBeside, HashCache, Watch};
use crate::capture::launch::LaunchWatch;
use crate::capture::packages::{self, LookAhead};
use crate::capture::select::Facts;
use crate::capture::{network, sources, trackers};
use crate::lineage::step_identity;
use crate::model::{
    CacheKey, CachedHash, Completeness, Conditions, GitState, HashAlgorithm, HostFacts, JobKind,
    JobRecord, JobState, JobUid, Outcome, RawString,
};
use crate::observe::Fold;
use crate::project::Project;
use crate::recording::{self, Hashing, RecordedFiles};
use crate::redact::Redactor;
use crate::settings::Settings;
use crate::store::Store;
use crate::store::running::PartialJob;
use crate::timings;
use crate::trace::Finished;

/// The code around the command, as git knows it.
#[derive(Default)]
pub(super) struct Code {
    pub(super) state: Option<GitState>,
    pub(super) repository: Option<git::Repository>,
    /// What a dirty work tree has that the commit has not.
    pub(super) patch: Option<git::Patch>,
    /// Why there is a repository but no state.
    pub(super) problem: Option<git::GitError>,
}

impl Code {
    pub(super) fn around(folder: &Path, patch_limit_bytes: u64) -> Self {
        let repository = match git::open(folder) {
            Ok(Some(repository)) => repository,
            Ok(None) => return Self::default(),
            Err(problem) => {
                return Self {
                    problem: Some(problem),
                    ..Self::default()
                };
            }
        };
        let found = repository.state().and_then(|state| {
            let patch = state.dirty.then(|| repository.patch(patch_limit_bytes));
            Ok((state, patch.transpose()?))
        });
        let (state, patch, problem) = match found {
            Ok((state, patch)) => (Some(state), patch, None),
            Err(problem) => (None, None, Some(problem)),
        };
        Self {
            state,
            repository: Some(repository),
            patch,
            problem,
        }
    }
}

/// What was seen of a job while it ran.
pub(super) struct Observed<'a> {
    pub(super) fold: Fold,
    pub(super) watch: LaunchWatch,
    /// What was hashed meanwhile.
    pub(super) beside: FoundBeside,
    /// What selection has to know.
    pub(super) facts: Facts,
    /// Graphics processors.
    pub(super) gpu: gpu::Found,
    /// What was learned of packages meanwhile.
    pub(super) packages: LookAhead,
    /// The user's key for the launch it is a part of.
    pub(super) join: Option<&'a str>,
}

/// What is known of a job before it runs.
pub(super) struct Draft {
    pub(super) uid: JobUid,
    pub(super) kind: JobKind,
    pub(super) name: Option<String>,
    pub(super) argv: Vec<RawString>,
    pub(super) cwd: RawString,
    pub(super) started_at_ns: i64,
    pub(super) git: Option<GitState>,
    pub(super) host: HostFacts,
    pub(super) conditions: Conditions,
}

impl Draft {
    /// The form that the running marker keeps, should this roar be killed.
    pub(super) fn partial(
        &self,
        backend: &str,
        project: &Project,
        redactor: &Redactor,
    ) -> PartialJob {
        let mut record = self.record();
        recording::hide_secrets(&mut record, redactor);
        let identity = step_identity(&record, &project.root);
        PartialJob {
            uid: record.uid,
            kind: record.kind,
            name: record.name,
            argv: record.argv,
            cwd: record.cwd,
            started_at_ns: record.started_at_ns,
            backend: backend.to_owned(),
            git: record.git,
            host: record.host,
            conditions: record.conditions,
            identity,
        }
    }

    /// A record without what only the run tells.
    fn record(&self) -> JobRecord {
        JobRecord {
            uid: self.uid.clone(),
            kind: self.kind,
            state: JobState::Done,
            name: self.name.clone(),
            argv: self.argv.clone(),
            cwd: self.cwd.clone(),
            started_at_ns: self.started_at_ns,
            duration_ns: None,
            outcome: Outcome::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            filtered: Vec::new(),
            completeness: Completeness::default(),
            git: self.git.clone(),
            host: self.host.clone(),
            conditions: self.conditions.clone(),
        }
    }

    /// The whole record: folds, selects, hashes.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the finished run"
    )]
    pub(super) fn finish(
        &self,
        finished: Finished,
        observed: Observed<'_>,
        backend: &str,
        settings: &Settings,
        algorithms: &[HashAlgorithm],
        repository: Option<&git::Repository>,
        store: &mut Store,
        progress: &dyn Watch,
    ) -> JobRecord {
        let mut observation = observed.fold.finish();
        let phase = timings::phase("select and hash");
        let files: RecordedFiles = recording::record_files(
            &mut observation,
            settings,
            observed.facts,
            |paths| repository.map(|r| r.tracked(paths)).unwrap_or_default(),
            Hashing {
                cache: &mut StoreCache(&mut *store),
                beside: &observed.beside,
                algorithms,
                watch: progress,
            },
        );
        drop(phase);
        let phase = timings::phase("packages");
        let used = recording::used_files(&observation);
        let software = packages::used(&used, &observed.packages.finish());
        drop(phase);
        let _phase = timings::phase("launch, network, trackers, completeness");
        let sources = sources::of(files.inputs.iter().map(|file| &file.path));
        network::name_from_hosts(&mut observation.network, &used);
        let server = self.conditions.environment.get("WANDB_BASE_URL");
        let trackers = trackers::runs(
            recording::written_paths(&observation),
            self.started_at_ns,
            server.map(ToString::to_string).as_deref(),
        );
        let launch = observed.watch.conclude(
            observed.join,
            std::env::vars_os(),
            &observation,
            &files.inputs,
            &files.outputs,
        );
        let completeness = recording::completeness(backend, &observation, finished.summary, &files);
        JobRecord {
            duration_ns: Some(u64::try_from(finished.duration.as_nanos()).unwrap_or(u64::MAX)),
            outcome: Outcome {
                exit_code: finished.status.code(),
                signal: finished.status.signal(),
                interrupted: finished.interrupted,
            },
            inputs: files.inputs,
            outputs: files.outputs,
            filtered: files.filtered,
            completeness,
            conditions: Conditions {
                software,
                launch,
                sources,
                trackers,
                gpu_use: observed.gpu.used,
                network: observation.network,
                ..self.conditions.clone()
            },
            host: HostFacts {
                gpus: observed.gpu.gpus,
                nvidia_driver: observed.gpu.driver,
                cuda: observed.gpu.cuda,
                ..self.host.clone()
            },
            ..self.record()
        }
    }
}

/// The caches in the project's database. A cache that fails is an empty one.
pub(super) struct StoreCache<S>(pub(super) S);

impl<S: BorrowMut<Store>> HashCache for StoreCache<S> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        self.0
            .borrow_mut()
            .cached_hashes(keys)
            .unwrap_or_else(|_| vec![None; keys.len()])
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        // What cannot be remembered is hashed again next time.
        drop(self.0.borrow_mut().remember_hashes(entries));
    }
}

pub(super) fn relative_cwd(cwd: &Path, project: &Project) -> RawString {
    let real = cwd.canonicalize().unwrap_or_else(|_| cwd.to_path_buf());
    match real.strip_prefix(&project.root) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => RawString::from_path(inside),
        Err(_) => RawString::from_path(&real),
    }
}

pub(super) fn random_uid() -> JobUid {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    JobUid::from_bits((random >> 32) as u32 ^ random as u32)
}
