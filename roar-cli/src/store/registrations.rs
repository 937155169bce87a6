//! Which parts of which sessions have arrived at which lineage servers.

use rusqlite::params;

use super::database::Store;
use super::error::StoreError;
use crate::clock;

impl Store {
    /// Whether a part of a session has arrived.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_arrived(&self, server: &str, session: &str, part: &str) -> Result<bool, StoreError> {
        self.read("look up what was registered", || {
            self.connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM registrations
                     WHERE server = ?1 AND session = ?2 AND part = ?3)",
                )?
                .query_row(params![server, session, part], |row| row.get(0))
        })
    }

    /// A part of a session has arrived.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn note_arrival(
        &mut self,
        server: &str,
        session: &str,
        part: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO registrations VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![server, session, part, clock::now_ns()]))
            .map(drop)
            .map_err(self.failed("note what was registered"))
    }

    /// A server knows nothing of a session.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forget_arrivals(&mut self, server: &str, session: &str) -> Result<(), StoreError> {
        self.connection
            .execute(
                "DELETE FROM registrations WHERE server = ?1 AND session = ?2",
                params![server, session],
            )
            .map(drop)
            .map_err(self.failed("note what was registered"))
    }
}
