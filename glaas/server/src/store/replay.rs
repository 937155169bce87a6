//! Signatures that were used: shared by all server processes, so that a captured request cannot be
//! sent to another one.

use super::{StoreError, Transaction};

/// Longer than the window in which a signature counts.
const KEPT_MS: i64 = 15 * 60 * 1000;

/// Notes a signature and returns when it was first seen, if it was.
///
/// # Errors
/// The database fails.
pub async fn first_seen(
    tx: &mut Transaction,
    digest: &str,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    let row = tx
        .first(
            "SELECT first_ms FROM seen_requests WHERE digest = $1",
            &[digest.into()],
        )
        .await?;
    if let Some(row) = row {
        return Ok(Some(row.int(0)?));
    }
    tx.execute(
        "INSERT INTO seen_requests (digest, first_ms) VALUES ($1, $2)",
        &[digest.into(), now_ms.into()],
    )
    .await?;
    Ok(None)
}

/// Writes the one row that is there for it.
///
/// # Errors
/// The database takes no writes.
pub async fn prove_writable(tx: &mut Transaction, now_ms: i64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO seen_requests (digest, first_ms) VALUES ('ready', $1)
         ON CONFLICT (digest) DO UPDATE SET first_ms = excluded.first_ms",
        &[now_ms.into()],
    )
    .await?;
    Ok(())
}

/// Forgets signatures whose time is over.
///
/// # Errors
/// The database fails.
pub async fn forget(tx: &mut Transaction, now_ms: i64) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM seen_requests WHERE first_ms < $1",
        &[(now_ms - KEPT_MS).into()],
    )
    .await
}
