//! Observing one command from its start to its record.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;

use super::Context;
use super::again::{self, Asked};
use super::draft::{Code, Draft, Observed, StoreCache, random_uid, relative_cwd};
use super::observing::{Early, Observing};
use crate::capture::gpu::GpuWatch;
use crate::capture::hash::{Beside, NoCache, Plan};
use crate::capture::launch::LaunchWatch;
use crate::capture::notes::Notes;
use crate::capture::packages::LookAhead;
use crate::capture::select::{Facts, Glance};
use crate::capture::{environment, host};
use crate::clock;
use crate::error::{CommandError, ErrorKind};
use crate::lineage::step_identity;
use crate::model::{Conditions, HashAlgorithm, JobKind, JobRecord, RawString, StoredJob};
use crate::observe::Fold;
use crate::present::progress::Progress;
use crate::present::report;
use crate::present::ui::Ui;
use crate::project::Project;
use crate::recording::{self, Keeper};
use crate::redact::{Redactor, Rules};
use crate::settings::variables::{self, Variables};
use crate::settings::{self, LogLevel, OnLoss, Settings};
use crate::store::running::{self, RunningMarker};
use crate::store::{Blobs, Store};
use crate::timings::{self, moment};
use crate::trace::replay::Recorder;
use crate::trace::{self, Finished, KernelLog, Launch, LaunchError, NoTracer, Tracer, Wanted};

/// What the commands that one roar observes have in common.
pub(super) struct Runner<'a> {
    observing: &'a Observing,
    project: Project,
    settings: Settings,
    redactor: Redactor,
    /// Given to every command.
    variables: Variables,
    store: Store,
    /// For the first command.
    early: Early,
    pub(super) quiet: bool,
}

impl<'a> Runner<'a> {
    /// Finds the project and makes ready.
    ///
    /// # Errors
    /// There is no project, or its settings or its database cannot be used.
    pub(super) fn prepare(
        context: &Context,
        observing: &'a Observing,
        early: Early,
    ) -> Result<Self, CommandError> {
        let phase = timings::phase("settings");
        let project = Project::find(&context.cwd).map_err(before)?;
        let flags = observing
            .tracer
            .iter()
            .map(|tracer| ("tracer.default", tracer.clone()))
            .collect::<Vec<_>>();
        let resolved = settings::load(Some(&project), &flags).map_err(|error| {
            before(CommandError::user("the settings cannot be used").because(error))
        })?;
        if let Some(hidden) = &resolved.hidden
            && !observing.quiet
        {
            report::hidden_settings(&context.ui, hidden);
        }
        let settings = resolved.settings;
        let redactor = redactor(&settings).map_err(before)?;
        let variables = variables::read(&project).map_err(|error| before(error.into()))?;
        drop(phase);
        let phase = timings::phase("open the database");
        let mut store = Store::open(&project).map_err(|error| before(error.into()))?;
        drop(phase);
        let _phase = timings::phase("look for jobs of killed roars");
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
            early,
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
            early,
            quiet,
        } = self;
        let early = std::mem::take(early);
        let kernel_log = (settings.logging.level == LogLevel::Debug)
            .then(|| KernelLog(Box::new(|line| Ui::from_environment().note(line))));
        let notes = Arc::new(Notes::of_user(
            |name| std::env::var_os(name),
            project.directory().join("notes"),
        ));
        // The surroundings are looked at while the kernel checks the programs.
        let (tracer, code, host, facts) = std::thread::scope(|scope| {
            let tracer = scope.spawn(|| {
                let choice = settings.tracer.default;
                let early = early.suiting(choice, kernel_log.is_some());
                early.unwrap_or_else(|| {
                    let _phase = timings::phase("attach the tracer");
                    Tracer::select(Wanted {
                        choice,
                        cgroup: observing.cgroup.as_deref(),
                        log: kernel_log,
                    })
                })
            });
            let code = {
                let _phase = timings::phase("git");
                Code::around(&asked.folder, settings.record.max_job_bytes)
            };
            let host = {
                let _phase = timings::phase("host");
                host::facts(&notes)
            };
            let facts = host::selection_facts(project);
            let tracer = tracer.join().unwrap_or(Err(NoTracer::Panicked));
            (tracer, code, host, facts)
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

        let phase = timings::phase("draft of the job");
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
        let job = Draft {
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
        let mut watch = LaunchWatch::default();
        let gpus = GpuWatch::start(std::env::var_os("ROAR_NVML"));
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
        let algorithms = [settings.hash.run.as_slice(), observing.hash.as_slice()].concat();
        // Before there are threads that live beside the command.
        trace::hold_signals().map_err(|error| {
            before(CommandError::new(
                ErrorKind::BeforeCommand,
                format!("cannot block signals: {error}"),
            ))
        })?;
        // Nobody waits for it.
        drop(store.shorten_log_beside(trace::step_back));
        let beside = Beside::start(beside_plan(project, settings, &facts, &algorithms));
        let mut packages = LookAhead::start(notes);
        drop(phase);
        let finished = trace::run(tracer, &launch, &mut |event| {
            if let Some(log) = &mut log {
                log.record(&event);
            }
            if let Some(beside) = &beside {
                beside.see(&event);
            }
            watch.see(&event);
            packages.see(&event);
            if let Some(gpus) = &gpus {
                gpus.see(&event);
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

        timings::moment(moment::TRACED);
        let status = shell_status(&finished);
        let progress = Progress::new(!*quiet, trace::asked_to_end);
        let mut record = job.finish(
            finished,
            Observed {
                fold,
                watch,
                beside: beside.map(Beside::finish).unwrap_or_default(),
                facts: facts.clone(),
                gpu: gpus.map(GpuWatch::finish).unwrap_or_default(),
                packages,
                join: observing.join.as_deref(),
            },
            backend,
            settings,
            &algorithms,
            code.repository.as_ref(),
            store,
            &progress,
        );
        drop(progress);
        let phase = timings::phase("keep untracked files, hide secrets");
        if let Some(repository) = &code.repository {
            keeper.untracked(&mut record, repository, &mut |digest, path| {
                // Who cannot tell copies.
                matches!(store.latest_producer(digest, path, None), Ok(Some(_)))
            });
        }
        recording::hide_secrets(&mut record, redactor);
        let identity = step_identity(&record, &project.root);
        let idle_step = again::step_of_idle(store, asked, &record);
        drop(phase);
        let phase = timings::phase("store");
        match store.insert_job_instead(&record, &identity, idle_step) {
            Ok(recorded) => {
                drop(phase);
                let phase = timings::phase("collections");
                if let Err(error) = marker.remove() {
                    context.ui.warning(&error.to_string());
                }
                for met in recording::collections(&record, &facts, settings.collections.min_files) {
                    if let Err(error) = store.add_collection(recorded.id, &met) {
                        context.ui.warning(&error.to_string());
                    }
                }
                drop(phase);
                timings::moment(moment::RECORDED);
                let _phase = timings::phase("report");
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
                again::tell_consequences(context, store, asked, &stored, *quiet);
                if let Err(error) = store.shorten_log() {
                    context.ui.warning(&error.to_string());
                }
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

/// How files are hashed while the command runs.
fn beside_plan(
    project: &Project,
    settings: &Settings,
    facts: &Facts,
    algorithms: &[HashAlgorithm],
) -> Plan {
    let glance = Glance::new(settings, facts);
    let project = project.clone();
    Plan {
        is_wanted: Box::new(move |path, was_written| glance.may_count(path, was_written)),
        cache: Box::new(move || match Store::open_read_only(&project) {
            Ok(store) => Box::new(StoreCache(store)),
            Err(_) => Box::new(NoCache),
        }),
        algorithms: algorithms.to_vec(),
        step_back: trace::step_back,
    }
}

/// What fails before the command has started.
fn before(error: CommandError) -> CommandError {
    CommandError {
        kind: ErrorKind::BeforeCommand,
        ..error
    }
}

/// Says which tracer had to be taken and why, once in a project for each reason unless asked for
/// more words.
fn tell_once(ui: &Ui, project: &Project, fallback: &str, verbose: bool) {
    let told = project.directory().join("tracer-told");
    let is_new = std::fs::read(&told).ok().as_deref() != Some(fallback.as_bytes());
    if is_new {
        // What cannot be remembered is said again.
        drop(std::fs::write(&told, fallback));
    }
    if is_new || verbose {
        ui.note(fallback);
    }
}
pub(super) fn no_tracer(error: NoTracer) -> CommandError {
    let hints = error.hints();
    let mut failure =
        CommandError::new(ErrorKind::BeforeCommand, "no tracer can run here").because(error);
    failure.hints = hints;
    failure
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
