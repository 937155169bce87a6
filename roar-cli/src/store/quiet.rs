//! Whether a job that was just recorded means anything for the other steps of its session.
//!
//! Nearly always it does not: it read what no stale step made, and nobody has read yet what it
//! wrote. That is told here by a few steps into an index for each of its files, where the
//! session's whole graph (`lineage::consequences`) would take longer the longer the session is.
//! An answer is certain or not given: what moved, was edited by hand or is updated in place is
//! left to the graph.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};

use super::database::Store;
use super::error::StoreError;

/// More steps upstream than this are left to the graph.
const MOST_STEPS: usize = 200;
/// So are jobs of more files: the graph reads them faster than they can be looked up.
const MOST_FILES: i64 = 5000;

impl Store {
    /// Whether the newest job of a session certainly read nothing that a stale step had made,
    /// and made no step stale.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn is_quiet(&self, job_id: i64) -> Result<bool, StoreError> {
        self.read("look for consequences", || {
            let _moment = self.snapshot()?;
            let Some(job) = self.job_in_brief(job_id)? else {
                return Ok(false);
            };
            if job.files == 0 {
                return Ok(true);
            }
            // Only one session takes jobs at a time: one's jobs follow each other.
            let first = "SELECT min(id) FROM jobs WHERE session_id = ?1";
            let session = InSession {
                store: self,
                session: job.session,
                first: self.number(first, [job.session])?.unwrap_or(job_id),
            };
            if job.files > MOST_FILES {
                return session.is_apart(job_id);
            }
            Ok(!session.outputs_were_read(job_id, job.step)?
                && session.upstream_is_fresh(job_id)?)
        })
    }
}

struct JobInBrief {
    session: i64,
    step: i64,
    /// Inputs and outputs.
    files: i64,
}

impl Store {
    fn job_in_brief(&self, job_id: i64) -> rusqlite::Result<Option<JobInBrief>> {
        self.connection
            .prepare_cached(
                "SELECT session_id, step_number, input_count + output_count FROM jobs
                 WHERE id = ?1",
            )?
            .query_row([job_id], |row| {
                Ok(JobInBrief {
                    session: row.get(0)?,
                    step: row.get(1)?,
                    files: row.get(2)?,
                })
            })
            .optional()
    }
}

struct InSession<'a> {
    store: &'a Store,
    session: i64,
    /// The session's first job.
    first: i64,
}

impl InSession<'_> {
    /// Whether a job of many files has nothing to do with the others of the session, when those
    /// have few: it read neither a place nor a content of theirs, and they read no place of its.
    fn is_apart(&self, job_id: i64) -> rusqlite::Result<bool> {
        let others = "SELECT count(*) FROM (
                SELECT 1 FROM job_files WHERE job_id >= ?1 AND job_id < ?2 LIMIT ?3)";
        let most = MOST_FILES + 1;
        let others = self
            .store
            .number(others, params![self.first, job_id, most])?;
        if others.is_none_or(|count| count > MOST_FILES) {
            return Ok(false);
        }
        let met = self.store.number(
            "SELECT 1 FROM job_files f WHERE f.job_id >= ?1 AND f.job_id < ?2 AND (
                 EXISTS (SELECT 1 FROM job_files o INDEXED BY job_files_path
                     WHERE o.path_id = f.path_id AND o.role = 1 - f.role AND o.job_id = ?2)
                 OR f.role = 1 AND EXISTS (
                     SELECT 1 FROM job_files o INDEXED BY job_files_artifact
                     WHERE o.artifact_id = f.artifact_id AND o.role = 0 AND o.job_id = ?2))
             LIMIT 1",
            params![self.first, job_id],
        )?;
        Ok(met.is_none())
    }

    /// Whether another step of the session has read a place that the job wrote.
    fn outputs_were_read(&self, job_id: i64, step: i64) -> rusqlite::Result<bool> {
        let found = self.store.number(
            "SELECT 1 FROM job_files o
                 JOIN job_files r INDEXED BY job_files_path
                     ON r.path_id = o.path_id AND r.role = 0 AND r.job_id >= ?2
                 JOIN jobs j ON j.id = r.job_id
             WHERE o.job_id = ?1 AND o.role = 1 AND j.session_id = ?3 AND j.step_number <> ?4
             LIMIT 1",
            params![job_id, self.first, self.session, step],
        )?;
        Ok(found.is_some())
    }

    /// Whether no step that the job depends on can be stale.
    fn upstream_is_fresh(&self, job_id: i64) -> rusqlite::Result<bool> {
        let mut seen = BTreeSet::new();
        let mut pending = vec![job_id];
        while let Some(job) = pending.pop() {
            let Some(steps) = self.sources(job)? else {
                return Ok(false);
            };
            for step in steps {
                if !seen.insert(step) {
                    continue;
                }
                if seen.len() > MOST_STEPS {
                    return Ok(false);
                }
                // What wrote nothing leaves its step as it is.
                pending.extend(self.store.number(
                    "SELECT coalesce(max(iif(output_count > 0 OR state <> 'done', id, NULL)),
                         max(iif(exit_code IS NOT 0 OR signal IS NOT NULL, NULL, id)), max(id))
                     FROM jobs WHERE session_id = ?1 AND step_number = ?2",
                    params![self.session, step],
                )?);
            }
        }
        Ok(true)
    }

    /// The steps that made a job's inputs; none where that is not certain, or where an input has
    /// been written anew since.
    fn sources(&self, job_id: i64) -> rusqlite::Result<Option<BTreeSet<i64>>> {
        let job = self.store.job_in_brief(job_id)?;
        if job.is_none_or(|job| job.files > MOST_FILES) {
            return Ok(None);
        }
        // Of each input: its content; whether its place was written since, by the job itself
        // among others; who wrote the place last before the job, and what.
        let mut statement = self.store.connection.prepare_cached(
            "SELECT f.artifact_id, f.size_bytes,
                 (SELECT p.job_id FROM job_files p INDEXED BY job_files_path
                  WHERE p.path_id = f.path_id AND p.role = 1 AND p.job_id >= ?1
                  ORDER BY p.job_id DESC LIMIT 1),
                 (SELECT p.job_id FROM job_files p INDEXED BY job_files_path
                  WHERE p.path_id = f.path_id AND p.role = 1
                      AND p.job_id >= ?2 AND p.job_id < ?1
                  ORDER BY p.job_id DESC LIMIT 1),
                 (SELECT p.artifact_id FROM job_files p INDEXED BY job_files_path
                  WHERE p.path_id = f.path_id AND p.role = 1
                      AND p.job_id >= ?2 AND p.job_id < ?1
                  ORDER BY p.job_id DESC LIMIT 1)
             FROM job_files f WHERE f.job_id = ?1 AND f.role = 0",
        )?;
        let mut rows = statement.query(params![job_id, self.first])?;
        let mut makers = BTreeSet::new();
        while let Some(row) = rows.next()? {
            let read: Option<i64> = row.get(0)?;
            let size_bytes: Option<i64> = row.get(1)?;
            let written_since: Option<i64> = row.get(2)?;
            let maker: Option<i64> = row.get(3)?;
            let made: Option<i64> = row.get(4)?;
            if written_since.is_some() {
                return Ok(None);
            }
            match (maker, read, made) {
                (Some(maker), Some(read), Some(made)) if read == made => {
                    makers.insert(maker);
                }
                (None, Some(read), None)
                    if size_bytes == Some(0) || !self.is_made(read, job_id)? => {}
                _ => return Ok(None),
            }
        }
        let mut steps = BTreeSet::new();
        for maker in makers {
            let step = "SELECT step_number FROM jobs WHERE id = ?1";
            steps.extend(self.store.number(step, [maker])?);
        }
        Ok(Some(steps))
    }

    /// Whether a job of the session before this one made the content, at whatever place.
    fn is_made(&self, artifact: i64, before: i64) -> rusqlite::Result<bool> {
        let found = self.store.number(
            "SELECT 1 FROM job_files INDEXED BY job_files_artifact
             WHERE artifact_id = ?1 AND role = 1 AND job_id >= ?2 AND job_id < ?3 LIMIT 1",
            params![artifact, self.first, before],
        )?;
        Ok(found.is_some())
    }
}
