//! `roar verify`: the files on disk against the record.

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::ExitCode;

use hashbrown::HashMap;

use super::Context;
use super::reading;
use super::show::nothing_recorded;
use crate::capture::hash::{Hashed, NoCache, Unhashed, hash_files};
use crate::error::CommandError;
use crate::model::{Digest, HashAlgorithm, JobKind, RawString};
use crate::present::verify::{Verdict, VerifiedFile, VerifyView};
use crate::present::{Terminal, shell};
use crate::store::{ContentId, GraphFile, PathId, Store, StoreError};

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
    let mut recorded = store.moment(|| last_recorded(&store, session.id))??;
    if !args.paths.is_empty() {
        recorded = chosen(context, recorded, &args.paths)?;
    }
    let paths: Vec<&RawString> = recorded.iter().map(|record| &record.path).collect();
    // Without the cache: a disk that lies about a file's times is to be found out, too.
    let found = hash_files(&paths, &[HashAlgorithm::Blake3], &mut NoCache);
    let files = recorded.into_iter().zip(found);
    let files: Vec<VerifiedFile> = files
        .map(|(record, found)| verdict(record, found))
        .collect();
    let files = ManuallyDrop::new(files); // as long as the process
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
struct Recorded<P = RawString, C = Digest> {
    path: P,
    hash: Option<C>,
    step_number: u32,
    is_build: bool,
    is_output: bool,
}

/// What was recorded last of each place that a session's jobs read or wrote, by path.
fn last_recorded(store: &Store, session_id: i64) -> Result<Vec<Recorded>, StoreError> {
    let mut last: HashMap<PathId, Recorded<PathId, ContentId>> = HashMap::new();
    for job in store.graph_jobs(session_id)? {
        for (files, is_output) in [(job.inputs, false), (job.outputs, true)] {
            for GraphFile { path, content, .. } in files {
                // Who made a content tells more of it than who read it.
                let known = last.get(&path);
                if is_output || known.is_none_or(|known| known.hash != content) {
                    last.insert(
                        path,
                        Recorded {
                            path,
                            hash: content,
                            step_number: job.step_number,
                            is_build: job.kind == JobKind::Build,
                            is_output,
                        },
                    );
                }
            }
        }
    }
    let paths = store.paths_of(last.keys().copied())?;
    let digests = store.digests_of(last.values().filter_map(|record| record.hash))?;
    let named = last.into_values().map(|record| Recorded {
        path: paths.get(record.path).cloned().unwrap_or_default(),
        hash: record.hash.and_then(|id| digests.get(id).cloned()),
        step_number: record.step_number,
        is_build: record.is_build,
        is_output: record.is_output,
    });
    let mut named: Vec<Recorded> = named.collect();
    named.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(named)
}

/// The places that are among `paths` or below them.
fn chosen(
    context: &Context,
    mut recorded: Vec<Recorded>,
    paths: &[PathBuf],
) -> Result<Vec<Recorded>, CommandError> {
    let wanted: Vec<PathBuf> = paths
        .iter()
        .map(|path| reading::resolved(&context.cwd, path))
        .collect();
    for (path, given) in wanted.iter().zip(paths) {
        let is_below = |record: &Recorded| record.path.as_path().starts_with(path);
        if !recorded.iter().any(is_below) {
            let shown = reading::shown(given);
            return Err(CommandError::user(format!(
                "nothing is recorded of '{shown}' in this session"
            ))
            .hint(format!(
                "to find a file by its content: roar show {}",
                shell::quote(given.as_os_str().as_encoded_bytes())
            )));
        }
    }
    recorded.retain(|record| {
        let at = record.path.as_path();
        wanted.iter().any(|path| at.starts_with(path))
    });
    Ok(recorded)
}

fn verdict(record: Recorded, found: Result<Hashed, Unhashed>) -> VerifiedFile {
    let Recorded {
        path,
        hash,
        step_number,
        is_build,
        is_output,
    } = record;
    let found = found.map(|hashed| hashed.hashes.get(&HashAlgorithm::Blake3).cloned());
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
        step_number,
        is_build,
        is_output,
        note,
    }
}
