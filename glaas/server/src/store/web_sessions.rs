//! Who is signed in on the pages. A revoked key signs nobody in, and those whom it did are out.

use super::users::User;
use super::{StoreError, Transaction};

/// Notes that the holder of a key is signed in until `ends_ms`.
///
/// # Errors
/// The database fails.
pub async fn open(
    tx: &mut Transaction,
    digest: &str,
    fingerprint: &str,
    now_ms: i64,
    ends_ms: i64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO web_sessions (digest, fingerprint, created_ms, ends_ms) VALUES ($1, $2, $3, $4)",
        &[
            digest.into(),
            fingerprint.into(),
            now_ms.into(),
            ends_ms.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Who is signed in.
///
/// # Errors
/// The database fails.
pub async fn user(
    tx: &mut Transaction,
    digest: &str,
    now_ms: i64,
) -> Result<Option<User>, StoreError> {
    let row = tx
        .first(
            "SELECT u.id, u.name FROM web_sessions w JOIN keys k ON k.fingerprint = w.fingerprint
             JOIN users u ON u.id = k.user_id
             WHERE w.digest = $1 AND w.ends_ms > $2 AND k.revoked_ms IS NULL",
            &[digest.into(), now_ms.into()],
        )
        .await?;
    row.map(|row| User::of_row(&row)).transpose()
}

/// Signs out.
///
/// # Errors
/// The database fails.
pub async fn close(tx: &mut Transaction, digest: &str) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM web_sessions WHERE digest = $1",
        &[digest.into()],
    )
    .await?;
    Ok(())
}

/// Forgets those whose time is over.
///
/// # Errors
/// The database fails.
pub async fn forget(tx: &mut Transaction, now_ms: i64) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM web_sessions WHERE ends_ms <= $1",
        &[now_ms.into()],
    )
    .await
}
