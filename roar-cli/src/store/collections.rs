//! Collections: trees of artifacts, and the jobs that consumed or produced them.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};

use super::artifacts::digest_range;
use super::database::Store;
use super::error::StoreError;
use super::jobs::{JobSummary, SUMMARY_COLUMNS, SUMMARY_WIDTH, summary_row};
use super::names::runs;
use super::rows::{RawSql, digest, digest_bytes, raw, unsigned};
use crate::model::{Collection, Digest, HashPrefix, RawString};

const OPERATION: &str = "record the collection";

/// A collection as a job met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCollection {
    /// Where: the absolute path of its folder.
    pub folder: RawString,
    /// Whether the job produced it (else it consumed it).
    pub produced: bool,
    /// The collection.
    pub collection: Collection,
}

/// A collection as a job met it, without its members: they are the job's hashed files below the
/// folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionPlace {
    /// The absolute path of its folder.
    pub folder: RawString,
    /// Whether the job produced it (else it consumed it).
    pub produced: bool,
    /// The hash over its members.
    pub hash: Digest,
}

/// A collection that a job of a session produced, without its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedCollection {
    /// The job.
    pub job_id: i64,
    /// The absolute path of its folder.
    pub folder: RawString,
    /// The hash over its members.
    pub hash: Digest,
}

/// A collection, and where jobs met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionRow {
    /// The hash over its members.
    pub hash: Digest,
    /// What it is called.
    pub name: String,
    /// How many files it has.
    pub files: u64,
    /// How large they are together, where all are known.
    pub size_bytes: Option<u64>,
    /// The newest jobs that met it, newest first, each with the folder and whether it was produced.
    pub uses: Vec<(JobSummary, RawString, bool)>,
}

/// At most so many uses of a collection are listed.
const USES: u32 = 20;

impl Store {
    /// The collections whose hash begins with `prefix`, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn collections_by_prefix(
        &self,
        prefix: &HashPrefix,
        limit: u32,
    ) -> Result<Vec<CollectionRow>, StoreError> {
        let Some((low, high)) = digest_range(prefix.as_str()) else {
            return Ok(Vec::new());
        };
        self.read("find the collection", || {
            let mut found = self.connection.prepare_cached(
                "SELECT c.id, c.blake3, c.name, count(m.path),
                     iif(count(*) = count(a.size_bytes), sum(a.size_bytes), NULL)
                 FROM collections c JOIN collection_members m ON m.collection_id = c.id
                     JOIN artifacts a ON a.id = m.artifact_id
                 WHERE c.id IN (SELECT id FROM collections WHERE blake3 BETWEEN ?1 AND ?2 LIMIT ?3)
                 GROUP BY c.id ORDER BY c.blake3",
            )?;
            let rows = found.query_map(params![low, high, limit], |row| {
                Ok(CollectionRow {
                    hash: digest(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)?,
                    name: row.get(2)?,
                    files: unsigned(row, 3)?.unwrap_or(0),
                    size_bytes: unsigned(row, 4)?,
                    uses: self.collection_uses(row.get(0)?)?,
                })
            })?;
            rows.collect()
        })
    }

    fn collection_uses(&self, id: i64) -> rusqlite::Result<Vec<(JobSummary, RawString, bool)>> {
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS}, m.folder, m.role
             FROM job_collections m JOIN jobs j ON j.id = m.job_id
             WHERE m.collection_id = ?1 ORDER BY m.job_id DESC, m.role DESC LIMIT ?2"
        );
        self.connection
            .prepare_cached(&sql)?
            .query_map(params![id, USES], |row| {
                let produced = row.get::<_, i64>(SUMMARY_WIDTH + 1)? == 1;
                Ok((summary_row(row)?, raw(row, SUMMARY_WIDTH)?, produced))
            })?
            .collect()
    }

    /// Records that a job consumed or produced a collection. Its members are artifacts that
    /// are recorded already.
    ///
    /// # Errors
    /// A member is no recorded artifact, or the database cannot be written; then nothing of
    /// it is stored.
    pub fn add_collection(&mut self, job_id: i64, met: &JobCollection) -> Result<(), StoreError> {
        let failed = self.failed(OPERATION);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let JobCollection {
            folder,
            produced,
            collection,
        } = met;
        let hash = digest_bytes(&collection.hash(), OPERATION)?;
        let known: Option<i64> = transaction
            .query_row(
                "SELECT id FROM collections WHERE blake3 = ?1",
                [&hash],
                |row| row.get(0),
            )
            .optional()
            .map_err(&failed)?;
        let id = match known {
            Some(id) => id,
            None => transaction
                .query_row(
                    "INSERT INTO collections (blake3, name) VALUES (?1, ?2) RETURNING id",
                    params![hash, collection.name],
                    |row| row.get(0),
                )
                .map_err(&failed)?,
        };
        if known.is_none() {
            for (path, digest) in &collection.members {
                let bytes = digest_bytes(digest, OPERATION)?;
                let inserted = transaction
                    .prepare_cached(
                        "INSERT INTO collection_members (collection_id, path, artifact_id)
                         SELECT ?1, ?2, id FROM artifacts WHERE blake3 = ?3",
                    )
                    .and_then(|mut insert| insert.execute(params![id, RawSql(path), bytes]))
                    .map_err(&failed)?;
                if inserted == 0 {
                    let detail = format!("the member {path} is no recorded artifact");
                    return Err(StoreError::InvalidRecord {
                        operation: OPERATION,
                        detail,
                    });
                }
            }
        }
        transaction
            .execute(
                "INSERT INTO job_collections (job_id, role, folder, collection_id)
                 VALUES (?1, ?2, ?3, ?4)",
                params![job_id, i64::from(*produced), RawSql(folder), id],
            )
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// The collections of a job, those it consumed first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn collections_of(&self, job_id: i64) -> Result<Vec<JobCollection>, StoreError> {
        self.read("list the collections of the job", || {
            let mut found = self.connection.prepare_cached(
                "SELECT j.folder, j.role, c.name, c.id
                 FROM job_collections j JOIN collections c ON c.id = j.collection_id
                 WHERE j.job_id = ?1 ORDER BY j.role, j.folder",
            )?;
            let rows = found.query_map([job_id], |row| {
                Ok((
                    raw(row, 0)?,
                    row.get::<_, i64>(1)? == 1,
                    row.get(2)?,
                    row.get::<_, i64>(3)?,
                ))
            })?;
            rows.map(|row| {
                let (folder, produced, name, id) = row?;
                let members = self.members(id)?;
                let collection = Collection { name, members };
                Ok(JobCollection {
                    folder,
                    produced,
                    collection,
                })
            })
            .collect()
        })
    }

    /// Where a job met collections: those it consumed first, by folder.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn collection_places(&self, job_id: i64) -> Result<Vec<CollectionPlace>, StoreError> {
        self.read("list the collections of the job", || {
            self.connection
                .prepare_cached(
                    "SELECT j.folder, j.role, c.blake3
                     FROM job_collections j JOIN collections c ON c.id = j.collection_id
                     WHERE j.job_id = ?1 ORDER BY j.role, j.folder",
                )?
                .query_map([job_id], collection_place)?
                .collect()
        })
    }

    /// The collections of jobs, whose ids are in ascending order, without their members.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn collection_places_of(
        &self,
        jobs: &[i64],
    ) -> Result<HashMap<i64, Vec<CollectionPlace>>, StoreError> {
        self.read("list the collections of the jobs", || {
            let mut statement = self.connection.prepare_cached(
                "SELECT j.folder, j.role, c.blake3, j.job_id
                 FROM job_collections j JOIN collections c ON c.id = j.collection_id
                 WHERE j.job_id BETWEEN ?1 AND ?2 ORDER BY j.job_id, j.role, j.folder",
            )?;
            let mut found: HashMap<i64, Vec<CollectionPlace>> = HashMap::new();
            for (first, last, run) in runs(jobs) {
                let mut rows = statement.query([first, last])?;
                while let Some(row) = rows.next()? {
                    let job = row.get(3)?;
                    if run.binary_search(&job).is_ok() {
                        found.entry(job).or_default().push(collection_place(row)?);
                    }
                }
            }
            Ok(found)
        })
    }

    /// The collections that the jobs of a session produced.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn collections_produced(
        &self,
        session_id: i64,
    ) -> Result<Vec<ProducedCollection>, StoreError> {
        self.read("list the collections of the session", || {
            let mut found = self.connection.prepare_cached(
                "SELECT m.job_id, m.folder, c.blake3
                 FROM job_collections m CROSS JOIN jobs j ON j.id = m.job_id
                     JOIN collections c ON c.id = m.collection_id
                 WHERE m.role = 1 AND j.session_id = ?1
                     AND m.job_id >= (SELECT min(id) FROM jobs WHERE session_id = ?1)
                     AND m.job_id <= (SELECT max(id) FROM jobs WHERE session_id = ?1)
                 ORDER BY m.job_id, m.folder",
            )?;
            let rows = found.query_map([session_id], |row| {
                Ok(ProducedCollection {
                    job_id: row.get(0)?,
                    folder: raw(row, 1)?,
                    hash: digest(row, 2)?.ok_or(rusqlite::Error::InvalidQuery)?,
                })
            })?;
            rows.collect()
        })
    }

    fn members(
        &self,
        collection: i64,
    ) -> rusqlite::Result<std::collections::BTreeMap<RawString, Digest>> {
        let mut members = self.connection.prepare_cached(
            "SELECT m.path, a.blake3 FROM collection_members m
                 JOIN artifacts a ON a.id = m.artifact_id
             WHERE m.collection_id = ?1",
        )?;
        let rows = members.query_map([collection], |row| Ok((raw(row, 0)?, digest(row, 1)?)))?;
        rows.filter_map(|row| match row {
            Ok((path, digest)) => Some(Ok((path, digest?))),
            Err(error) => Some(Err(error)),
        })
        .collect()
    }
}

/// Reads folder, role and digest.
fn collection_place(row: &Row<'_>) -> rusqlite::Result<CollectionPlace> {
    Ok(CollectionPlace {
        folder: raw(row, 0)?,
        produced: row.get::<_, i64>(1)? == 1,
        hash: digest(row, 2)?.ok_or(rusqlite::Error::InvalidQuery)?,
    })
}
