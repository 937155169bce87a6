//! Blobs: patches and untracked files by their BLAKE3 digest. Nobody learns from them what others
//! have sent: they belong to those who sent them, and are read through jobs that are seen.

use super::{StoreError, Transaction, Viewer, listings};

/// Keeps a blob for an owner; returns whether the owner is new to it.
///
/// # Errors
/// The database fails.
pub async fn put(
    tx: &mut Transaction,
    owner_id: i64,
    digest: &str,
    content: &[u8],
) -> Result<bool, StoreError> {
    let row = vec![digest.into(), content.into()];
    if tx.insert_new("blobs", "digest, content", &[row]).await? > 0 {
        listings::index(tx, digest, content).await?;
    }
    let added = tx
        .insert_new(
            "blob_owners",
            "digest, owner_id",
            &[vec![digest.into(), owner_id.into()]],
        )
        .await?;
    Ok(added > 0)
}

/// A blob that the viewer sent, or that its sender's jobs, as far as the viewer sees them, point to.
///
/// # Errors
/// It is not there for this viewer, or the database fails.
pub async fn get(
    tx: &mut Transaction,
    viewer: Viewer,
    digest: &str,
) -> Result<Vec<u8>, StoreError> {
    let row = tx
        .first(
            "SELECT b.content FROM blobs b WHERE b.digest = $1 AND EXISTS (
               SELECT 1 FROM blob_owners o WHERE o.digest = b.digest AND (o.owner_id = $2 OR EXISTS (
                 SELECT 1 FROM blob_references f JOIN jobs j ON j.id = f.job_id
                 WHERE f.digest = b.digest AND j.owner_id = o.owner_id AND j.public = 1)))",
            &[digest.into(), viewer.into()],
        )
        .await?;
    row.ok_or(StoreError::NotFound)?.bytes(0)
}

/// Those of the digests that the owner has not sent.
///
/// # Errors
/// The database fails.
pub async fn missing(
    tx: &mut Transaction,
    owner_id: i64,
    digests: &[String],
) -> Result<Vec<String>, StoreError> {
    let mut missing = Vec::new();
    for digest in digests {
        let row = tx
            .first(
                "SELECT digest FROM blob_owners WHERE digest = $1 AND owner_id = $2",
                &[digest.into(), owner_id.into()],
            )
            .await?;
        if row.is_none() {
            missing.push(digest.clone());
        }
    }
    Ok(missing)
}
