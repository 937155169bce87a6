//! What was learned from package databases; see `capture::packages`.

use rusqlite::{OptionalExtension as _, params};

use super::database::Store;
use super::error::StoreError;
use super::rows::RawSql;
use crate::model::RawString;

impl Store {
    /// What was learned from a package database while it was in this state.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn package_note(
        &self,
        source: &RawString,
        state: &str,
    ) -> Result<Option<String>, StoreError> {
        self.read("look into the notes on packages", || {
            self.connection
                .prepare_cached(
                    "SELECT document FROM package_notes WHERE source = ?1 AND state = ?2",
                )?
                .query_row(params![RawSql(source), state], |row| row.get(0))
                .optional()
        })
    }

    /// Replaces what was learned from a package database.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn note_packages(
        &mut self,
        source: &RawString,
        state: &str,
        document: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO package_notes (source, state, document) VALUES (?1, ?2, ?3)
                 ON CONFLICT (source) DO UPDATE SET
                     state = excluded.state, document = excluded.document",
            )
            .and_then(|mut insert| insert.execute(params![RawSql(source), state, document]))
            .map(drop)
            .map_err(self.failed("write the notes on packages"))
    }
}
