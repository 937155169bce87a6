//! Sessions: which one takes new jobs, and which there were.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior};

use super::database::Store;
use super::error::StoreError;
use super::rows::kind;
use crate::model::{JobKind, Session};

impl Store {
    /// The session that takes new jobs; none before the first job.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn active_session(&self) -> Result<Option<Session>, StoreError> {
        active(&self.connection).map_err(self.failed("find the active session"))
    }

    /// One session.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn session(&self, id: i64) -> Result<Option<Session>, StoreError> {
        self.connection
            .query_row(
                "SELECT id, started_at_ns, active FROM sessions WHERE id = ?1",
                [id],
                session_row,
            )
            .optional()
            .map_err(self.failed("find the session"))
    }

    /// Every session, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        self.read("list the sessions", || {
            self.connection
                .prepare_cached("SELECT id, started_at_ns, active FROM sessions ORDER BY id")?
                .query_map([], session_row)?
                .collect()
        })
    }

    /// The steps of a session by number.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn steps(&self, session_id: i64) -> Result<Vec<(u32, JobKind)>, StoreError> {
        self.read("list the steps", || {
            self.connection
                .prepare_cached(
                    "SELECT number, kind FROM steps WHERE session_id = ?1 ORDER BY number",
                )?
                .query_map([session_id], |row| Ok((row.get(0)?, kind(row, 1)?)))?
                .collect()
        })
    }

    /// Starts a fresh session for the jobs to come and keeps the old ones. A job that is
    /// running meanwhile is recorded in the session that is active when it ends.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn start_session(&mut self) -> Result<Session, StoreError> {
        let failed = self.failed("start a session");
        let mut start = || {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now_ns: i64 = transaction.query_row(
                // Milliseconds: what SQLite's clock gives.
                "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000000",
                [],
                |row| row.get(0),
            )?;
            transaction.execute("UPDATE sessions SET active = 0 WHERE active = 1", [])?;
            let session = begin(&transaction, now_ns)?;
            transaction.commit()?;
            Ok(session)
        };
        start().map_err(failed)
    }
}

/// The active session, as the current transaction sees it.
pub(super) fn active(connection: &Connection) -> rusqlite::Result<Option<Session>> {
    connection
        .prepare_cached("SELECT id, started_at_ns, active FROM sessions WHERE active = 1")?
        .query_row([], session_row)
        .optional()
}

/// Adds an active session; there must be none.
pub(super) fn begin(connection: &Connection, started_at_ns: i64) -> rusqlite::Result<Session> {
    connection
        .prepare_cached("INSERT INTO sessions (started_at_ns, active) VALUES (?1, 1)")?
        .execute([started_at_ns])?;
    Ok(Session {
        id: connection.last_insert_rowid(),
        started_at_ns,
        active: true,
    })
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        started_at_ns: row.get(1)?,
        active: row.get(2)?,
    })
}
