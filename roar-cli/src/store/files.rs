//! The files of jobs.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::database::Store;
use super::error::StoreError;
use super::jobs::JobSummary;
use super::rows::{access, basis, digest, raw, unsigned};
use crate::model::{Digest, FileRecord, FilteredRecord, HashAlgorithm, Hashes, RawString};

/// A file of a job: where it was and what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Absolute path.
    pub path: RawString,
    /// BLAKE3 of the content; none when it could not be hashed.
    pub hash: Option<Digest>,
    /// Size of the content in bytes, where known.
    pub size_bytes: Option<u64>,
}

/// A job with its files, for graphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWithFiles {
    /// The job.
    pub summary: JobSummary,
    /// What it consumed.
    pub inputs: Vec<FileRef>,
    /// What it produced.
    pub outputs: Vec<FileRef>,
}

impl Store {
    /// One job with its files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job_with_files(&self, summary: JobSummary) -> Result<JobWithFiles, StoreError> {
        let (inputs, outputs) =
            self.read("read the files of the job", || self.file_refs(summary.id))?;
        Ok(JobWithFiles {
            summary,
            inputs,
            outputs,
        })
    }

    /// Inputs and outputs of a job as references.
    fn file_refs(&self, job_id: i64) -> rusqlite::Result<(Vec<FileRef>, Vec<FileRef>)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT f.role, p.path, a.blake3, f.size_bytes
             FROM job_files f JOIN paths p ON p.id = f.path_id
                 LEFT JOIN artifacts a ON a.id = f.artifact_id
             WHERE f.job_id = ?1 ORDER BY f.role, f.position",
        )?;
        let rows = statement.query_map([job_id], |row| {
            let file = FileRef {
                path: raw(row, 1)?,
                hash: digest(row, 2)?,
                size_bytes: unsigned(row, 3)?,
            };
            Ok((row.get(0)?, file))
        })?;
        by_role(rows)
    }

    /// Inputs and outputs of a job in full.
    pub(super) fn file_records(
        &self,
        job_id: i64,
    ) -> Result<(Vec<FileRecord>, Vec<FileRecord>), StoreError> {
        self.read("read the files of the job", || {
            let mut others = self.other_hashes(job_id)?;
            let mut statement = self.connection.prepare_cached(
                "SELECT f.role, p.path, a.blake3, f.size_bytes, f.basis, f.note, f.artifact_id
                 FROM job_files f JOIN paths p ON p.id = f.path_id
                     LEFT JOIN artifacts a ON a.id = f.artifact_id
                 WHERE f.job_id = ?1 ORDER BY f.role, f.position",
            )?;
            let rows = statement.query_map([job_id], |row| {
                let mut hashes = row
                    .get::<_, Option<i64>>(6)?
                    .and_then(|id| others.get_mut(&id).map(|hashes| hashes.clone()))
                    .unwrap_or_default();
                if let Some(blake3) = digest(row, 2)? {
                    hashes.insert(HashAlgorithm::Blake3, blake3);
                }
                let file = FileRecord {
                    path: raw(row, 1)?,
                    hashes,
                    size_bytes: unsigned(row, 3)?,
                    basis: basis(row, 4)?,
                    note: row.get(5)?,
                };
                Ok((row.get(0)?, file))
            })?;
            by_role(rows)
        })
    }

    /// Digests other than BLAKE3 of a job's artifacts.
    fn other_hashes(&self, job_id: i64) -> rusqlite::Result<BTreeMap<i64, Hashes>> {
        let mut found: BTreeMap<i64, Hashes> = BTreeMap::new();
        let mut statement = self.connection.prepare_cached(
            "SELECT DISTINCT h.artifact_id, h.algorithm, h.digest
             FROM job_files f JOIN artifact_hashes h ON h.artifact_id = f.artifact_id
             WHERE f.job_id = ?1",
        )?;
        let mut rows = statement.query([job_id])?;
        while let Some(row) = rows.next()? {
            if let Some((algorithm, digest)) = other_hash(row, 1)? {
                found
                    .entry(row.get(0)?)
                    .or_default()
                    .insert(algorithm, digest);
            }
        }
        Ok(found)
    }

    /// Accesses of a job that filters kept out.
    pub(super) fn filtered_records(&self, job_id: i64) -> Result<Vec<FilteredRecord>, StoreError> {
        self.read("read the filtered accesses of the job", || {
            self.connection
                .prepare_cached(
                    "SELECT p.path, f.access, r.name
                     FROM job_filtered f JOIN paths p ON p.id = f.path_id
                         JOIN filter_rules r ON r.id = f.rule_id
                     WHERE f.job_id = ?1 ORDER BY f.position",
                )?
                .query_map([job_id], |row| {
                    Ok(FilteredRecord {
                        path: raw(row, 0)?,
                        access: access(row, 1)?,
                        by: row.get(2)?,
                    })
                })?
                .collect()
        })
    }
}

/// Reads an algorithm's name and its digest; none for an algorithm that only a newer roar knows.
pub(super) fn other_hash(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<(HashAlgorithm, Digest)>> {
    let algorithm = row
        .get_ref(column)?
        .as_str()
        .unwrap_or_default()
        .parse()
        .ok();
    Ok(algorithm.zip(digest(row, column + 1)?))
}

/// Splits rows into inputs (role 0) and outputs (role 1).
fn by_role<T>(
    rows: impl Iterator<Item = rusqlite::Result<(i64, T)>>,
) -> rusqlite::Result<(Vec<T>, Vec<T>)> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for row in rows {
        match row? {
            (0, file) => inputs.push(file),
            (_, file) => outputs.push(file),
        }
    }
    Ok((inputs, outputs))
}
