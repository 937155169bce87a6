//! Opening the database: made once, checked cheaply, refused when it is not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction};

use super::error::StoreError;
use super::log::LONG_BYTES;
use super::place::{self, Found};
use super::schema::{APPLICATION_ID, SCHEMA, Schema, user_version};
use crate::project::Project;

/// The open database of a project.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// How long this connection waits for others.
    pub(super) lock_timeout: Duration,
    schema_version: u32,
}

/// How to open the database.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// How long a writer waits for another one before it gives up.
    pub lock_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(30),
        }
    }
}

impl Store {
    /// Opens the project's database for reading and writing; makes or migrates it where needed.
    ///
    /// # Errors
    /// The database is newer, damaged, not roar's, locked for too long, or cannot be written.
    pub fn open(project: &Project) -> Result<Self, StoreError> {
        Self::open_with(project, StoreOptions::default())
    }

    /// Like [`Store::open`], with options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(project: &Project, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_schema(project, options, &SCHEMA)
    }

    /// Opens the project's database for reading only; one of a newer schema is accepted, and
    /// queries answer as far as the tables are still as this roar knows them.
    ///
    /// # Errors
    /// There is no database, or it is of an older schema, damaged or not roar's.
    pub fn open_read_only(project: &Project) -> Result<Self, StoreError> {
        let path = place::database_path(project, false)?;
        if place::inspect(&path)? == Found::Nothing {
            return Err(StoreError::Missing { path });
        }
        let timeout = StoreOptions::default().lock_timeout;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, timeout)?;
        let (connection, version) = match identify(&connection, &path) {
            Ok(version) => (connection, version),
            Err(error) => match connect_immutable(&path, &error)? {
                Some(connection) => {
                    let version = identify(&connection, &path)?;
                    (connection, version)
                }
                None => return Err(error),
            },
        };
        if version < SCHEMA.latest {
            return Err(StoreError::Outdated {
                path,
                found: version,
                known: SCHEMA.latest,
            });
        }
        Ok(Self {
            connection,
            path,
            lock_timeout: timeout,
            schema_version: version,
        })
    }

    /// The schema version of the open database.
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// That this roar may write the database, which it may have opened for reading only.
    ///
    /// # Errors
    /// A newer roar wrote it.
    pub fn refuse_newer(&self) -> Result<(), StoreError> {
        if self.schema_version > SCHEMA.latest {
            return Err(StoreError::Newer {
                path: self.path.clone(),
                found: self.schema_version,
                known: SCHEMA.latest,
            });
        }
        Ok(())
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open_schema(
        project: &Project,
        options: StoreOptions,
        schema: &Schema,
    ) -> Result<Self, StoreError> {
        let path = place::database_path(project, true)?;
        if place::inspect(&path)? == Found::Nothing {
            create(&path, schema)?;
        }
        let mut connection = connect(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE,
            options.lock_timeout,
        )?;
        let failed = |error| StoreError::from_sqlite("open the database", &path, error);
        // SQLite falls back to reading when the file cannot be written.
        if connection.is_readonly("main").map_err(failed)? {
            return Err(StoreError::ReadOnly {
                operation: "open the database for writing",
                path,
            });
        }
        let found = identify(&connection, &path)?;
        if found > schema.latest {
            return Err(StoreError::Newer {
                path,
                found,
                known: schema.latest,
            });
        }
        tune(&connection, &path).map_err(failed)?;
        if found < schema.latest {
            schema.upgrade(&mut connection, &path, found)?;
        }
        Ok(Self {
            connection,
            path,
            lock_timeout: options.lock_timeout,
            schema_version: schema.latest,
        })
    }

    /// Answers several questions as of one moment, and without taking and giving back the
    /// database's locks for each, which costs more than most answers.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn moment<T>(&self, work: impl FnOnce() -> T) -> Result<T, StoreError> {
        let _moment = self.snapshot().map_err(self.failed("read the database"))?;
        Ok(work())
    }

    /// A transaction for reading, unless there is one already.
    pub(super) fn snapshot(&self) -> rusqlite::Result<Option<Transaction<'_>>> {
        let alone = self.connection.is_autocommit();
        alone
            .then(|| self.connection.unchecked_transaction())
            .transpose()
    }

    /// Runs a query, sorting its errors.
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        query: impl FnOnce() -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        query().map_err(|error| self.failed(operation)(error))
    }

    /// For `map_err`: sorts an error of SQLite that befell `operation`.
    pub(super) fn failed(
        &self,
        operation: &'static str,
    ) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::from_sqlite(operation, &path, error)
    }
}

/// Makes the database under another name and puts it in place once it is complete. Whoever
/// comes second finds the first one's and drops their own.
fn create(path: &Path, schema: &Schema) -> Result<(), StoreError> {
    const PREFIX: &str = "roar.db.new-";
    let attempt = || {
        let file = place::private_temp_file(path, PREFIX)?;
        let timeout = StoreOptions::default().lock_timeout;
        let mut connection = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)?;
        let failed = |error| StoreError::from_sqlite("make the database", path, error);
        // With a rollback journal, what is committed is in the file itself: closing a log would
        // have to move it there, and SQLite does not tell when that fails.
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        schema.create(&mut connection, path)?;
        if !place::is_network(path.parent().unwrap_or(Path::new("."))) {
            connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
                .map_err(failed)?;
        }
        connection.close().map_err(|(_, error)| failed(error))?;
        file.persist_noclobber(path)
            .map_err(|error| StoreError::from_io("make the database", path, error.error))
    };
    match attempt() {
        // A rival's clearing-up may have taken our half-made file away; theirs serves as well.
        Err(error) if path.symlink_metadata().is_err() => Err(error),
        _ => {
            remove_leftovers(path, PREFIX);
            Ok(())
        }
    }
}

/// Removes what creators that were killed left behind; failing to costs nothing but the space.
fn remove_leftovers(path: &Path, prefix: &str) {
    let Some(Ok(entries)) = path.parent().map(fs::read_dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens a connection that refuses links, waits for locks and trusts nothing in the schema.
pub(super) fn connect(
    path: &Path,
    access: OpenFlags,
    timeout: Duration,
) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::from_sqlite("open the database", path, error);
    let flags = access
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    prepare(&connection, timeout).map_err(failed)?;
    Ok(connection)
}

fn prepare(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A statement is planned once, whatever is bound to it. Otherwise SQLite compares bound values
    // with the conditions of partial indices and plans anew at each of them: a quarter of the
    // time of a long lineage.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Closing leaves the log beside the file. Moving it in costs two fsyncs, 17 ms of 18 for a
    // small job where it was measured; see `log` for when it is done. And a file that is found not to be ours is not written by being closed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// A second try at a database in a folder that cannot be written, where SQLite cannot make the
/// shared memory of the log: nobody can change the file then, so it may be read as immutable.
fn connect_immutable(path: &Path, error: &StoreError) -> Result<Option<Connection>, StoreError> {
    let cannot_share = matches!(
        error,
        StoreError::ReadOnly { .. } | StoreError::Sqlite { .. }
    );
    let log = path.with_file_name("roar.db-wal");
    let pending = fs::symlink_metadata(log).is_ok_and(|metadata| metadata.len() > 0);
    let Some(text) = path.to_str().filter(|_| cannot_share && !pending) else {
        return Ok(None);
    };
    let mut uri = String::from("file:");
    for character in text.chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    uri.push_str("?immutable=1");
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect(Path::new(&uri), access, Duration::ZERO).map(Some)
}

/// Makes sure that the file is a roar database and returns its schema version. Nothing is written.
fn identify(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let failed = |error| StoreError::from_sqlite("open the database", path, error);
    let application_id: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(failed)?;
    if application_id != APPLICATION_ID {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
            application_id,
        });
    }
    user_version(connection).map_err(failed)
}

/// Settings of a connection that may write.
fn tune(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -65_536)?; // KiB
    let network = place::is_network(path.parent().unwrap_or(Path::new(".")));
    if network {
        connection.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
    } else {
        // When a log begins anew, its file shrinks to this: its length tells how long the log is.
        let limit = LONG_BYTES as i64;
        connection.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
    }
    let synchronous = if network { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)
}
