//! Running a recorded step again: what `@N` stands for as a command, and what the run means
//! for the rest of the pipeline.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::overrides::{self, Overridden};
use super::{Context, reading, reference};
use crate::error::{CommandError, ErrorKind};
use crate::lineage::{consequences, is_part_of};
use crate::model::{FileRecord, JobKind, JobRecord, RawString, RedactedPlace, StoredJob};
use crate::present::{dag, report, shell};
use crate::project::Project;
use crate::store::{FileRef, Store};

/// A command to observe.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) kind: JobKind,
    pub(super) name: Option<String>,
    pub(super) argv: Vec<OsString>,
    /// The folder to run it in, absolute.
    pub(super) folder: PathBuf,
    /// The step it repeats; none for a command that was typed.
    pub(super) step: Option<u32>,
}

impl Asked {
    /// Variables to set for it: shells and others believe `PWD`.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let folder = self.step.map(|_| self.folder.clone().into_os_string());
        folder.into_iter().map(|at| ("PWD".into(), at)).collect()
    }
}

/// Whether a command is a step reference and not a program's name.
pub(super) fn is_reference(command: &OsStr) -> bool {
    command.as_encoded_bytes().starts_with(b"@")
}

/// The latest command of the step that the first word refers to, with the other words as
/// overrides.
///
/// # Errors
/// There is no such step, it is of the other kind, the folder it ran in is gone, or an argument
/// was a secret that is not given anew.
pub(super) fn asked(
    context: &Context,
    store: &Store,
    project: &Project,
    kind: JobKind,
    words: &[OsString],
) -> Result<Asked, CommandError> {
    let Some((first, words)) = words.split_first() else {
        return Err(CommandError::user("there is no command"));
    };
    let summary = reference::step(store, &first.to_string_lossy())?;
    let shown = dag::reference(summary.step_number, summary.kind == JobKind::Build);
    if kind == JobKind::Build && summary.kind != JobKind::Build {
        return Err(CommandError::user(format!(
            "step {} is not a build step",
            summary.step_number
        ))
        .hint(format!("to run it again: roar run {shown}")));
    }
    let job = store
        .job(summary.id)?
        .ok_or_else(|| CommandError::user(format!("job {} was just removed", summary.uid)))?;
    let folder = project.root.join(job.record.cwd.to_path_buf());
    if !folder.is_dir() {
        return Err(CommandError::new(
            ErrorKind::BeforeCommand,
            format!(
                "{shown} ran in '{}', which is no folder any more",
                job.record.cwd
            ),
        ));
    }
    let Overridden { argv, appended } = overrides::apply(&job.record.argv, words);
    if let Some((index, option)) = still_redacted(&job.record, &argv) {
        return Err(match option {
            Some(option) => CommandError::user(format!(
                "the value of {option} was a secret and is not recorded"
            ))
            .hint(format!("give it again: roar run {shown} {option}=…")),
            None => {
                CommandError::user(format!("argument {index} was a secret and is not recorded"))
                    .hint(format!(
                        "type the command again: {}",
                        shell::one_line(&job.record.argv)
                    ))
            }
        });
    }
    for option in appended {
        context.ui.note(&format!(
            "{} is no option of the recorded command: it is put at the end",
            RawString::from_os(&option)
        ));
    }
    Ok(Asked {
        kind: job.record.kind,
        name: job.record.name,
        argv,
        folder: folder.canonicalize().unwrap_or(folder),
        step: Some(summary.step_number),
    })
}

/// What of a recorded command is known to be missing and was not given anew: a redacted argument
/// would reach the program as the mark that stands in its place. Its option, where it has one.
fn still_redacted<'a>(job: &'a JobRecord, argv: &[OsString]) -> Option<(usize, Option<&'a str>)> {
    job.conditions.redactions.iter().find_map(|redaction| {
        let RedactedPlace::Argument { index, option } = &redaction.place else {
            return None;
        };
        let mark = job.argv.get(*index)?.to_os_string();
        argv.contains(&mark).then_some((*index, option.as_deref()))
    })
}

/// Says which step is about to run, and how.
pub(super) fn announce(context: &Context, asked: &Asked, progress: &str) {
    if let Some(step) = asked.step {
        let argv: Vec<RawString> = asked
            .argv
            .iter()
            .map(|word| RawString::from_os(word))
            .collect();
        let step = dag::reference(step, asked.kind == JobKind::Build);
        context
            .ui
            .note(&format!("{progress}{step}: {}", shell::one_line(&argv)));
    }
}

/// Warns when the step would read what stale steps made; asks, where there is somebody to ask,
/// whether it is to run all the same.
///
/// # Errors
/// The database cannot be read.
pub(super) fn may_run(
    context: &Context,
    store: &Store,
    asked: &Asked,
    yes: bool,
) -> Result<bool, CommandError> {
    let (Some(step), Some(session)) = (asked.step, store.active_session()?) else {
        return Ok(true);
    };
    let graph = reading::graph(store, session.id)?;
    let stale = graph.would_read_stale(step, &graph.states());
    let stale = reading::named_reads(store, stale)?;
    if stale.is_empty() {
        return Ok(true);
    }
    report::stale_reads(&context.ui, &stale, &context.cwd, "reads");
    context
        .ui
        .note("to run the stale steps first, in order: roar rerun --stale");
    // Without a terminal the warning has to do: a script asked for this step.
    let agreed = yes
        || context
            .ui
            .confirm("Run it all the same?", false)
            .unwrap_or(true);
    if !agreed {
        context.ui.note("nothing was run");
    }
    Ok(agreed)
}

/// The step of which a job is an execution, whatever little it read and wrote, because it failed or
/// had nothing to do (`make` where all is up to date): the one that runs the same command in the same
/// folder, if the job kept to its places; of a job that failed, the one that was asked for by its
/// number. None for every other job, whose places tell.
pub(super) fn step_of_idle(store: &Store, asked: &Asked, record: &JobRecord) -> Option<u32> {
    let succeeded = record.outcome.succeeded();
    if !succeeded && asked.step.is_some() {
        return asked.step;
    }
    if succeeded && !record.outputs.is_empty() {
        return None;
    }
    let session = store.active_session().ok()??;
    // A question that fails makes a step of its own of it.
    let summary = store.latest_job_of_command(session.id, record).ok()??;
    let step = summary.step_number;
    let earlier = store.job_with_files(summary).ok()?;
    if succeeded && earlier.outputs.is_empty() {
        return None;
    }
    let recorded = |files: &[FileRecord]| -> Vec<RawString> {
        files.iter().map(|file| file.path.clone()).collect()
    };
    let known = |files: &[FileRef]| -> Vec<RawString> {
        files.iter().map(|file| file.path.clone()).collect()
    };
    is_part_of(
        (&recorded(&record.inputs), &recorded(&record.outputs)),
        (&known(&earlier.inputs), &known(&earlier.outputs)),
    )
    .then_some(step)
}

/// Tells what a recorded job means for the pipeline: stale inputs, steps now stale.
pub(super) fn tell_consequences(
    context: &Context,
    store: &Store,
    asked: &Asked,
    job: &StoredJob,
    quiet: bool,
) {
    if let Some(step) = asked.step.filter(|step| *step != job.step_number) {
        let is_build = job.record.kind == JobKind::Build;
        context.ui.note(&format!(
            "recorded as {}, not {}: it read or wrote other files",
            dag::reference(job.step_number, is_build),
            dag::reference(step, is_build)
        ));
    }
    // The job is recorded and its command has ended: a question that fails now is no failure.
    if matches!(store.is_quiet(job.id), Ok(true)) {
        return;
    }
    let Ok(graph) = reading::graph(store, job.session_id) else {
        return;
    };
    let found = consequences(&graph, &job.record.uid);
    let Ok(reads) = reading::named_reads(store, found.stale_reads) else {
        return;
    };
    report::stale_reads(&context.ui, &reads, &context.cwd, "read");
    if !quiet && !found.made_stale.is_empty() {
        let steps: Vec<String> = found
            .made_stale
            .iter()
            .filter_map(|step| graph.latest().get(step))
            .map(|index| &graph.executions()[*index])
            .map(|job| dag::reference(job.step_number, job.kind == JobKind::Build))
            .collect();
        report::made_stale(&context.ui, &steps);
    }
}
