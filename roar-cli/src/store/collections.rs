//! Collections: trees of artifacts, and the jobs that consumed or produced them.

use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use super::database::Store;
use super::error::StoreError;
use super::rows::{RawSql, digest, digest_bytes, raw};
use crate::model::{Collection, Digest, RawString};

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

impl Store {
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
