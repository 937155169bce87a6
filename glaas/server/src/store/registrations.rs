//! Registration sessions of the newer client: what is sent under a token stays in a private session
//! of its own until it is made final; then it becomes the session that its content names.

use super::sessions::{self, Session};
use super::{StoreError, Transaction, Value, ids};
use crate::clock;

/// How long a registration may stay open.
const OPEN_MS: i64 = 24 * 60 * 60 * 1000;

/// A registration session's row.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner_id: i64,
    /// As asked for.
    pub mode: Option<String>,
    /// Where its jobs are.
    pub session_id: i64,
    /// The session that it became.
    pub final_hash: Option<String>,
}

/// Opens one.
///
/// # Errors
/// The database fails.
pub async fn open(
    tx: &mut Transaction,
    owner_id: i64,
    id: &str,
    client_id: Option<&str>,
    mode: Option<&str>,
    token_digest: &str,
) -> Result<Upload, StoreError> {
    let session_id = ids::next();
    let now = clock::now_ms();
    tx.execute(
        "INSERT INTO sessions (id, owner_id, hash, public, created_ms) VALUES ($1, $2, $3, 0, $4)",
        &[
            session_id.into(),
            owner_id.into(),
            format!("upload-{id}").into(),
            now.into(),
        ],
    )
    .await?;
    tx.execute(
        "INSERT INTO uploads (id, owner_id, client_id, mode, token_digest, session_id, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            id.into(),
            owner_id.into(),
            client_id.into(),
            mode.into(),
            token_digest.into(),
            session_id.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(Upload {
        id: id.to_owned(),
        owner_id,
        mode: mode.map(str::to_owned),
        session_id,
        final_hash: None,
    })
}

/// The registration that a token opens, while it is open.
///
/// # Errors
/// There is none, or the database fails.
pub async fn by_token(
    tx: &mut Transaction,
    id: &str,
    token_digest: &str,
) -> Result<Upload, StoreError> {
    find(tx, id, "token_digest", token_digest.into()).await
}

/// The registration of an owner, while it is open.
///
/// # Errors
/// There is none, or the database fails.
pub async fn by_owner(tx: &mut Transaction, id: &str, owner_id: i64) -> Result<Upload, StoreError> {
    find(tx, id, "owner_id", owner_id.into()).await
}

async fn find(
    tx: &mut Transaction,
    id: &str,
    column: &str,
    value: Value,
) -> Result<Upload, StoreError> {
    let row = tx
        .first(
            &format!(
                "SELECT owner_id, mode, session_id, final_hash FROM uploads
                 WHERE id = $1 AND {column} = $2 AND created_ms > $3"
            ),
            &[id.into(), value, (clock::now_ms() - OPEN_MS).into()],
        )
        .await?;
    let row = row.ok_or(StoreError::NotFound)?;
    Ok(Upload {
        id: id.to_owned(),
        owner_id: row.int(0)?,
        mode: row.text_or_null(1)?,
        session_id: row.int(2)?,
        final_hash: row.text_or_null(3)?,
    })
}

/// Makes a registration final under its hash. Where the owner has a session of that hash, what was
/// sent is the same content, and the new rows go.
///
/// # Errors
/// The database fails.
pub async fn finish(
    tx: &mut Transaction,
    upload: &Upload,
    hash: &str,
    public: bool,
) -> Result<(Session, bool), StoreError> {
    let existing = sessions::owned(tx, upload.owner_id, hash).await?;
    let (session, created) = if let Some(existing) = existing {
        discard(tx, upload.session_id).await?;
        (existing, false)
    } else {
        tx.execute(
            "UPDATE sessions SET hash = $1 WHERE id = $2",
            &[hash.into(), upload.session_id.into()],
        )
        .await?;
        sessions::set_visibility(tx, upload.owner_id, hash, public).await?;
        (sessions::by_id(tx, upload.session_id).await?, true)
    };
    tx.execute(
        "UPDATE uploads SET final_hash = $1, session_id = $2 WHERE id = $3",
        &[hash.into(), session.id.into(), (&upload.id).into()],
    )
    .await?;
    Ok((session, created))
}

/// Removes a session that never was final.
async fn discard(tx: &mut Transaction, session_id: i64) -> Result<(), StoreError> {
    let values: [Value; 1] = [session_id.into()];
    for sql in [
        "DELETE FROM links WHERE job_id IN (SELECT id FROM jobs WHERE session_id = $1)",
        "DELETE FROM job_terms WHERE job_id IN (SELECT id FROM jobs WHERE session_id = $1)",
        "DELETE FROM blob_references WHERE job_id IN (SELECT id FROM jobs WHERE session_id = $1)",
        "DELETE FROM jobs WHERE session_id = $1",
        "DELETE FROM registration_hashes WHERE registration_id IN
         (SELECT id FROM registrations WHERE session_id = $1)",
        "DELETE FROM registration_terms WHERE registration_id IN
         (SELECT id FROM registrations WHERE session_id = $1)",
        "DELETE FROM registrations WHERE session_id = $1",
        "DELETE FROM sessions WHERE id = $1",
    ] {
        tx.execute(sql, &values).await?;
    }
    Ok(())
}
