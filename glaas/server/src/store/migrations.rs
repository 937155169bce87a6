//! The schema and its versions. Migrations are append-only; each runs in one transaction with the
//! row that says so, and a database of a newer version is left alone.

use super::{Database, Engine, StoreError, Transaction, Value};
use crate::in_write;

/// The migrations in order. Words in braces stand for what engines call differently.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_web_sessions.sql"),
    include_str!("migrations/0003_listings.sql"),
];

/// Brings the schema up to date; several processes may try at once.
pub(super) async fn run(database: &Database) -> Result<(), StoreError> {
    let words = dialect(database).await?;
    in_write!(database, tx => tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)"
    ).await)?;
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        let version = index as i64 + 1;
        let sql = words
            .iter()
            .fold((*migration).to_owned(), |sql, (word, engine)| {
                sql.replace(word, engine)
            });
        in_write!(database, tx => apply(tx, version, &sql).await)?;
    }
    let found = in_read_version(database).await?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Schema(format!(
            "the database has schema version {found}, this glaas-server knows up to {known}: use a newer glaas-server"
        )));
    }
    Ok(())
}

async fn in_read_version(database: &Database) -> Result<i64, StoreError> {
    let row = crate::in_read!(database, tx => tx.first("SELECT max(version) FROM schema_version", &[]).await)?;
    row.map_or(Ok(0), |row| Ok(row.int_or_null(0)?.unwrap_or(0)))
}

async fn apply(tx: &mut Transaction, version: i64, sql: &str) -> Result<(), StoreError> {
    let inserted = tx
        .execute(
            "INSERT INTO schema_version (version) VALUES ($1) ON CONFLICT DO NOTHING",
            &[Value::Int(version)],
        )
        .await?;
    if inserted == 0 {
        return Ok(());
    }
    tx.batch(sql).await
}

/// What the engine calls things.
async fn dialect(database: &Database) -> Result<[(&'static str, &'static str); 3], StoreError> {
    if matches!(database.engine, Engine::Sqlite(_)) {
        return Ok([
            ("{BYTES}", "BLOB"),
            ("{SORTED_TEXT}", "TEXT"),
            ("{CLUSTERED}", "WITHOUT ROWID"),
        ]);
    }
    let version = crate::in_read!(database, tx => tx.first("SELECT version()", &[]).await)?;
    let version = version.map_or(Ok(String::new()), |row| row.text(0))?;
    // CockroachDB sorts by bytes and knows no collation of that name.
    let sorted = if version.contains("CockroachDB") {
        "TEXT"
    } else {
        "TEXT COLLATE \"C\""
    };
    Ok([
        ("{BYTES}", "BYTEA"),
        ("{SORTED_TEXT}", sorted),
        ("{CLUSTERED}", ""),
    ])
}
