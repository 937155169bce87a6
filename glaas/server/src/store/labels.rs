//! Labels: documents that users attach to sessions, jobs and artifacts. Each change is kept.

use serde_json::Value as Json;

use super::{StoreError, Transaction, Viewer, ids};
use crate::clock;

/// A label as it is now, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// `session`, `job`, `artifact`, …
    pub entity_type: String,
    /// The hash or uid of what it is attached to.
    pub entity_id: String,
    /// The document.
    pub document: Json,
    /// When it was sent, in milliseconds.
    pub created_ms: i64,
}

/// Keeps a label; the same document again changes nothing. Returns whether it was kept, and
/// whether another one stood there.
///
/// # Errors
/// The database fails.
pub async fn put(
    tx: &mut Transaction,
    owner_id: i64,
    public: bool,
    entity_type: &str,
    entity_id: &str,
    document: &Json,
) -> Result<(bool, bool), StoreError> {
    let text = document.to_string();
    let last = tx
        .first(
            "SELECT document FROM labels WHERE entity_type = $1 AND entity_id = $2
             AND owner_id = $3 ORDER BY id DESC LIMIT 1",
            &[entity_type.into(), entity_id.into(), owner_id.into()],
        )
        .await?;
    let last = last.map(|row| row.text(0)).transpose()?;
    if last.as_deref() == Some(&text) {
        return Ok((false, true));
    }
    tx.execute(
        "INSERT INTO labels (id, owner_id, public, entity_type, entity_id, document, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            ids::next().into(),
            owner_id.into(),
            public.into(),
            entity_type.into(),
            entity_id.into(),
            text.into(),
            clock::now_ms().into(),
        ],
    )
    .await?;
    Ok((true, last.is_some()))
}

/// The labels of an entity, newest first, as far as the viewer sees them.
///
/// # Errors
/// The database fails.
pub async fn history(
    tx: &mut Transaction,
    viewer: Viewer,
    entity_type: &str,
    entity_id: &str,
    limit: i64,
) -> Result<Vec<Label>, StoreError> {
    let rows = tx
        .query(
            "SELECT document, created_ms FROM labels WHERE entity_type = $1 AND entity_id = $2
             AND (public = 1 OR owner_id = $3) ORDER BY id DESC LIMIT $4",
            &[
                entity_type.into(),
                entity_id.into(),
                viewer.into(),
                limit.into(),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Label {
                entity_type: entity_type.to_owned(),
                entity_id: entity_id.to_owned(),
                document: serde_json::from_str(&row.text(0)?).unwrap_or(Json::Null),
                created_ms: row.int(1)?,
            })
        })
        .collect()
}
