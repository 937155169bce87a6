//! Who made a content, and who wrote a place: what lineage asks. Each question is answered by a
//! few steps into an index, however long the record is.

use rusqlite::{OptionalExtension as _, params};

use super::artifacts::ArtifactUse;
use super::database::Store;
use super::error::StoreError;
use super::jobs::{JobSummary, SUMMARY_COLUMNS, summary_row};
use super::rows::{RawSql, from_document, json, parse_hex};
use crate::model::{Digest, GitState, RawString};

impl Store {
    /// The newest job that produced the content with this BLAKE3 digest; one that did so at
    /// `path` is preferred, and one that did so elsewhere counts only with `elsewhere`, and when
    /// no job up to it had read the content at `path`. With `before`, only jobs recorded before
    /// that one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn producer_of(
        &self,
        hash: &Digest,
        path: &RawString,
        before: Option<i64>,
        elsewhere: bool,
    ) -> Result<Option<i64>, StoreError> {
        let Some(digest) = parse_hex(hash.as_str()) else {
            return Ok(None);
        };
        let before = before.unwrap_or(i64::MAX);
        self.read("find the producer", || {
            let Some(artifact) = self.number(
                "SELECT id FROM artifacts WHERE blake3 = ?1",
                params![digest],
            )?
            else {
                return Ok(None);
            };
            let place = self.number("SELECT id FROM paths WHERE path = ?1", [RawSql(path)])?;
            let mut makers = self.ready_makers()?;
            makers.producer(artifact, place, before, elsewhere)
        })
    }

    /// As [`Store::producer_of`], wherever the content was made.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn latest_producer(
        &self,
        hash: &Digest,
        path: &RawString,
        before: Option<i64>,
    ) -> Result<Option<JobSummary>, StoreError> {
        match self.producer_of(hash, path, before, true)? {
            Some(id) => self.job_summary(id),
            None => Ok(None),
        }
    }

    /// The newest job before `before` that wrote this path with another content than `hash`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_other_writer(
        &self,
        path: &RawString,
        hash: Option<&Digest>,
        before: i64,
    ) -> Result<Option<JobSummary>, StoreError> {
        let digest = hash.and_then(|hash| parse_hex(hash.as_str()));
        let found = self.read("find the last writer", || {
            self.number(
                "SELECT job_id FROM job_files INDEXED BY job_files_path
                 WHERE path_id = (SELECT id FROM paths WHERE path = ?1) AND role = 1
                     AND job_id < ?2
                     AND artifact_id IS NOT (SELECT id FROM artifacts WHERE blake3 = ?3)
                 ORDER BY job_id DESC LIMIT 1",
                params![RawSql(path), before, digest],
            )
        })?;
        match found {
            Some(id) => self.job_summary(id),
            None => Ok(None),
        }
    }

    /// The first job that read a content at this path.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn first_reader(
        &self,
        path: &RawString,
        hash: Option<&Digest>,
    ) -> Result<Option<i64>, StoreError> {
        let digest = hash.and_then(|hash| parse_hex(hash.as_str()));
        self.read("find the first reader", || {
            self.number(
                "SELECT job_id FROM job_files INDEXED BY job_files_artifact
                 WHERE artifact_id = (SELECT id FROM artifacts WHERE blake3 = ?2) AND role = 0
                     AND path_id = (SELECT id FROM paths WHERE path = ?1)
                 ORDER BY job_id LIMIT 1",
                params![RawSql(path), digest],
            )
        })
    }

    /// The newest meeting of a job with this artifact; with `produced`, the newest production.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_use(
        &self,
        artifact_id: i64,
        produced: bool,
    ) -> Result<Option<ArtifactUse>, StoreError> {
        let mut uses = self.newest_uses(artifact_id, true, 1)?;
        if !produced {
            uses.extend(self.newest_uses(artifact_id, false, 1)?);
        }
        Ok(uses
            .into_iter()
            .max_by_key(|one| (one.job.id, !one.produced)))
    }

    /// The newest content that a job met at this path; none when none could be hashed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_content_at(&self, path: &RawString) -> Result<Option<i64>, StoreError> {
        self.read("find the last content", || {
            let Some(place) =
                self.number("SELECT id FROM paths WHERE path = ?1", [RawSql(path)])?
            else {
                return Ok(None);
            };
            // Of one job that read a file and wrote it, what it wrote is the last.
            let newest = "SELECT job_id, artifact_id FROM job_files INDEXED BY job_files_path
                 WHERE path_id = ?1 AND role = ?2 AND artifact_id IS NOT NULL
                 ORDER BY job_id DESC LIMIT 1";
            let mut statement = self.connection.prepare_cached(newest)?;
            let mut of_role = |role: i64| -> rusqlite::Result<Option<(i64, i64)>> {
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                statement.query_row(params![place, role], row).optional()
            };
            let (read, written) = (of_role(0)?, of_role(1)?);
            Ok(match (read, written) {
                (Some(read), Some(written)) if read.0 > written.0 => Some(read.1),
                (read, written) => written.or(read).map(|(_, artifact)| artifact),
            })
        })
    }

    /// One job without its files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job_summary(&self, id: i64) -> Result<Option<JobSummary>, StoreError> {
        let sql = format!("SELECT {SUMMARY_COLUMNS} FROM jobs j WHERE j.id = ?1");
        self.read("read the job", || {
            self.connection
                .prepare_cached(&sql)?
                .query_row([id], summary_row)
                .optional()
        })
    }

    /// The repository when a job ran; none outside git.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job_git(&self, id: i64) -> Result<Option<GitState>, StoreError> {
        self.read("read the state of git", || {
            self.connection
                .prepare_cached("SELECT git FROM jobs WHERE id = ?1 AND git IS NOT NULL")?
                .query_row([id], |row| json(row, 0, from_document))
                .optional()
        })
    }

    /// The one number that a statement gives; none for no row and for NULL.
    pub(super) fn number(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> rusqlite::Result<Option<i64>> {
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row(parameters, |row| row.get::<_, Option<i64>>(0))
            .optional()?;
        Ok(found.flatten())
    }
}
