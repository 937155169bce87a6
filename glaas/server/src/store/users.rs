//! Users and their keys.

use glaas_api::keys::KeyRecord;

use super::{Row, StoreError, Transaction, Value, ids};
use crate::clock;

/// Who signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The row.
    pub id: i64,
    /// The name.
    pub name: String,
}

impl User {
    /// From a row whose first columns are `users.id` and `users.name`.
    pub(super) fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.int(0)?,
            name: row.text(1)?,
        })
    }
}

/// A key that was found, and whose it is.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Its user.
    pub user: User,
    /// As in `id_ed25519.pub`.
    pub public_key: String,
    /// Whether it may no longer be used.
    pub revoked: bool,
}

/// The key of a fingerprint.
///
/// # Errors
/// The database fails.
pub async fn key(tx: &mut Transaction, fingerprint: &str) -> Result<Option<KnownKey>, StoreError> {
    let row = tx
        .first(
            "SELECT u.id, u.name, k.public_key, k.revoked_ms FROM keys k
             JOIN users u ON u.id = k.user_id WHERE k.fingerprint = $1",
            &[fingerprint.into()],
        )
        .await?;
    row.map(|row| {
        Ok(KnownKey {
            user: User::of_row(&row)?,
            public_key: row.text(2)?,
            revoked: row.int_or_null(3)?.is_some(),
        })
    })
    .transpose()
}

/// A user by name.
///
/// # Errors
/// The database fails.
pub async fn named(tx: &mut Transaction, name: &str) -> Result<Option<User>, StoreError> {
    let row = tx
        .first("SELECT id, name FROM users WHERE name = $1", &[name.into()])
        .await?;
    row.map(|row| User::of_row(&row)).transpose()
}

/// Makes a user.
///
/// # Errors
/// The name is taken, or the database fails.
pub async fn add(tx: &mut Transaction, name: &str) -> Result<User, StoreError> {
    if named(tx, name).await?.is_some() {
        return Err(StoreError::Refused(format!(
            "the name '{name}' is taken: choose another, or let one of its keys sign for the new one"
        )));
    }
    let id = ids::next();
    tx.execute(
        "INSERT INTO users (id, name, created_ms) VALUES ($1, $2, $3)",
        &[id.into(), name.into(), clock::now_ms().into()],
    )
    .await?;
    Ok(User {
        id,
        name: name.to_owned(),
    })
}

/// Gives a user a key.
///
/// # Errors
/// The key is registered, or the database fails.
pub async fn add_key(
    tx: &mut Transaction,
    user: &User,
    key: &KeyRecord,
    public_key: &str,
) -> Result<(), StoreError> {
    let added = tx
        .insert_new(
            "keys",
            "fingerprint, user_id, algorithm, public_key, comment, created_ms",
            &[vec![
                (&key.fingerprint).into(),
                user.id.into(),
                (&key.algorithm).into(),
                public_key.into(),
                (&key.comment).into(),
                clock::now_ms().into(),
            ]],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::Refused(format!(
            "the key {} is registered already",
            key.fingerprint
        )));
    }
    Ok(())
}

/// A user's keys, oldest first.
///
/// # Errors
/// The database fails.
pub async fn keys_of(tx: &mut Transaction, user: &User) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = tx
        .query(
            "SELECT fingerprint, algorithm, comment, created_ms, revoked_ms FROM keys
             WHERE user_id = $1 ORDER BY created_ms",
            &[user.id.into()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(KeyRecord {
                fingerprint: row.text(0)?,
                algorithm: row.text(1)?,
                comment: row.text(2)?,
                user: user.name.clone(),
                created_at: clock::seconds(row.int(3)?),
                revoked_at: row.int_or_null(4)?.map(clock::seconds),
            })
        })
        .collect()
}

/// Takes a key out of use for good; of `owner` only, unless the operator asks.
///
/// # Errors
/// There is no such key, or the database fails.
pub async fn revoke(
    tx: &mut Transaction,
    fingerprint: &str,
    owner: Option<&User>,
) -> Result<(), StoreError> {
    let owner = owner.map_or(Value::Null, |user| user.id.into());
    let revoked = tx
        .execute(
            "UPDATE keys SET revoked_ms = coalesce(revoked_ms, $1)
             WHERE fingerprint = $2 AND (CAST($3 AS BIGINT) IS NULL OR user_id = $3)",
            &[clock::now_ms().into(), fingerprint.into(), owner],
        )
        .await?;
    if revoked == 0 {
        return Err(StoreError::NotFound);
    }
    Ok(())
}
