//! The schema's versions: which migrations there are and how a database gets to the newest.
//!
//! `PRAGMA user_version` counts the migrations that were applied. A migration runs in one
//! immediate transaction, so that a killed roar leaves either the old schema or the new one;
//! before an existing database is migrated it is copied to `roar.db.vN.bak`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::error::StoreError;
use super::place;
use crate::model::RawString;

/// `PRAGMA application_id` of a roar database: "roar" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x726f_6172;

/// The migrations in order and their count.
pub(super) struct Schema {
    migrations: Migrations<'static>,
    /// The version that all of them together give.
    pub(super) latest: u32,
}

impl Schema {
    /// A schema of these migrations, oldest first.
    pub(super) fn new(sql: &[&'static str]) -> Self {
        Self {
            migrations: Migrations::new(sql.iter().map(|text| M::up(text)).collect()),
            latest: u32::try_from(sql.len()).expect("there are few migrations"),
        }
    }

    /// Applies what is missing to a database that nobody else can see yet.
    pub(super) fn create(
        &self,
        connection: &mut Connection,
        path: &Path,
    ) -> Result<(), StoreError> {
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        self.migrations
            .to_latest(connection)
            .map_err(|source| migration_error(path, source))
    }

    /// Brings an existing database of version `found` up to date, keeping a copy of it.
    ///
    /// Processes that arrive together take turns, and whoever comes second finds nothing to do.
    pub(super) fn upgrade(
        &self,
        connection: &mut Connection,
        path: &Path,
        found: u32,
    ) -> Result<(), StoreError> {
        let _turn = place::lock_turn(&path.with_file_name("migrate.lock"))?;
        let current = user_version(connection)
            .map_err(|error| StoreError::from_sqlite("read the schema version", path, error))?;
        if current == found {
            back_up(connection, path, found)?;
            self.create(connection, path)?;
        }
        Ok(())
    }
}

/// Every migration, oldest first.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_conditions.sql"),
    include_str!("migrations/0003_package_notes.sql"),
    include_str!("migrations/0004_overview.sql"),
    include_str!("migrations/0005_registrations.sql"),
    include_str!("migrations/0006_package_notes_gone.sql"),
    include_str!("migrations/0007_launches.sql"),
    include_str!("migrations/0008_command_texts.sql"),
];

/// The schema of this roar.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(MIGRATIONS));

/// Where the copy of a database of version `version` goes before it is migrated.
pub(super) fn backup_path(database: &Path, version: u32) -> PathBuf {
    database.with_file_name(format!("roar.db.v{version}.bak"))
}

/// The schema version as a transaction sees it now.
pub(super) fn user_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map(|version| u32::try_from(version).unwrap_or(u32::MAX))
}

/// Writes a consistent copy beside the database; an interrupted copy never counts as one.
fn back_up(connection: &Connection, path: &Path, version: u32) -> Result<(), StoreError> {
    let operation = "back up the database";
    let target = backup_path(path, version);
    let copy = place::private_temp_file(path, "roar.db.bak-")?;
    connection
        .execute("VACUUM INTO ?1", [Name(&RawString::from_path(&copy))])
        .map_err(|error| StoreError::from_sqlite(operation, path, error))?;
    copy.persist(&target)
        .map_err(|error| StoreError::from_io(operation, &target, error.error))
}

fn migration_error(path: &Path, error: rusqlite_migration::Error) -> StoreError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => {
            StoreError::from_sqlite("migrate the database", path, err)
        }
        source => StoreError::Migration {
            path: path.to_path_buf(),
            source: Box::new(source),
        },
    }
}

/// A file name for binding: SQLite wants text, but takes every byte.
struct Name<'a>(&'a RawString);

impl ToSql for Name<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_bytes())))
    }
}
