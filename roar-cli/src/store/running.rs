//! Markers of running jobs: what becomes of a job whose roar was killed.
//!
//! Before its command starts, a roar puts `.roar/running/UID.json` in place and holds a lock
//! (flock) on it until the job is recorded. The lock ends with the process however it ends, so
//! a marker without one is a job that nobody will record any more: [`sweep`] records it as
//! lost. A marker appears under its name whole and locked; the sweeper that gets the lock owns
//! the marker, and one killed between recording and removing finds the job recorded next time.
//!
//! Where there is no flock (not Unix) markers are written and removed but never swept.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::database::Store;
use super::error::StoreError;
use super::insert::{RecordedJob, step_of_identity};
use super::place;
use super::rows::{RawSql, kind_text};
use crate::model::{
    Completeness, Conditions, Gap, GapKind, GitState, HostFacts, JobKind, JobRecord, JobState,
    JobUid, Outcome, RawString, StepIdentity,
};
use crate::project::Project;

/// The folder of markers, inside `.roar`.
pub(super) const FOLDER: &str = "running";

/// The version written into markers; a marker of a newer one is left alone.
const MARKER_VERSION: u32 = 1;

/// Names of markers that are still being made.
const UNFINISHED: &str = ".new-";

/// What is known of a job before its command starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialJob {
    /// Identifier.
    pub uid: JobUid,
    /// Run or build.
    pub kind: JobKind,
    /// `-n NAME`.
    pub name: Option<String>,
    /// The command, argument by argument.
    pub argv: Vec<RawString>,
    /// Working directory as in [`JobRecord::cwd`].
    pub cwd: RawString,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// The tracer's back-end.
    #[serde(default)]
    pub backend: String,
    /// Git state at the start; none outside git.
    #[serde(default)]
    pub git: Option<GitState>,
    /// The machine.
    #[serde(default)]
    pub host: HostFacts,
    /// What else it runs under.
    #[serde(default)]
    pub conditions: Conditions,
    /// The step it belongs to as far as the command alone tells; only used when no earlier
    /// job of the session ran the same command.
    pub identity: StepIdentity,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Marker<T> {
    version: u32,
    job: T,
}

/// The marker of a running job; dropped without [`RunningMarker::remove`] it stays behind
/// unlocked, and the job counts as lost.
#[derive(Debug)]
#[must_use = "the marker's lock ends when it is dropped"]
pub struct RunningMarker {
    path: PathBuf,
    lock: File,
}

impl RunningMarker {
    /// Puts the marker in place, locked. The descriptor is closed on exec, so the command
    /// does not inherit the lock.
    ///
    /// # Errors
    /// The folder cannot be written, or a marker of this uid is there already.
    pub fn create(project: &Project, job: &PartialJob) -> Result<Self, StoreError> {
        let database = place::database_path(project, false)?;
        let directory = database.with_file_name(FOLDER);
        place::make_private_directory(&directory)?;
        let path = directory.join(format!("{}.json", job.uid));
        let operation = "write the marker of the running job";
        let failed = |error| StoreError::from_io(operation, &path, error);
        let content = serde_json::to_vec(&Marker {
            version: MARKER_VERSION,
            job,
        })
        .map_err(|error| StoreError::InvalidRecord {
            operation,
            detail: error.to_string(),
        })?;
        loop {
            let file = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempfile_in(&directory)
                .map_err(failed)?;
            lock(file.as_file()).map_err(failed)?;
            file.as_file().write_all(&content).map_err(failed)?;
            match file.persist_noclobber(&path) {
                Ok(lock) => return Ok(Self { path, lock }),
                // A sweeper took it for a leftover in the moment before it was locked.
                Err(error) if error.error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error.error)),
            }
        }
    }

    /// Removes the marker: the job is recorded, or there was none after all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn remove(self) -> Result<(), StoreError> {
        remove_file(&self.path)
    }
}

/// A child that was forked but has not reached its exec yet shares the descriptor: closing it
/// here would leave the lock with the child, so it is given up by name.
impl Drop for RunningMarker {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
        #[cfg(not(unix))]
        let _ = &self.lock;
    }
}

/// What [`sweep`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs that were recorded as lost.
    pub lost: Vec<RecordedJob>,
    /// Leftover markers that could not be read; they are left in place.
    pub unreadable: Vec<PathBuf>,
}

/// Records the jobs whose roar was killed as lost and removes their markers. Costs one listing
/// of a folder when there are none.
///
/// # Errors
/// The folder or a marker cannot be read or removed, or a job cannot be recorded.
pub fn sweep(project: &Project, store: &mut Store) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    if !cfg!(unix) {
        return Ok(swept);
    }
    let directory = place::database_path(project, false)?.with_file_name(FOLDER);
    let failed = |error| StoreError::from_io("list the running jobs in", &directory, error);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(swept),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = name.starts_with(UNFINISHED);
        if !unfinished && !name.ends_with(".json") {
            continue;
        }
        let Some(file) = take(&path)? else {
            continue;
        };
        if unfinished {
            remove_file(&path)?;
            continue;
        }
        let Some(job) = parse(&file) else {
            swept.unreadable.push(path);
            continue;
        };
        match record_lost(store, job) {
            Ok(job) => swept.lost.push(job),
            // Its roar (or a sweeper) was killed between recording it and removing the marker.
            Err(StoreError::DuplicateJob { .. }) => {}
            Err(error) => return Err(error),
        }
        remove_file(&path)?;
    }
    swept.lost.sort_by_key(|job| job.id);
    Ok(swept)
}

/// The uids of jobs that are running now: their markers are locked. Where there is no flock (not
/// Unix), every marker counts.
///
/// # Errors
/// The folder or a marker cannot be read.
pub fn alive(project: &Project) -> Result<Vec<String>, StoreError> {
    let directory = place::database_path(project, false)?.with_file_name("running");
    let failed = |error| StoreError::from_io("list the running jobs in", &directory, error);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut uids = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(uid) = name.strip_suffix(".json")
            && path.is_file()
            && take(&path)?.is_none()
        {
            uids.push(uid.to_owned());
        }
    }
    uids.sort_unstable();
    Ok(uids)
}

/// Records a job of which only the beginning is known.
fn record_lost(store: &mut Store, job: PartialJob) -> Result<RecordedJob, StoreError> {
    let PartialJob {
        uid,
        kind,
        name,
        argv,
        cwd,
        started_at_ns,
        backend,
        git,
        host,
        conditions,
        identity,
    } = job;
    let record = JobRecord {
        uid,
        kind,
        state: JobState::Lost,
        name,
        argv,
        cwd,
        started_at_ns,
        duration_ns: None,
        outcome: Outcome::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        filtered: Vec::new(),
        completeness: Completeness {
            backend,
            complete: false,
            gaps: vec![Gap {
                kind: GapKind::ObserverLost,
                detail: "roar ended before the command did".into(),
                count: 1,
            }],
            ..Completeness::default()
        },
        git,
        host,
        conditions,
    };
    store.insert_job_in_step(&record, |connection, session_id| {
        match step_of_command(connection, session_id, &record)? {
            Some(number) => Ok(number),
            None => step_of_identity(connection, session_id, kind, &identity),
        }
    })
}

/// The step of the newest job of the session that ran the same command in the same place: the
/// files that would identify the step were never learned.
fn step_of_command(
    connection: &Connection,
    session_id: i64,
    record: &JobRecord,
) -> rusqlite::Result<Option<u32>> {
    let Ok(argv) = serde_json::to_string(&record.argv) else {
        return Ok(None);
    };
    connection
        .prepare_cached(
            "SELECT step_number FROM jobs
             WHERE session_id = ?1 AND kind = ?2 AND argv = ?3 AND cwd = ?4
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(
            params![
                session_id,
                kind_text(record.kind),
                argv,
                RawSql(&record.cwd)
            ],
            |row| row.get(0),
        )
        .optional()
}

/// The job of a marker; none when it is not one, or of a newer version.
fn parse(file: &File) -> Option<PartialJob> {
    let text = std::io::read_to_string(file).ok()?;
    let marker: Marker<serde_json::Value> = serde_json::from_str(&text).ok()?;
    if marker.version > MARKER_VERSION {
        return None;
    }
    serde_json::from_value(marker.job).ok()
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::from_io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Locks a file that is being made; waits for a sweeper that looks at it just now.
#[cfg(unix)]
fn lock(file: &File) -> std::io::Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive).map_err(Into::into)
}

#[cfg(not(unix))]
fn lock(_file: &File) -> std::io::Result<()> {
    Ok(())
}

/// Takes over a leftover marker; none when its roar lives, when another sweeper has it or had
/// it, or when it is no regular file of ours.
#[cfg(unix)]
fn take(path: &Path) -> Result<Option<File>, StoreError> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(true) // network file systems lock only what may be written
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let Ok(file) = opened else {
        return Ok(None);
    };
    let failed = |error| StoreError::from_io("lock", path, error);
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    }
    let metadata = file.metadata().map_err(failed)?;
    Ok((metadata.is_file() && metadata.nlink() > 0).then_some(file))
}

#[cfg(not(unix))]
fn take(_path: &Path) -> Result<Option<File>, StoreError> {
    Ok(None)
}
