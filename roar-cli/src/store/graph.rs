//! The jobs of a session as its graph needs them: numbers in the place of paths and contents, so
//! that ten thousand jobs are read in the time that their names alone would take.

use rusqlite::Row;

use super::database::Store;
use super::error::StoreError;
use super::rows::{digest, json, kind, raw, state, unsigned};
use crate::model::{Digest, JobKind, JobState, JobUid, RawString};

/// A path, as the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub(super) i64);

/// A content, as the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub(super) i64);

/// A job of a session's graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphJob {
    /// Database id, ascending in order of recording.
    pub id: i64,
    /// Identifier.
    pub uid: JobUid,
    /// Run or build.
    pub kind: JobKind,
    /// Whether roar saw the end of it.
    pub state: JobState,
    /// Its command did not succeed.
    pub failed: bool,
    /// The step of the session.
    pub step_number: u32,
    /// What it consumed.
    pub inputs: Vec<GraphFile>,
    /// What it produced.
    pub outputs: Vec<GraphFile>,
}

/// A file of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphFile {
    /// Where it was.
    pub path: PathId,
    /// What it held; none when it could not be hashed.
    pub content: Option<ContentId>,
    /// Size of the content in bytes, where known.
    pub size_bytes: Option<u64>,
}

impl Store {
    /// Every job of a session, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn graph_jobs(&self, session_id: i64) -> Result<Vec<GraphJob>, StoreError> {
        self.read("read the jobs of the session", || {
            // One transaction: jobs and files are of one moment.
            let _moment = self.snapshot()?;
            let mut jobs = self
                .connection
                .prepare_cached(
                    "SELECT id, uid, kind, state, step_number
                     FROM jobs INDEXED BY jobs_overview WHERE session_id = ?1 ORDER BY id",
                )?
                .query_map([session_id], job)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let (Some(first), Some(last)) = (jobs.first(), jobs.last()) else {
                return Ok(jobs);
            };
            let (first, last) = (first.id, last.id);
            // The few are in an index of their own.
            let mut failed = self.connection.prepare_cached(
                "SELECT id FROM jobs INDEXED BY jobs_failed WHERE id BETWEEN ?1 AND ?2
                     AND (state <> 'done' OR exit_code IS NOT 0 OR signal IS NOT NULL)",
            )?;
            let mut failed = failed.query([first, last])?;
            while let Some(row) = failed.next()? {
                let id: i64 = row.get(0)?;
                if let Ok(at) = jobs.binary_search_by_key(&id, |job| job.id) {
                    jobs[at].failed = jobs[at].state == JobState::Done;
                }
            }
            // Only one session takes jobs at a time: one's jobs follow each other.
            let mut files = self.connection.prepare_cached(
                "SELECT job_id, role, path_id, artifact_id, size_bytes FROM job_files
                 WHERE job_id BETWEEN ?1 AND ?2 ORDER BY job_id, role, position",
            )?;
            let mut files = files.query([first, last])?;
            let mut at = 0;
            while let Some(row) = files.next()? {
                let job_id: i64 = row.get(0)?;
                while jobs.get(at).is_some_and(|job| job.id < job_id) {
                    at += 1;
                }
                let Some(job) = jobs.get_mut(at).filter(|job| job.id == job_id) else {
                    continue;
                };
                let file = GraphFile {
                    path: PathId(row.get(2)?),
                    content: row.get::<_, Option<i64>>(3)?.map(ContentId),
                    size_bytes: unsigned(row, 4)?,
                };
                if row.get::<_, i64>(1)? == 0 {
                    job.inputs.push(file);
                } else {
                    job.outputs.push(file);
                }
            }
            Ok(jobs)
        })
    }

    /// The path that an id stands for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn path_of(&self, id: PathId) -> Result<RawString, StoreError> {
        self.read("read a path", || {
            self.connection
                .prepare_cached("SELECT path FROM paths WHERE id = ?1")?
                .query_row([id.0], |row| raw(row, 0))
        })
    }

    /// The BLAKE3 digest of the content that an id stands for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn digest_of(&self, id: ContentId) -> Result<Digest, StoreError> {
        self.read("read a digest", || {
            self.connection
                .prepare_cached("SELECT blake3 FROM artifacts WHERE id = ?1")?
                .query_row([id.0], |row| digest(row, 0))?
                .ok_or(rusqlite::Error::InvalidQuery)
        })
    }
}

fn job(row: &Row<'_>) -> rusqlite::Result<GraphJob> {
    Ok(GraphJob {
        id: row.get(0)?,
        uid: json(row, 1, |text| {
            text.parse().map_err(serde::de::Error::custom)
        })?,
        kind: kind(row, 2)?,
        state: state(row, 3)?,
        failed: false,
        step_number: row.get(4)?,
        inputs: Vec::new(),
        outputs: Vec::new(),
    })
}
