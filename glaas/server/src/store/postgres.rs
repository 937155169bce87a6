//! Engines that speak PostgreSQL's protocol. Transactions are serializable, so that several server
//! processes on one database (and engines that know no weaker level) behave alike: a conflict is
//! told as 40001 and tried again.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut};

use super::{Row, StoreError, Value, tls};

/// Connections of one server process.
const CONNECTIONS: usize = 16;

/// How long a request waits for one of them, and for the engine to answer a new one.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Database {
    pool: Pool,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres::Database")
    }
}

impl Database {
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let (mut config, encryption) = tls::read(url)?;
        config.application_name("glaas-server");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(config, encryption, ManagerConfig { recycling_method });
        let timeouts = Timeouts {
            wait: Some(PATIENCE),
            create: Some(PATIENCE),
            recycle: Some(PATIENCE),
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let database = Self { pool };
        drop(database.connection().await?);
        Ok(database)
    }

    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => StoreError::Unavailable(words(&error)),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    pub(super) async fn begin(&self, writes: bool) -> Result<Transaction, StoreError> {
        let client = self.connection().await?;
        let begin = if writes {
            "BEGIN ISOLATION LEVEL SERIALIZABLE"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        };
        let transaction = Transaction {
            client: Some(client),
        };
        transaction.client()?.batch_execute(begin).await?;
        Ok(transaction)
    }
}

/// Serialization failure, deadlock, or two that inserted the same at once.
pub(super) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::UNIQUE_VIOLATION
            || *code == SqlState::DUPLICATE_TABLE
    })
}

/// The engine is not there, is starting or ending, or has no room: later it may do the same.
pub(super) fn is_outage(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // 08: connection, 53: disk full and other resources, 57P: the operator ends it, 58: the
        // system beneath failed.
        Some(code) => ["08", "53", "57P", "58"]
            .iter()
            .any(|class| code.code().starts_with(class)),
        None => {
            error.is_closed()
                || error
                    .source()
                    .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}

/// The error with its cause, which the library's own words leave out.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

pub(super) struct Transaction {
    /// There until it is committed or dropped.
    client: Option<Object>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres::Transaction")
    }
}

impl Transaction {
    fn client(&self) -> Result<&Object, StoreError> {
        self.client
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the transaction is over".to_owned()))
    }

    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, &parameters(values)).await?;
        rows.iter().map(owned).collect()
    }

    pub(super) async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, &parameters(values)).await?)
    }

    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute(sql).await?)
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let committed = self.client()?.batch_execute("COMMIT").await;
        committed.map_err(|error| {
            if is_outage(&error) {
                // It may have happened or not: only the client can ask.
                StoreError::Unavailable(format!("while committing: {}", words(&error)))
            } else {
                error.into()
            }
        })?;
        // Back to the pool.
        self.client = None;
        Ok(())
    }
}

impl Transaction {
    pub(super) async fn roll_back(mut self) {
        let rolled_back = match &self.client {
            Some(client) => client.batch_execute("ROLLBACK").await.is_ok(),
            None => false,
        };
        if rolled_back {
            // Back to the pool.
            self.client = None;
        }
    }
}

impl Drop for Transaction {
    /// A transaction that ended neither way takes its connection with it: rolling back would have
    /// to wait for the engine, and the engine does it anyway when the connection closes.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

fn owned(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let mut values = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let kind = column.type_();
        let value = if *kind == Type::INT8 {
            row.try_get::<_, Option<i64>>(index)?.map(Value::Int)
        } else if *kind == Type::INT4 {
            row.try_get::<_, Option<i32>>(index)?
                .map(|value| Value::Int(i64::from(value)))
        } else if *kind == Type::FLOAT8 {
            row.try_get::<_, Option<f64>>(index)?.map(Value::Real)
        } else if *kind == Type::BYTEA {
            row.try_get::<_, Option<Vec<u8>>>(index)?.map(Value::Bytes)
        } else if *kind == Type::BOOL {
            row.try_get::<_, Option<bool>>(index)?.map(Value::from)
        } else {
            row.try_get::<_, Option<String>>(index)?.map(Value::Text)
        };
        values.push(value.unwrap_or(Value::Null));
    }
    Ok(Row(values))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Int(value) if *kind == Type::FLOAT8 => (*value as f64).to_sql(kind, out),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Real(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
