//! `roar verify`: the files on disk against the record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::reading;
use super::show::nothing_recorded;
use crate::capture::hash::{Hashed, NoCache, Unhashed, hash_files};
use crate::error::CommandError;
use crate::model::{Digest, HashAlgorithm, RawString};
use crate::present::Terminal;
use crate::present::verify::{Verdict, VerifiedFile, VerifyView};
use crate::store::{FileRef, JobWithFiles};

/// Check the files on disk against the record.
///
/// Every file that the active session's jobs read or wrote is read from disk, whatever its
/// times say, and compared with the content that was recorded for its place last: ok, changed,
/// missing, or unreadable. Exits with 1 when any is not ok.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these files, and those below these folders.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Of an earlier session.
    #[arg(long, value_name = "ID")]
    session: Option<i64>,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// The database cannot be read, or nothing is recorded of a path.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let (_, store) = reading::open(context)?;
    let Some(session) = reading::session(&store, args.session)? else {
        context.ui.data(&nothing_recorded(args.json));
        return Ok(ExitCode::SUCCESS);
    };
    let mut recorded = last_recorded(store.session_jobs_with_files(session.id)?);
    if !args.paths.is_empty() {
        recorded = chosen(context, recorded, &args.paths)?;
    }
    let paths: Vec<PathBuf> = recorded.keys().map(RawString::to_path_buf).collect();
    // Without the cache: a disk that lies about a file's times is to be found out, too.
    let found = hash_files(&paths, &[HashAlgorithm::Blake3], &mut NoCache);
    let files: Vec<VerifiedFile> = recorded
        .into_iter()
        .zip(found)
        .map(|((path, record), found)| verdict(path, &record, found))
        .collect();
    let all_ok = files.iter().all(|file| file.state == Verdict::Ok);
    let view = VerifyView {
        session_id: session.id,
        files: &files,
    };
    context.ui.data(&if args.json {
        view.json()
    } else {
        view.text(&context.cwd, Terminal::from_environment())
    });
    Ok(if all_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was recorded of a place last.
struct Recorded {
    hash: Option<Digest>,
    step_number: u32,
    is_output: bool,
}

fn last_recorded(jobs: Vec<JobWithFiles>) -> BTreeMap<RawString, Recorded> {
    let mut last = BTreeMap::new();
    for job in jobs {
        for (files, is_output) in [(job.inputs, false), (job.outputs, true)] {
            for FileRef { path, hash, .. } in files {
                let recorded = Recorded {
                    hash,
                    step_number: job.summary.step_number,
                    is_output,
                };
                // Who made a content tells more of it than who read it.
                let known = last.get(&path);
                if is_output || known.is_none_or(|r: &Recorded| r.hash != recorded.hash) {
                    last.insert(path, recorded);
                }
            }
        }
    }
    last
}

fn chosen(
    context: &Context,
    recorded: BTreeMap<RawString, Recorded>,
    paths: &[PathBuf],
) -> Result<BTreeMap<RawString, Recorded>, CommandError> {
    let wanted: Vec<PathBuf> = paths
        .iter()
        .map(|path| reading::resolved(&context.cwd, path))
        .collect();
    for (path, given) in wanted.iter().zip(paths) {
        let any = recorded.keys().any(|at| at.to_path_buf().starts_with(path));
        if !any {
            let shown = reading::shown(given);
            return Err(CommandError::user(format!(
                "nothing is recorded of '{shown}' in this session"
            ))
            .hint(format!("to find a file by its content: roar show {shown}")));
        }
    }
    Ok(recorded
        .into_iter()
        .filter(|(at, _)| {
            let at = at.to_path_buf();
            wanted.iter().any(|path| at.starts_with(path))
        })
        .collect())
}

fn verdict(path: RawString, record: &Recorded, found: Result<Hashed, Unhashed>) -> VerifiedFile {
    let found = found.map(|hashed| hashed.hashes.get(&HashAlgorithm::Blake3).cloned());
    let hash = record.hash.clone();
    let (state, found, note) = match (&hash, found) {
        (_, Err(Unhashed::Missing)) => (Verdict::Missing, None, None),
        (_, Err(reason)) => (Verdict::Unreadable, None, Some(reason.to_string())),
        (None, Ok(found)) => {
            let note = "its content was not recorded".to_owned();
            (Verdict::Unreadable, found, Some(note))
        }
        (Some(hash), Ok(found)) if found.as_ref() == Some(hash) => (Verdict::Ok, found, None),
        (Some(_), Ok(found)) => (Verdict::Changed, found, None),
    };
    VerifiedFile {
        path,
        hash,
        found,
        state,
        step_number: record.step_number,
        is_output: record.is_output,
        note,
    }
}
