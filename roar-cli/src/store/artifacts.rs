//! Questions about content: which artifact a digest means, and which jobs met it.

use rusqlite::{OptionalExtension as _, Row, params};

use super::database::Store;
use super::error::StoreError;
use super::files::other_hash;
use super::jobs::{JobSummary, SUMMARY_COLUMNS, SUMMARY_WIDTH, summary_row};
use super::rows::{digest, parse_hex, raw, unsigned};
use crate::model::{Digest, HashAlgorithm, HashPrefix, Hashes, RawString};

/// A content that some job read or wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRow {
    /// Database id.
    pub id: i64,
    /// BLAKE3: its identity.
    pub hash: Digest,
    /// Every known digest, BLAKE3 among them.
    pub hashes: Hashes,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
    /// Start of the first recorded job that met it, nanoseconds since the Unix epoch.
    pub first_seen_ns: i64,
}

/// A place where a job met a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactUse {
    /// The job.
    pub job: JobSummary,
    /// Absolute path of the file in that job.
    pub path: RawString,
    /// Output (true) or input (false).
    pub produced: bool,
    /// BLAKE3 of the content there; none when it could not be hashed.
    pub hash: Option<Digest>,
    /// Size of the content in bytes, where known.
    pub size_bytes: Option<u64>,
}

impl Store {
    /// Artifacts of which a digest of any algorithm begins with `prefix`, in order of their
    /// BLAKE3 digest, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifacts_by_prefix(
        &self,
        prefix: &HashPrefix,
        limit: u32,
    ) -> Result<Vec<ArtifactRow>, StoreError> {
        self.artifacts_between(prefix.as_str(), limit)
    }

    /// The artifact with this digest, of whatever algorithm.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifact(&self, digest: &Digest) -> Result<Option<ArtifactRow>, StoreError> {
        let mut found = self.artifacts_between(&digest.as_str().to_ascii_lowercase(), 2)?;
        found.retain(|artifact| {
            artifact
                .hashes
                .values()
                .any(|known| known.as_str().eq_ignore_ascii_case(digest.as_str()))
        });
        Ok(found.into_iter().next())
    }

    /// Every place where a job met this artifact, newest job first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifact_uses(&self, artifact_id: i64) -> Result<Vec<ArtifactUse>, StoreError> {
        let order = "WHERE f.artifact_id = ?1 ORDER BY f.job_id DESC, f.role, f.position";
        self.uses(order, params![artifact_id])
    }

    /// The newest places where a job produced this artifact, or where one consumed it, newest
    /// job first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_uses(
        &self,
        artifact_id: i64,
        produced: bool,
        limit: u32,
    ) -> Result<Vec<ArtifactUse>, StoreError> {
        self.uses(
            "WHERE f.artifact_id = ?1 AND f.role = ?2
             ORDER BY f.job_id DESC, f.position DESC LIMIT ?3",
            params![artifact_id, i64::from(produced), limit],
        )
    }

    /// How many times jobs produced this artifact, and how many times they consumed it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn use_counts(&self, artifact_id: i64) -> Result<(usize, usize), StoreError> {
        self.read("count the uses", || {
            let count = "SELECT count(*) FROM job_files WHERE artifact_id = ?1 AND role = ?2";
            let mut statement = self.connection.prepare_cached(count)?;
            let mut of_role = |role: i64| -> rusqlite::Result<usize> {
                let count = statement.query_row(params![artifact_id, role], |row| unsigned(row, 0));
                count.map(|count| count.unwrap_or(0) as usize)
            };
            Ok((of_role(1)?, of_role(0)?))
        })
    }

    /// The artifact with this database id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn artifact_by_id(&self, id: i64) -> Result<Option<ArtifactRow>, StoreError> {
        self.read("find the artifact", || {
            self.connection
                .prepare_cached(
                    "SELECT id, blake3, size_bytes, first_seen_ns FROM artifacts WHERE id = ?1",
                )?
                .query_row([id], |row| self.artifact_row(row))
                .optional()
        })
    }

    fn artifacts_between(&self, prefix: &str, limit: u32) -> Result<Vec<ArtifactRow>, StoreError> {
        let Some((low, high)) = digest_range(prefix) else {
            return Ok(Vec::new());
        };
        self.read("find the artifact", || {
            let mut statement = self.connection.prepare_cached(
                "SELECT id, blake3, size_bytes, first_seen_ns FROM artifacts
                 WHERE id IN (
                     SELECT id FROM (SELECT id FROM artifacts
                         WHERE blake3 BETWEEN ?1 AND ?2 ORDER BY blake3 LIMIT ?3)
                     UNION
                     SELECT artifact_id FROM (SELECT artifact_id FROM artifact_hashes
                         WHERE digest BETWEEN ?1 AND ?2 ORDER BY digest LIMIT ?3))
                 ORDER BY blake3 LIMIT ?3",
            )?;
            statement
                .query_map(params![low, high, limit], |row| self.artifact_row(row))?
                .collect()
        })
    }

    fn artifact_row(&self, row: &Row<'_>) -> rusqlite::Result<ArtifactRow> {
        let id = row.get(0)?;
        let hash = digest(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)?;
        let mut hashes = Hashes::from([(HashAlgorithm::Blake3, hash.clone())]);
        let mut others = self.connection.prepare_cached(
            "SELECT algorithm, digest FROM artifact_hashes WHERE artifact_id = ?1",
        )?;
        let others = others.query_map([id], |row| other_hash(row, 0))?;
        for other in others {
            hashes.extend(other?);
        }
        Ok(ArtifactRow {
            id,
            hash,
            hashes,
            size_bytes: unsigned(row, 2)?,
            first_seen_ns: row.get(3)?,
        })
    }

    fn uses(
        &self,
        which: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<ArtifactUse>, StoreError> {
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS}, p.path, f.role, a.blake3, f.size_bytes
             FROM job_files f JOIN jobs j ON j.id = f.job_id JOIN paths p ON p.id = f.path_id
                 LEFT JOIN artifacts a ON a.id = f.artifact_id
             {which}"
        );
        self.read("find the uses", || {
            self.connection
                .prepare_cached(&sql)?
                .query_map(parameters, |row| {
                    Ok(ArtifactUse {
                        job: summary_row(row)?,
                        path: raw(row, SUMMARY_WIDTH)?,
                        produced: row.get::<_, i64>(SUMMARY_WIDTH + 1)? == 1,
                        hash: digest(row, SUMMARY_WIDTH + 2)?,
                        size_bytes: unsigned(row, SUMMARY_WIDTH + 3)?,
                    })
                })?
                .collect()
        })
    }
}

/// The least and the greatest digest that begin with these hexadecimal digits, of any
/// algorithm; none for other text. A range is what an index answers at once.
pub(super) fn digest_range(prefix: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    const LONGEST_DIGITS: usize = 128; // SHA-512
    if prefix.is_empty() || prefix.len() > LONGEST_DIGITS {
        return None;
    }
    let low = if prefix.len().is_multiple_of(2) {
        parse_hex(prefix)?
    } else {
        parse_hex(&format!("{prefix}0"))?
    };
    let high = parse_hex(&format!("{prefix:f<LONGEST_DIGITS$}"))?;
    Some((low, high))
}
