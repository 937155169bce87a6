//! `roar run`: observe a command and record the job.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Context;
use super::again::{self, Asked};
use crate::capture::{environment, git, hash::HashCache, host};
use crate::clock;
use crate::error::{CommandError, ErrorKind};
use crate::lineage::step_identity;
use crate::model::{
    CacheKey, CachedHash, Completeness, Conditions, GitState, HashAlgorithm, HostFacts, JobKind,
    JobRecord, JobState, JobUid, Outcome, RawString, StoredJob,
};
use crate::observe::Fold;
use crate::present::report;
use crate::present::ui::Ui;
use crate::privilege::{self, PrivilegeError};
use crate::project::Project;
use crate::recording::{self, Keeper, RecordedFiles};
use crate::redact::{Redactor, Rules};
use crate::settings::variables::{self, Variables};
use crate::settings::{self, LogLevel, OnLoss, Settings};
use crate::store::running::{self, PartialJob, RunningMarker};
use crate::store::{Blobs, Store};
use crate::trace::replay::Recorder;
use crate::trace::{self, Finished, KernelLog, Launch, LaunchError, NoTracer, Tracer, Wanted};

/// Run a command and record which files it reads and writes.
///
/// The command's input, output, terminal, signals and exit status are untouched; roar's own
/// report goes to stderr. roar exits with the command's status (128 + N when signal N killed
/// it), 126 when the command cannot be executed, 127 when it is not found, and 125 when roar
/// itself fails before the command has started.
///
/// `@N` (or `@BN`) in the place of the command runs that step's latest command again, with the
/// arguments and in the folder that were recorded. What follows changes it: `--k=v` or `--k v`
/// takes the place of `--k=old` or `--k old`; an option it did not have, and any other word,
/// goes to the end.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    observing: Observing,

    /// A name for the step.
    #[arg(short, long)]
    name: Option<String>,

    /// With @N: do not ask when the step would read what stale steps made.
    #[arg(short = 'y', long)]
    yes: bool,

    /// The command and its arguments, or @N and what to change.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// How a command is observed and what is told of it.
#[derive(Debug, Args)]
pub(super) struct Observing {
    /// No report after the run.
    #[arg(short, long)]
    quiet: bool,

    /// Also list what was filtered, and by which setting.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Record this content hash beside BLAKE3 (sha256, sha512, md5); may be repeated.
    #[arg(long, value_name = "ALGORITHM")]
    hash: Vec<HashAlgorithm>,

    /// How to observe: auto takes the best that works here.
    #[arg(long, value_name = "TRACER", value_parser = ["auto", "ebpf", "seccomp"])]
    tracer: Option<String>,

    /// Under sudo: run the command as root, not as the user who invoked sudo.
    #[arg(long)]
    as_root: bool,

    /// Also observe whatever runs in this cgroup (v2) meanwhile: a SLURM step, a pod, a systemd
    /// scope. A folder, or a path as /proc/PID/cgroup shows it. Needs eBPF.
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
}

/// Runs the command; the result is its exit status.
///
/// # Errors
/// There is no project, its database or settings cannot be used, no tracer works, or the
/// command cannot be started. Nothing is recorded then.
pub(super) fn run(
    args: &RunArgs,
    kind: JobKind,
    context: &mut Context,
) -> Result<ExitCode, CommandError> {
    let RunArgs {
        observing,
        name,
        yes,
        command,
    } = args;
    let attached = observing.attach_then_step_down()?;
    let mut runner = Runner::prepare(context, observing, attached)?;
    let asked = if command
        .first()
        .is_some_and(|word| again::is_reference(word))
    {
        let asked = runner.again(context, kind, command)?;
        if !again::may_run(context, runner.store(), &asked, *yes)? {
            return Ok(ExitCode::FAILURE);
        }
        if !runner.quiet {
            again::announce(context, &asked, "");
        }
        Asked {
            name: name.clone().or(asked.name),
            ..asked
        }
    } else {
        Asked {
            kind,
            name: name.clone(),
            argv: command.clone(),
            folder: context.cwd.clone(),
            step: None,
        }
    };
    runner.execute(context, &asked).map(ExitCode::from)
}

/// What the commands that one roar observes have in common.
pub(super) struct Runner<'a> {
    observing: &'a Observing,
    project: Project,
    settings: Settings,
    redactor: Redactor,
    /// Given to every command.
    variables: Variables,
    store: Store,
    /// The tracer that was attached before roar became the invoking user, for the first command.
    attached: Option<Tracer>,
    quiet: bool,
}

impl<'a> Runner<'a> {
    /// Finds the project and makes ready.
    ///
    /// # Errors
    /// There is no project, or its settings or its database cannot be used.
    pub(super) fn prepare(
        context: &Context,
        observing: &'a Observing,
        attached: Option<Tracer>,
    ) -> Result<Self, CommandError> {
        let project = Project::find(&context.cwd).map_err(before)?;
        let flags = observing
            .tracer
            .iter()
            .map(|tracer| ("tracer.default", tracer.clone()))
            .collect::<Vec<_>>();
        let resolved = settings::load(Some(&project), &flags).map_err(|error| {
            before(CommandError::user("the settings cannot be used").because(error))
        })?;
        let settings = resolved.settings;
        let redactor = redactor(&settings).map_err(before)?;
        let variables = variables::read(&project).map_err(|error| before(error.into()))?;
        let mut store = Store::open(&project).map_err(|error| before(error.into()))?;
        let swept = running::sweep(&project, &mut store).map_err(|error| before(error.into()))?;
        report::lost_jobs(&context.ui, &swept);
        Ok(Self {
            quiet: observing.quiet || settings.output.quiet,
            observing,
            project,
            settings,
            redactor,
            variables,
            store,
            attached,
        })
    }

    /// The project's store.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// What a step reference and its overrides stand for.
    ///
    /// # Errors
    /// As [`again::asked`].
    pub(super) fn again(
        &self,
        context: &Context,
        kind: JobKind,
        words: &[OsString],
    ) -> Result<Asked, CommandError> {
        again::asked(context, &self.store, &self.project, kind, words)
    }

    /// Observes one command and records the job; the result is its exit status.
    ///
    /// # Errors
    /// No tracer works, or the command cannot be started. Nothing is recorded then.
    pub(super) fn execute(&mut self, context: &Context, asked: &Asked) -> Result<u8, CommandError> {
        let Self {
            observing,
            project,
            settings,
            redactor,
            variables,
            store,
            attached,
            quiet,
        } = self;
        let attached = attached.take();
        let kernel_log = (settings.logging.level == LogLevel::Debug)
            .then(|| KernelLog(Box::new(|line| Ui::from_environment().note(line))));
        // The surroundings are looked at while the kernel checks the programs.
        let (tracer, code, host) = std::thread::scope(|scope| {
            let tracer = scope.spawn(|| match attached {
                Some(tracer) if tracer.suits(settings.tracer.default) => Ok(tracer),
                _ => Tracer::select(Wanted {
                    choice: settings.tracer.default,
                    cgroup: observing.cgroup.as_deref(),
                    log: kernel_log,
                }),
            });
            let code = Code::around(&asked.folder, settings.record.max_job_bytes);
            let host = host::facts();
            (tracer.join().unwrap_or(Err(NoTracer::Panicked)), code, host)
        });
        if let Some(problem) = &code.problem {
            context
                .ui
                .warning(&format!("{problem}; the job has no commit"));
        }
        let mut git = code.state;
        let tracer = tracer.map_err(no_tracer)?;
        if !observing.quiet
            && let Some(fallback) = tracer.fallback()
        {
            tell_once(&context.ui, project, &fallback, observing.verbose);
        }
        if settings.git.require_clean && git.as_ref().is_some_and(|git| git.dirty) {
            return Err(CommandError::new(
                ErrorKind::BeforeCommand,
                "tracked files differ from the commit, and git.require_clean is set",
            )
            .hint("commit or stash the changes, or: roar config set git.require_clean false"));
        }

        let blobs = Blobs::of(project).map_err(|error| before(error.into()))?;
        let mut keeper = Keeper::new(blobs, redactor, &settings.record);
        let mut conditions = Conditions {
            environment: environment(variables, settings),
            ..Conditions::default()
        };
        if let (Some(git), Some(patch)) = (&mut git, code.patch) {
            conditions.redactions = keeper
                .patch(git, patch)
                .map_err(|error| before(error.into()))?;
        }
        let job = Job {
            uid: random_uid(),
            kind: asked.kind,
            name: asked.name.clone(),
            argv: asked
                .argv
                .iter()
                .map(|part| RawString::from_os(part))
                .collect(),
            cwd: relative_cwd(&asked.folder, project),
            started_at_ns: clock::now_ns(),
            git,
            host,
            conditions,
        };
        let backend = tracer.name();
        let marker = RunningMarker::create(project, &job.partial(backend, project, redactor))
            .map_err(|error| before(error.into()))?;
        let mut fold = Fold::new();
        let mut log = event_log()?;
        let launch = Launch {
            argv: asked.argv.clone(),
            environment: variables
                .iter()
                .map(|(name, value)| (name.into(), value.to_os_string()))
                .chain(asked.environment())
                .collect(),
            folder: asked.step.map(|_| asked.folder.clone()),
        };
        let finished = trace::run(tracer, &launch, &mut |event| {
            if let Some(log) = &mut log {
                log.record(&event);
            }
            fold.push(&event);
        });
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                // It never started: no job.
                marker.remove().map_err(|error| before(error.into()))?;
                return Err(launch_failure(error));
            }
        };
        if let Some(Err(error)) = log.map(Recorder::finish) {
            context
                .ui
                .warning(&format!("the event log is incomplete: {error}"));
        }

        let status = shell_status(&finished);
        let algorithms = [settings.hash.run.as_slice(), observing.hash.as_slice()].concat();
        let mut record = job.finish(
            finished,
            fold,
            backend,
            settings,
            &algorithms,
            code.repository.as_ref(),
            project,
            store,
        );
        if let Some(repository) = &code.repository {
            keeper.untracked(&mut record, repository, &mut |digest, path| {
                // Who cannot tell copies.
                matches!(store.latest_producer(digest, path, None), Ok(Some(_)))
            });
        }
        recording::hide_secrets(&mut record, redactor);
        let identity = step_identity(&record, &project.root);
        match store.insert_job(&record, &identity) {
            Ok(recorded) => {
                if let Err(error) = marker.remove() {
                    context.ui.warning(&error.to_string());
                }
                let stored = StoredJob {
                    id: recorded.id,
                    session_id: recorded.session_id,
                    step_number: recorded.step_number,
                    record: JobRecord {
                        uid: recorded.uid,
                        ..record
                    },
                };
                report::finished(
                    &context.ui,
                    &stored,
                    &context.cwd,
                    *quiet,
                    observing.verbose,
                );
                again::tell_consequences(context, store, &stored, *quiet);
                if stored.record.completeness.lost_total() > 0
                    && settings.tracer.on_loss == OnLoss::Fail
                    && status == 0
                {
                    return Err(CommandError::user(
                        "events were lost, and tracer.on_loss is 'fail'",
                    ));
                }
            }
            // The command ran, and its status stands; but the user must know.
            Err(error) => context.ui.error(
                &CommandError::from(error)
                    .hint("the command itself ran to its end; the job was not recorded"),
            ),
        }
        Ok(status)
    }
}

/// What fails before the command has started.
fn before(error: CommandError) -> CommandError {
    CommandError {
        kind: ErrorKind::BeforeCommand,
        ..error
    }
}

/// Says which tracer had to be taken, once in a project unless asked for more words.
fn tell_once(ui: &Ui, project: &Project, fallback: &str, verbose: bool) {
    let told = project.directory().join("tracer-told");
    let is_new = File::options()
        .write(true)
        .create_new(true)
        .open(told)
        .is_ok();
    if is_new || verbose {
        ui.note(fallback);
    }
}

impl Observing {
    /// Under sudo, everything but the attachment of the tracer is done as the user who invoked
    /// it: the tracer comes first, before any file of that user's is looked at.
    ///
    /// # Errors
    /// roar cannot become that user.
    pub(super) fn attach_then_step_down(&self) -> Result<Option<Tracer>, CommandError> {
        if self.as_root {
            return Ok(None);
        }
        let failed = |error: PrivilegeError| {
            CommandError::new(
                ErrorKind::BeforeCommand,
                "cannot run as the user who invoked sudo",
            )
            .because(error)
            .hint("to run the command as root: sudo roar run --as-root …")
        };
        let Some(invoker) = privilege::invoker().map_err(failed)? else {
            return Ok(None);
        };
        // What does not work is told later, when the settings have been read.
        let wanted = Wanted {
            cgroup: self.cgroup.as_deref(),
            ..Wanted::default()
        };
        let tracer = Tracer::select(wanted);
        invoker.become_for_good().map_err(failed)?;
        if self.cgroup.is_some() {
            return tracer.map(Some).map_err(no_tracer);
        }
        Ok(tracer.ok())
    }
}

fn no_tracer(error: NoTracer) -> CommandError {
    let hints = error.hints();
    let mut failure =
        CommandError::new(ErrorKind::BeforeCommand, "no tracer can run here").because(error);
    failure.hints = hints;
    failure
}

/// The code around the command, as git knows it.
#[derive(Default)]
struct Code {
    state: Option<GitState>,
    repository: Option<git::Repository>,
    /// What a dirty work tree has that the commit has not.
    patch: Option<git::Patch>,
    /// Why there is a repository but no state.
    problem: Option<git::GitError>,
}

impl Code {
    fn around(folder: &Path, patch_limit_bytes: u64) -> Self {
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

/// What is known of a job before it runs.
struct Job {
    uid: JobUid,
    kind: JobKind,
    name: Option<String>,
    argv: Vec<RawString>,
    cwd: RawString,
    started_at_ns: i64,
    git: Option<GitState>,
    host: HostFacts,
    conditions: Conditions,
}

impl Job {
    /// The form that the running marker keeps, should this roar be killed.
    fn partial(&self, backend: &str, project: &Project, redactor: &Redactor) -> PartialJob {
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
    fn finish(
        &self,
        finished: Finished,
        fold: Fold,
        backend: &str,
        settings: &Settings,
        algorithms: &[HashAlgorithm],
        repository: Option<&git::Repository>,
        project: &Project,
        store: &mut Store,
    ) -> JobRecord {
        let mut observation = fold.finish();
        let files: RecordedFiles = recording::record_files(
            &mut observation,
            settings,
            host::selection_facts(project),
            |paths| repository.map(|r| r.tracked(paths)).unwrap_or_default(),
            &mut StoreCache(store),
            algorithms,
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
            ..self.record()
        }
    }
}

/// What the settings say of secrets.
fn redactor(settings: &Settings) -> Result<Redactor, CommandError> {
    if !settings.record.redact_secrets {
        return Ok(Redactor::off());
    }
    let omit = &settings.registration;
    Redactor::new(&Rules {
        values: omit.omit_values.clone(),
        variables: omit.omit_variables.clone(),
        patterns: omit.omit_patterns.clone(),
        allowed: omit.allowed_patterns.clone(),
    })
    .map_err(|error| {
        CommandError::user("the settings below registration.omit cannot be used").because(error)
    })
}

/// What is recorded of the command's environment: what is known to matter, and all that the user
/// gave it through roar.
fn environment(variables: &Variables, settings: &Settings) -> BTreeMap<String, RawString> {
    let mut recorded = environment::recorded(std::env::vars_os(), &settings.record.environment);
    recorded.extend(variables.clone());
    recorded
}

/// The hash cache in the project's database. A cache that fails is an empty one.
struct StoreCache<'a>(&'a mut Store);

impl HashCache for StoreCache<'_> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        self.0
            .cached_hashes(keys)
            .unwrap_or_else(|_| vec![None; keys.len()])
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        // What cannot be remembered is hashed again next time.
        drop(self.0.remember_hashes(entries));
    }
}

fn launch_failure(error: LaunchError) -> CommandError {
    let kind = match &error {
        LaunchError::NotFound { .. } => ErrorKind::NotFound,
        LaunchError::CannotExecute { .. } => ErrorKind::CannotExecute,
        LaunchError::Failed { .. } => ErrorKind::BeforeCommand,
    };
    let message = error.to_string();
    let mut failure = CommandError::new(kind, message);
    if let LaunchError::CannotExecute { source, .. } | LaunchError::Failed { source, .. } = error {
        failure = failure.because(source);
    }
    failure
}

/// The status that a shell would show.
fn shell_status(finished: &Finished) -> u8 {
    let status = finished.status;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(1)).unwrap_or(u8::MAX)
}

/// The log that `ROAR_EVENT_LOG` asks for.
fn event_log() -> Result<Option<Recorder<BufWriter<File>>>, CommandError> {
    let Some(path) = std::env::var_os("ROAR_EVENT_LOG").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let recorder = File::create(&path).and_then(|file| Recorder::new(BufWriter::new(file)));
    recorder.map(Some).map_err(|error| {
        let message = format!(
            "cannot write the event log '{}'",
            Path::new(&path).display()
        );
        CommandError::new(ErrorKind::BeforeCommand, message).because(error)
    })
}

fn relative_cwd(cwd: &Path, project: &Project) -> RawString {
    let real = cwd.canonicalize().unwrap_or_else(|_| cwd.to_path_buf());
    match real.strip_prefix(&project.root) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => RawString::from_path(inside),
        Err(_) => RawString::from_path(&real),
    }
}

fn random_uid() -> JobUid {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    JobUid::from_bits((random >> 32) as u32 ^ random as u32)
}
