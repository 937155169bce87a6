//! `roar pop`: takes the newest job back.

use std::path::Path;
use std::process::ExitCode;

use super::Context;
use crate::capture::git;
use crate::discard::{self, Kept};
use crate::error::CommandError;
use crate::model::{Digest, FileRecord, RawString, StoredJob};
use crate::present::pop::{Fate, PopView};
use crate::project::Project;
use crate::store::{Blobs, Store, running};

/// Remove the most recent job from the active session.
///
/// Of the files it wrote, those are deleted that still hold what it wrote and that were not
/// there before: no earlier job read or wrote them, the job itself did not read them, and git
/// does not track them. Where the earlier content is still to be had, because roar kept a copy,
/// it is put back. Links, folders and files outside the project are never touched.
/// Inputs stay.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,
    /// Only tell what would go and what would stay.
    #[arg(long)]
    dry_run: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no job, one is running, nobody confirmed, or the database cannot be written.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let project = Project::find(&context.cwd)?;
    let mut store = Store::open(&project)?;
    let swept = running::sweep(&project, &mut store)?;
    crate::present::report::lost_jobs(&context.ui, &swept);
    refuse_while_running(&project)?;
    let job = match store.newest_job()? {
        Some(summary) => store.job(summary.id)?,
        None => None,
    };
    let Some(job) = job else {
        return Err(
            CommandError::user("the active session has no job to remove")
                .hint("earlier sessions are kept: roar log --all"),
        );
    };
    let blobs = Blobs::of(&project)?;
    let outputs = judge(&project, &store, &blobs, &job)?;
    let mut view = PopView { job: &job, outputs };
    if args.dry_run {
        context.ui.data(&if args.json {
            view.json(false)
        } else {
            view.plan(&context.cwd)
        });
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        for line in view.plan(&context.cwd).lines() {
            context.ui.note(line);
        }
        match context.ui.confirm(&view.question(), false) {
            Some(true) => {}
            Some(false) => {
                context.ui.note("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
            None => {
                return Err(CommandError::user("removing a job must be confirmed")
                    .hint("without a terminal, run: roar pop -y (or --dry-run to see what goes)"));
            }
        }
    }
    // A job that began while the question stood may be reading what this one wrote.
    refuse_while_running(&project)?;
    let outputs = &mut view.outputs;
    let removed =
        store.remove_newest_job(job.id, || discard_all(&project.root, &blobs, outputs))?;
    if !removed {
        return Err(CommandError::user(format!(
            "job {} is not the newest any more; nothing was removed",
            job.record.uid
        ))
        .hint("another roar recorded a job meanwhile: look again with roar log"));
    }
    if args.json {
        context.ui.data(&view.json(true));
        return Ok(ExitCode::SUCCESS);
    }
    for line in view.done(&context.cwd).lines() {
        context.ui.note(line);
    }
    Ok(ExitCode::SUCCESS)
}

/// A running job may be reading or writing the files in question, and is recorded only at its
/// end.
fn refuse_while_running(project: &Project) -> Result<(), CommandError> {
    let jobs = running::alive(project)?;
    if jobs.is_empty() {
        return Ok(());
    }
    let uids: Vec<&str> = jobs.iter().map(String::as_str).collect();
    Err(CommandError::user(format!(
        "a job is running ({}); the newest job is not known before it ends",
        uids.join(", ")
    ))
    .hint("wait for its end, then run: roar pop"))
}

/// What becomes of each output.
fn judge(
    project: &Project,
    store: &Store,
    blobs: &Blobs,
    job: &StoredJob,
) -> Result<Vec<(FileRecord, Fate)>, CommandError> {
    let outputs = &job.record.outputs;
    let tracked = match git::open(&project.root) {
        Ok(Some(repository)) => repository.tracked(outputs.iter().map(|output| &output.path)),
        // Who cannot ask git must not delete what git may track.
        Err(_) => outputs.iter().map(|output| output.path.clone()).collect(),
        Ok(None) => std::collections::HashSet::default(),
    };
    outputs
        .iter()
        .map(|output| {
            let path = &output.path;
            let read = job.record.inputs.iter().find(|input| input.path == *path);
            let before = match read {
                Some(input) => input.hash().cloned(),
                None => store.content_before(path, job.id)?,
            };
            let before = before.filter(|before| Some(before) != output.hash());
            let fate = if tracked.contains(path) {
                Fate::Keep("git tracks it".to_owned())
            } else if let Some(before) = before
                && matches!(blobs.get(&before), Ok(Some(_)))
            {
                match check(&project.root, path, output.hash(), discard::may_discard) {
                    Fate::Delete => Fate::Restore(before),
                    other => other,
                }
            } else if let Some(earlier) = store.earlier_user_of(path, job.id)? {
                Fate::Keep(format!("job {earlier} already met a file there"))
            } else if read.is_some() {
                Fate::Keep("the job updated it in place".to_owned())
            } else {
                check(&project.root, path, output.hash(), discard::may_discard)
            };
            Ok((output.clone(), fate))
        })
        .collect()
}

fn check(
    root: &Path,
    path: &RawString,
    content: Option<&Digest>,
    how: fn(&Path, &Path, &Digest) -> Result<(), Kept>,
) -> Fate {
    let Some(content) = content else {
        return Fate::Keep("its content was not recorded".to_owned());
    };
    match how(root, &path.to_path_buf(), content) {
        Ok(()) => Fate::Delete,
        Err(kept) => Fate::Keep(kept.to_string()),
    }
}

/// Deletes what may go and restores what may be, looking once more at each.
fn discard_all(root: &Path, blobs: &Blobs, outputs: &mut [(FileRecord, Fate)]) {
    for (output, fate) in outputs {
        if let (Fate::Restore(before), Some(content)) = (&*fate, output.hash()) {
            let path = output.path.to_path_buf();
            let restored = match blobs.get(before) {
                Ok(Some(earlier)) => discard::restore(root, &path, content, &earlier)
                    .map_err(|kept| kept.to_string()),
                Ok(None) => Err("the kept copy is gone".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = restored {
                *fate = Fate::Keep(why);
            }
        }
        if matches!(fate, Fate::Delete) {
            *fate = check(root, &output.path, output.hash(), discard::discard);
        }
    }
}
