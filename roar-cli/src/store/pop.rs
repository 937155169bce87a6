//! Taking the newest job of the active session back.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::database::Store;
use super::error::StoreError;
use super::jobs::{JobQuery, JobSummary};
use super::rows::{RawSql, digest};
use super::sessions;
use crate::model::{Digest, JobUid, RawString};

impl Store {
    /// The newest job of the active session.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_job(&self) -> Result<Option<JobSummary>, StoreError> {
        let Some(session) = self.active_session()? else {
            return Ok(None);
        };
        let query = JobQuery {
            session: Some(session.id),
            limit: Some(1),
            ..JobQuery::default()
        };
        Ok(self.job_summaries(&query)?.pop())
    }

    /// The newest job before `job_id`, of any session, that read or wrote a path.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn earlier_user_of(
        &self,
        path: &RawString,
        job_id: i64,
    ) -> Result<Option<JobUid>, StoreError> {
        self.read("find earlier uses", || {
            let uid: Option<String> = self
                .connection
                .prepare_cached(
                    "SELECT j.uid FROM job_files f JOIN jobs j ON j.id = f.job_id
                     WHERE f.path_id = (SELECT id FROM paths WHERE path = ?1)
                         AND f.role IN (0, 1) AND f.job_id < ?2
                     ORDER BY f.job_id DESC LIMIT 1",
                )?
                .query_row(params![RawSql(path), job_id], |row| row.get(0))
                .optional()?;
            Ok(uid.and_then(|uid| uid.parse().ok()))
        })
    }

    /// The content that the newest job before `job_id`, of any session, met at a path; what it
    /// wrote where it did both. None when it was not hashed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn content_before(
        &self,
        path: &RawString,
        job_id: i64,
    ) -> Result<Option<Digest>, StoreError> {
        self.read("find the earlier content", || {
            let found = self
                .connection
                .prepare_cached(
                    "SELECT a.blake3 FROM job_files f LEFT JOIN artifacts a ON a.id = f.artifact_id
                     WHERE f.path_id = (SELECT id FROM paths WHERE path = ?1)
                         AND f.role IN (0, 1) AND f.job_id < ?2
                     ORDER BY f.job_id DESC, f.role DESC LIMIT 1",
                )?
                .query_row(params![RawSql(path), job_id], |row| digest(row, 0))
                .optional()?;
            Ok(found.flatten())
        })
    }

    /// Removes a job if it is still the newest of the active session; whether it was. With it go
    /// its step when that has no other execution, and contents that nothing else met.
    ///
    /// `before_commit` runs when the rows are gone and nobody else sees it yet: killed there,
    /// the job is still on record and can be removed again.
    ///
    /// # Errors
    /// The database cannot be written; the job is still there.
    pub fn remove_newest_job(
        &mut self,
        job_id: i64,
        before_commit: impl FnOnce(),
    ) -> Result<bool, StoreError> {
        let failed = self.failed("remove the job");
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        if !is_newest(&transaction, job_id).map_err(&failed)? {
            return Ok(false);
        }
        remove_rows(&transaction, job_id).map_err(&failed)?;
        before_commit();
        transaction.commit().map_err(&failed)?;
        Ok(true)
    }
}

fn is_newest(connection: &Connection, job_id: i64) -> rusqlite::Result<bool> {
    let Some(session) = sessions::active(connection)? else {
        return Ok(false);
    };
    let newest: Option<i64> = connection.query_row(
        "SELECT max(id) FROM jobs WHERE session_id = ?1",
        [session.id],
        |row| row.get(0),
    )?;
    Ok(newest == Some(job_id))
}

fn remove_rows(connection: &Connection, job_id: i64) -> rusqlite::Result<()> {
    let (session_id, step_number): (i64, u32) = connection.query_row(
        "SELECT session_id, step_number FROM jobs WHERE id = ?1",
        [job_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let artifacts: Vec<i64> = connection
        .prepare(
            "SELECT DISTINCT artifact_id FROM job_files
             WHERE job_id = ?1 AND artifact_id IS NOT NULL",
        )?
        .query_map([job_id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    connection.execute("DELETE FROM jobs WHERE id = ?1", [job_id])?;
    connection.execute(
        "DELETE FROM steps WHERE session_id = ?1 AND number = ?2 AND NOT EXISTS (
             SELECT 1 FROM jobs WHERE session_id = ?1 AND step_number = ?2)",
        params![session_id, step_number],
    )?;
    let mut forget = connection.prepare(
        "DELETE FROM artifacts WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM job_files WHERE artifact_id = ?1)
             AND NOT EXISTS (SELECT 1 FROM collection_members WHERE artifact_id = ?1)",
    )?;
    for artifact in artifacts {
        forget.execute([artifact])?;
    }
    Ok(())
}
