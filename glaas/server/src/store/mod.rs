//! The database: SQLite within the process, or an engine that speaks PostgreSQL's protocol.
//!
//! Every statement is written once, in the part of SQL that all engines share, with `$1`, `$2`, …
//! for values; `sqlite` and `postgres` only carry statements and
//! values. Work is done in transactions: [`write!`](crate::in_write) repeats one that another
//! server process got in the way of, so that what it runs must be repeatable.
//!
//! Rules: who may see a row is decided in the statement that reads it (`viewer`), never after;
//! rows never leave this module, what leaves is wire types and plain facts.

pub mod artifacts;
pub mod blobs;
pub mod graph;
pub mod ids;
pub mod jobs;
pub mod labels;
pub mod links;
pub mod listings;
mod migrations;
mod postgres;
pub mod registrations;
pub mod replay;
pub mod search;
pub mod sessions;
mod sqlite;
pub mod terms;
mod tls;
pub mod users;
mod value;
pub mod web_sessions;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use value::{Row, Value};

/// Who looks: the id of a user, or [`NOBODY`].
pub type Viewer = i64;

/// A viewer without a key.
pub const NOBODY: Viewer = -1;

/// The owner of what was published without a key.
pub const ANONYMOUS: i64 = 0;

/// How often a transaction is tried before its failure is told.
pub const ATTEMPTS: u32 = 8;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's word.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The engine's word.
    #[error("PostgreSQL: {}", postgres::words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection is to be had.
    #[error("no connection to the database: {0}")]
    Unavailable(String),
    /// A row is not as it should be.
    #[error("a row of the database is not as it should be: {0}")]
    Shape(String),
    /// The database cannot be used by this version.
    #[error("{0}")]
    Schema(String),
    /// What was asked for would break a rule; the words are for the client.
    #[error("{0}")]
    Refused(String),
    /// Not there, or not for this viewer.
    #[error("not found")]
    NotFound,
}

impl StoreError {
    /// Whether another transaction was in the way, so that the same again may succeed.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Postgres(error) => postgres::is_conflict(error),
            Self::Sqlite(error) => sqlite::is_busy(error),
            _ => false,
        }
    }

    /// Whether the database is not to be had now, for whatever reason of its own.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Postgres(error) => postgres::is_outage(error),
            Self::Sqlite(error) => sqlite::is_outage(error),
            Self::Unavailable(_) => true,
            _ => false,
        }
    }

    /// Whether a transaction that failed so is tried again at once: nothing of it was kept.
    pub fn is_repeatable(&self) -> bool {
        self.is_conflict() || matches!(self, Self::Postgres(error) if postgres::is_outage(error))
    }
}

/// The database of a server.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
    repeats: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Database),
    Postgres(postgres::Database),
}

impl Database {
    /// Opens `sqlite:PATH` or `postgres://…` and brings its schema up to date.
    ///
    /// # Errors
    /// It cannot be opened, or was made by a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            Engine::Sqlite(sqlite::Database::open(Path::new(path))?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(postgres::Database::open(url).await?)
        } else {
            return Err(StoreError::Schema(format!(
                "--database is sqlite:PATH or postgres://USER@HOST/NAME, not '{}'",
                without_password(url)
            )));
        };
        let database = Self {
            engine,
            repeats: Arc::default(),
        };
        migrations::run(&database).await?;
        Ok(database)
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        match &self.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    /// How many transactions were begun anew because another was in the way.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Counts one of them.
    pub fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// No connection is to be had.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction(match &self.engine {
            Engine::Sqlite(database) => Open::Sqlite(database.begin().await?),
            Engine::Postgres(database) => Open::Postgres(database.begin(true).await?),
        }))
    }

    /// Begins a transaction that only reads; what it reads is of one moment.
    ///
    /// # Errors
    /// No connection is to be had.
    pub async fn snapshot(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction(match &self.engine {
            Engine::Sqlite(database) => Open::Sqlite(database.snapshot().await?),
            Engine::Postgres(database) => Open::Postgres(database.begin(false).await?),
        }))
    }
}

/// An open transaction; dropped without [`commit`](Self::commit), it changes nothing.
#[derive(Debug)]
pub struct Transaction(Open);

#[derive(Debug)]
enum Open {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
}

impl Transaction {
    /// The rows that a statement gives.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        match &mut self.0 {
            Open::Sqlite(transaction) => transaction.query(sql, values),
            Open::Postgres(transaction) => transaction.query(sql, values).await,
        }
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn first(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        match &mut self.0 {
            Open::Sqlite(transaction) => transaction.execute(sql, values),
            Open::Postgres(transaction) => transaction.execute(sql, values).await,
        }
    }

    /// Inserts rows that are not there yet.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn insert_new(
        &mut self,
        table: &str,
        columns: &str,
        rows: &[Vec<Value>],
    ) -> Result<u64, StoreError> {
        let mut inserted = 0;
        let mut rest = rows;
        while !rest.is_empty() {
            // Few forms of the statement, so that prepared ones are used again.
            let count = if rest.len() >= 24 { 24 } else { 1 };
            let (chunk, after) = rest.split_at(count);
            rest = after;
            let width = chunk[0].len();
            let groups: Vec<String> = (0..count)
                .map(|row| {
                    let places: Vec<String> = (1..=width)
                        .map(|place| format!("${}", row * width + place))
                        .collect();
                    format!("({})", places.join(", "))
                })
                .collect();
            let sql = format!(
                "INSERT INTO {table} ({columns}) VALUES {} ON CONFLICT DO NOTHING",
                groups.join(", ")
            );
            inserted += self.execute(&sql, &chunk.concat()).await?;
        }
        Ok(inserted)
    }

    /// Runs several statements without values.
    ///
    /// # Errors
    /// The engine refuses.
    async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        match &mut self.0 {
            Open::Sqlite(transaction) => transaction.batch(sql),
            Open::Postgres(transaction) => transaction.batch(sql).await,
        }
    }

    /// Makes it lasting: when this returns, what was written survives a crash.
    ///
    /// # Errors
    /// Another transaction was in the way, or the engine failed; nothing is changed then.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Open::Sqlite(transaction) => transaction.commit(),
            Open::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Changes nothing, and keeps the connection.
    pub async fn roll_back(self) {
        match self.0 {
            Open::Sqlite(transaction) => drop(transaction),
            Open::Postgres(transaction) => transaction.roll_back().await,
        }
    }
}

/// Waits a little longer after each failed attempt, by chance, so that two do not meet again.
pub async fn wait_before_retry(attempt: u32) {
    let mut random = [0_u8; 2];
    // Without chance the wait is merely regular.
    let _ = getrandom::fill(&mut random);
    let spread = u64::from(u16::from_le_bytes(random)) % 20;
    let wait = (5_u64 << attempt.min(6)) + spread;
    tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
}

/// Runs a block in a transaction that may write, and again when another one was in the way.
/// The block is an async body that gives a `Result<T, StoreError>`.
#[macro_export]
macro_rules! in_write {
    ($database:expr, $transaction:ident => $work:expr) => {
        $crate::in_transaction!($database, begin, $transaction => $work)
    };
}

/// Runs a block in a transaction that only reads.
#[macro_export]
macro_rules! in_read {
    ($database:expr, $transaction:ident => $work:expr) => {
        $crate::in_transaction!($database, snapshot, $transaction => $work)
    };
}

/// What [`in_write!`] and [`in_read!`] share.
#[macro_export]
macro_rules! in_transaction {
    ($database:expr, $begin:ident, $transaction:ident => $work:expr) => {{
        let mut attempt = 0;
        loop {
            let outcome: Result<_, $crate::store::StoreError> = async {
                let mut opened = $database.$begin().await?;
                let $transaction = &mut opened;
                let worked: Result<_, $crate::store::StoreError> = $work;
                match worked {
                    Ok(value) => {
                        opened.commit().await?;
                        Ok(value)
                    }
                    Err(error) => {
                        opened.roll_back().await;
                        Err(error)
                    }
                }
            }
            .await;
            match outcome {
                Err(error) if error.is_repeatable() && attempt + 1 < $crate::store::ATTEMPTS => {
                    $database.repeated();
                    $crate::store::wait_before_retry(attempt).await;
                    attempt += 1;
                }
                other => break other,
            }
        }
    }};
}

/// A database URL that may be shown.
pub fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| {
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:…@{host}"))
    }) {
        Some(shown) => shown,
        None => url.to_owned(),
    }
}
