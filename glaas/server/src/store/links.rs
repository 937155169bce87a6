//! Which job read and wrote which content.

use std::collections::BTreeSet;

use glaas_api::jobs::FileLink;

use super::sessions::Session;
use super::{StoreError, Transaction, Value, artifacts, jobs, terms};

/// Read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An input.
    Input = 0,
    /// An output.
    Output = 1,
}

/// Links files to a job; a link that is there stays. Returns how many were given.
///
/// # Errors
/// The session has no such job, or the database fails.
pub async fn add(
    tx: &mut Transaction,
    session: &Session,
    job_uid: &str,
    role: Role,
    files: &[FileLink],
) -> Result<u64, StoreError> {
    let job_id = jobs::find(tx, session.id, job_uid).await?;
    let job_id = job_id.ok_or(StoreError::NotFound)?;
    let last = tx
        .first(
            "SELECT max(position) FROM links WHERE job_id = $1 AND role = $2",
            &[job_id.into(), (role as i64).into()],
        )
        .await?;
    let last = last.map_or(Ok(None), |row| row.int_or_null(0))?;
    let mut rows: Vec<Vec<Value>> = Vec::with_capacity(files.len());
    let mut found_by = BTreeSet::new();
    for (position, file) in (last.unwrap_or(-1) + 1..).zip(files) {
        let path = file.path.as_deref().unwrap_or_default();
        let artifact_id = artifacts::met_at(tx, session, &file.hash, path, file.size).await?;
        let raw_path = file
            .raw_path
            .as_ref()
            .and_then(|raw| serde_json::to_string(raw).ok());
        let size = file.size.and_then(|size| i64::try_from(size).ok());
        rows.push(vec![
            job_id.into(),
            (role as i64).into(),
            artifact_id.into(),
            path.into(),
            position.into(),
            size.into(),
            raw_path.into(),
            (&file.basis).into(),
            (&file.note).into(),
        ]);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        if found_by.len() < 1000 {
            found_by.extend(terms::words(name));
        }
    }
    tx.insert_new(
        "links",
        "job_id, role, artifact_id, path, position, size, raw_path, basis, note",
        &rows,
    )
    .await?;
    jobs::insert_terms(tx, job_id, found_by).await?;
    Ok(files.len() as u64)
}
