//! What numbers stand for, many at a time: paths, contents and jobs are asked for in runs of
//! neighbouring ids, because going on to the next row costs a fraction of looking one up.

use rusqlite::{Connection, Row};

use super::database::Store;
use super::error::StoreError;
use super::graph::{ContentId, PathId};
use super::jobs::{JobSummary, SUMMARY_COLUMNS, summary_row};
use super::rows::{digest, parse_hex, raw};
use crate::model::{Digest, RawString};

/// A run goes on over so many ids that nobody asked for: passing them by is cheaper than a look-up.
const GAP: i64 = 8;

/// What ids stand for.
#[derive(Clone, Debug, Default)]
pub struct Names<T>(Vec<(i64, T)>);

impl<T> Names<T> {
    fn find(&self, id: i64) -> Option<&T> {
        let at = self.0.binary_search_by_key(&id, |(known, _)| *known);
        at.ok().map(|at| &self.0[at].1)
    }
}

impl Names<RawString> {
    /// The path of an id that was asked for.
    pub fn get(&self, id: PathId) -> Option<&RawString> {
        self.find(id.0)
    }
}

impl Names<Digest> {
    /// The digest of an id that was asked for.
    pub fn get(&self, id: ContentId) -> Option<&Digest> {
        self.find(id.0)
    }
}

impl Names<JobSummary> {
    /// The job of a database id that was asked for; none when it was taken back meanwhile.
    pub fn get(&self, id: i64) -> Option<&JobSummary> {
        self.find(id)
    }
}

impl Store {
    /// The paths that ids stand for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn paths_of(
        &self,
        ids: impl Iterator<Item = PathId>,
    ) -> Result<Names<RawString>, StoreError> {
        self.read("read paths", || {
            let sql = "SELECT id, path FROM paths WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
            names(&self.connection, sql, ids.map(|id| id.0), |row| raw(row, 1))
        })
    }

    /// The BLAKE3 digests of the contents that ids stand for.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn digests_of(
        &self,
        ids: impl Iterator<Item = ContentId>,
    ) -> Result<Names<Digest>, StoreError> {
        self.read("read digests", || {
            let sql = "SELECT id, blake3 FROM artifacts WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
            names(&self.connection, sql, ids.map(|id| id.0), |row| {
                digest(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)
            })
        })
    }

    /// What stands for a content; none for one that is not recorded.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn content_id(&self, hash: &Digest) -> Result<Option<ContentId>, StoreError> {
        let digest = parse_hex(hash.as_str());
        self.read("find the content", || {
            let found = self.number("SELECT id FROM artifacts WHERE blake3 = ?1", [digest])?;
            Ok(found.map(ContentId))
        })
    }

    /// The jobs that database ids stand for, without their files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn summaries_of(
        &self,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Names<JobSummary>, StoreError> {
        self.read("read the jobs", || {
            let sql = format!(
                "SELECT {SUMMARY_COLUMNS} FROM jobs j WHERE j.id BETWEEN ?1 AND ?2 ORDER BY j.id"
            );
            names(&self.connection, &sql, ids, summary_row)
        })
    }
}

/// Reads the rows of ids by a statement that gives a range of them in order, the id first.
fn names<T>(
    connection: &Connection,
    sql: &str,
    ids: impl Iterator<Item = i64>,
    value: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Names<T>> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    let mut statement = connection.prepare_cached(sql)?;
    for (first, last, run) in runs(&ids) {
        let mut wanted = run.iter().peekable();
        let mut rows = statement.query([first, last])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            while wanted.next_if(|next| **next < id).is_some() {}
            if wanted.next_if(|next| **next == id).is_some() {
                found.push((id, value(row)?));
            }
        }
    }
    Ok(Names(found))
}

/// Ids in ascending order as runs of neighbours, each with its first and its last.
pub(super) fn runs(ids: &[i64]) -> impl Iterator<Item = (i64, i64, &[i64])> {
    ids.chunk_by(|a, b| b - a <= GAP)
        .filter_map(|run| Some((*run.first()?, *run.last()?, run)))
}
