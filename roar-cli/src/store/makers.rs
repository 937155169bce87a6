//! Who made what, asked again and again: a walk along lineage takes some steps into an index for
//! each file, by numbers in the place of names, with statements that are at hand.

use rusqlite::{CachedStatement, OptionalExtension as _, Params, params};

use super::database::Store;
use super::error::StoreError;
use super::graph::{ContentId, GraphFile, PathId};
use super::rows::unsigned;

/// So many of a content's newest productions are looked through for a place before the writings of
/// that place are looked through for the content: either list may be long, both seldom are.
const NEAR: u32 = 32;

/// Questions about makers.
#[expect(missing_debug_implementations, reason = "statements cannot be shown")]
pub struct Makers<'a> {
    store: &'a Store,
    files: CachedStatement<'a>,
    productions: CachedStatement<'a>,
    at_place: CachedStatement<'a>,
    first_read: CachedStatement<'a>,
    writers: CachedStatement<'a>,
    other_writers: CachedStatement<'a>,
}

impl Store {
    /// Makes ready for questions about makers.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn makers(&self) -> Result<Makers<'_>, StoreError> {
        self.read("find the producer", || self.ready_makers())
    }

    pub(super) fn ready_makers(&self) -> rusqlite::Result<Makers<'_>> {
        let ready = |sql| self.connection.prepare_cached(sql);
        Ok(Makers {
            store: self,
            files: ready(
                "SELECT path_id, artifact_id, size_bytes FROM job_files
                 WHERE job_id = ?1 AND role = ?2 ORDER BY position",
            )?,
            productions: ready(
                "SELECT job_id, path_id FROM job_files INDEXED BY job_files_artifact
                 WHERE artifact_id = ?1 AND role = 1 AND job_id < ?2
                 ORDER BY job_id DESC LIMIT ?3",
            )?,
            at_place: ready(
                "SELECT job_id FROM job_files INDEXED BY job_files_path
                 WHERE path_id = ?1 AND role = 1 AND job_id < ?2 AND artifact_id = ?3
                 ORDER BY job_id DESC LIMIT 1",
            )?,
            first_read: ready(
                "SELECT job_id FROM job_files INDEXED BY job_files_artifact
                 WHERE artifact_id = ?1 AND role = 0 AND path_id = ?2
                 ORDER BY job_id LIMIT 1",
            )?,
            writers: ready(
                "SELECT job_id FROM job_files INDEXED BY job_files_path
                 WHERE path_id = ?1 AND role = 1 AND job_id < ?2
                 ORDER BY job_id DESC LIMIT 1",
            )?,
            other_writers: ready(
                "SELECT job_id FROM job_files INDEXED BY job_files_path
                 WHERE path_id = ?1 AND role = 1 AND job_id < ?2 AND artifact_id IS NOT ?3
                 ORDER BY job_id DESC LIMIT 1",
            )?,
        })
    }
}

impl Makers<'_> {
    /// What a job consumed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn inputs(&mut self, job_id: i64) -> Result<Vec<GraphFile>, StoreError> {
        self.files_of(job_id, 0)
    }

    /// What a job produced.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outputs(&mut self, job_id: i64) -> Result<Vec<GraphFile>, StoreError> {
        self.files_of(job_id, 1)
    }

    fn files_of(&mut self, job_id: i64, role: i64) -> Result<Vec<GraphFile>, StoreError> {
        let Self { store, files, .. } = self;
        store.read("read the files of the job", || {
            let file = |row: &rusqlite::Row<'_>| {
                Ok(GraphFile {
                    path: PathId(row.get(0)?),
                    content: row.get::<_, Option<i64>>(1)?.map(ContentId),
                    size_bytes: unsigned(row, 2)?,
                })
            };
            files.query_map([job_id, role], file)?.collect()
        })
    }

    /// As [`Store::producer_of`], for a content at a place.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn producer_of(
        &mut self,
        content: ContentId,
        path: PathId,
        before: i64,
        elsewhere: bool,
    ) -> Result<Option<i64>, StoreError> {
        let store = self.store;
        store.read("find the producer", || {
            self.producer(content.0, Some(path.0), before, elsewhere)
        })
    }

    /// The last job before `before` that wrote a place.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn writer_of(&mut self, path: PathId, before: i64) -> Result<Option<i64>, StoreError> {
        let Self { store, writers, .. } = self;
        store.read("find the last writer", || {
            number(writers, params![path.0, before])
        })
    }

    /// The last job before `before` that wrote a place with another content than this.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn other_writer_of(
        &mut self,
        path: PathId,
        content: Option<ContentId>,
        before: i64,
    ) -> Result<Option<i64>, StoreError> {
        let Self {
            store,
            other_writers,
            ..
        } = self;
        store.read("find the last writer", || {
            let content = content.map(|content| content.0);
            number(other_writers, params![path.0, before, content])
        })
    }

    /// The answer of [`Store::producer_of`]; a place that nobody ever met has no number.
    pub(super) fn producer(
        &mut self,
        content: i64,
        place: Option<i64>,
        before: i64,
        elsewhere: bool,
    ) -> rusqlite::Result<Option<i64>> {
        let near = if place.is_some() { NEAR } else { 1 };
        let (mut newest, mut seen) = (None, 0);
        let mut rows = self.productions.query(params![content, before, near])?;
        while let Some(row) = rows.next()? {
            let job: i64 = row.get(0)?;
            if place == Some(row.get(1)?) {
                return Ok(Some(job));
            }
            newest = newest.or(Some(job));
            seen += 1;
        }
        drop(rows);
        let (Some(newest), Some(place)) = (newest, place) else {
            return Ok(newest.filter(|_| elsewhere));
        };
        if seen == NEAR {
            let at_place = number(&mut self.at_place, params![place, before, content])?;
            if at_place.is_some() {
                return Ok(at_place);
            }
        }
        if !elsewhere {
            return Ok(None);
        }
        match number(&mut self.first_read, params![content, place])? {
            // Somebody had found it here before.
            Some(first_read) if first_read <= newest => {
                number(&mut self.productions, params![content, first_read, 1])
            }
            _ => Ok(Some(newest)),
        }
    }
}

/// The one number that a statement gives; none for no row.
fn number(
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
) -> rusqlite::Result<Option<i64>> {
    let found = statement.query_row(parameters, |row| row.get(0));
    found.optional()
}
