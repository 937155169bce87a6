//! SQLite: one connection that writes, a few that read beside it (write-ahead log).
//!
//! `synchronous = FULL`: what was acknowledged survives a power cut, not only a crash. Statements
//! are short and run where they stand, with the runtime told that the thread is busy.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Row, StoreError, Value};

/// Readers at once.
const READERS: usize = 4;

/// `glaa`: told apart from other databases by `file`.
const APPLICATION_ID: i64 = 0x676c_6161;

#[derive(Clone, Debug)]
pub(super) struct Database {
    path: Arc<PathBuf>,
    writer: Pool,
    readers: Pool,
}

/// Connections, and the right to take one.
#[derive(Clone, Debug)]
struct Pool {
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Pool {
    fn new(size: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(size)),
            idle: Arc::default(),
        }
    }
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Self {
            path: Arc::new(path.to_owned()),
            writer: Pool::new(1),
            readers: Pool::new(READERS),
        };
        refuse_foreign(path)?;
        let connection = database.connect()?;
        connection.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
        put_back(&database.writer.idle, connection);
        Ok(database)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(self.path.as_path(), flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;",
        )?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    }

    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        self.open_in(&self.writer, "BEGIN IMMEDIATE").await
    }

    pub(super) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        self.open_in(&self.readers, "BEGIN").await
    }

    async fn open_in(&self, pool: &Pool, begin: &str) -> Result<Transaction, StoreError> {
        let permit = Arc::clone(&pool.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("closing".to_owned()))?;
        let idle = pool.idle.lock().ok().and_then(|mut idle| idle.pop());
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        tokio::task::block_in_place(|| connection.execute_batch(begin))?;
        Ok(Transaction {
            connection: Some(connection),
            home: Arc::clone(&pool.idle),
            _permit: permit,
        })
    }
}

/// Looks at the file, without a change to it, before anything is done with it.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(StoreError::Schema(format!(
            "{} is a database of another program",
            path.display()
        )));
    }
    Ok(())
}

fn put_back(idle: &Mutex<Vec<Connection>>, connection: Connection) {
    if let Ok(mut idle) = idle.lock() {
        idle.push(connection);
    }
}

/// Another process holds the file longer than the busy timeout.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// No room, or a disk that fails: later it may do the same.
pub(super) fn is_outage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
        )
    )
}

#[derive(Debug)]
pub(super) struct Transaction {
    /// There until it is dropped.
    connection: Option<Connection>,
    home: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Transaction {
    fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the transaction is over".to_owned()))
    }

    pub(super) fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection()?;
        tokio::task::block_in_place(|| {
            let mut statement = connection.prepare_cached(&numbered(sql))?;
            let width = statement.column_count();
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let columns: Result<Vec<Value>, rusqlite::Error> = (0..width)
                    .map(|column| row.get_ref(column).map(owned))
                    .collect();
                found.push(Row(columns?));
            }
            Ok(found)
        })
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let connection = self.connection()?;
        tokio::task::block_in_place(|| {
            let mut statement = connection.prepare_cached(&numbered(sql))?;
            Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
        })
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection()?;
        Ok(tokio::task::block_in_place(|| {
            connection.execute_batch(sql)
        })?)
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        let connection = self.connection()?;
        Ok(tokio::task::block_in_place(|| {
            connection.execute_batch("COMMIT")
        })?)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            put_back(&self.home, connection);
        }
        // A connection that cannot even roll back is closed; the next transaction opens another.
    }
}

/// SQLite takes `$2` for a name and counts names as they come; `?2` is the second value.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}
