//! The members of collections: on pages that are blobs, found again by their hashes.
//!
//! What is on a page is a fact of its content, whoever sent it. Who is told of it is decided by the
//! jobs that name the page, as with other blobs: a job that the viewer sees, whose owner sent it.

use std::collections::HashMap;

use glaas_api::artifacts::{ArtifactHash, ArtifactRecord};
use glaas_api::document::CollectionDocument;
use glaas_api::members::{self, Member, Members};

use super::links::Role;
use super::{StoreError, Transaction, Value, Viewer, blobs, ids, terms};
use crate::clock;

/// Members that one statement asks for.
const AT_ONCE: usize = 100;

/// The pages that jobs name, as far as a viewer sees both: `$1` is the viewer, `t` the page, `p` its
/// place in a job, `j` the job.
const SEEN: &str = "FROM listings t JOIN job_listings p ON p.digest = t.digest
     JOIN jobs j ON j.id = p.job_id AND (j.public = 1 OR j.owner_id = $1)
     JOIN blob_owners o ON o.digest = t.digest AND o.owner_id = j.owner_id";

/// Takes note of who is on a blob, if it is a page.
///
/// # Errors
/// The database fails.
pub(super) async fn index(
    tx: &mut Transaction,
    digest: &str,
    content: &[u8],
) -> Result<(), StoreError> {
    let Some(found) = members::parse(content) else {
        return Ok(());
    };
    let id = ids::next();
    let row = vec![id.into(), digest.into()];
    if tx.insert_new("listings", "id, digest", &[row]).await? == 0 {
        return Ok(());
    }
    let rows: Vec<Vec<Value>> = found
        .iter()
        .map(|member| vec![(&member.hash).into(), id.into()])
        .collect();
    tx.insert_new("listing_members", "hash, listing_id", &rows)
        .await?;
    Ok(())
}

/// Keeps which pages a job names.
///
/// # Errors
/// The database fails.
pub(super) async fn refer(
    tx: &mut Transaction,
    job_id: i64,
    collections: &[CollectionDocument],
) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value>> = collections
        .iter()
        .flat_map(|collection| {
            let pages = collection.listing.iter().enumerate();
            pages.map(move |(position, page)| {
                vec![
                    job_id.into(),
                    i64::from(collection.produced).into(),
                    (&collection.hash).into(),
                    (position as i64).into(),
                    (&page.digest).into(),
                    i64::try_from(page.files).unwrap_or(i64::MAX).into(),
                ]
            })
        })
        .collect();
    tx.insert_new(
        "job_listings",
        "job_id, role, collection, position, digest, files",
        &rows,
    )
    .await?;
    Ok(())
}

/// Some members of a collection, from a place on, in the order of their paths.
///
/// # Errors
/// No job that the viewer sees tells of its members, or the database fails.
pub async fn part(
    tx: &mut Transaction,
    viewer: Viewer,
    collection: &str,
    offset: u64,
    limit: u64,
) -> Result<Members, StoreError> {
    let rows = tx
        .query(
            &format!(
                "SELECT p.digest, p.files {SEEN} WHERE p.collection = $2 AND (p.job_id, p.role) = (
                   SELECT p.job_id, p.role {SEEN} WHERE p.collection = $2
                   ORDER BY CASE WHEN j.owner_id = $1 THEN 0 ELSE 1 END, p.job_id DESC, p.role LIMIT 1)
                 ORDER BY p.position"
            ),
            &[viewer.into(), collection.into()],
        )
        .await?;
    if rows.is_empty() {
        return Err(StoreError::NotFound);
    }
    let mut part = Members {
        hash: collection.to_owned(),
        offset,
        ..Members::default()
    };
    for row in &rows {
        let (first, count) = (part.files, row.int(1)?.unsigned_abs());
        part.files = part.files.saturating_add(count);
        let wanted = limit.saturating_sub(part.members.len() as u64);
        if wanted == 0 || part.files <= offset {
            continue;
        }
        let page = members(tx, viewer, &row.text(0)?).await?;
        let skipped = usize::try_from(offset.saturating_sub(first)).unwrap_or(usize::MAX);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        part.members
            .extend(page.into_iter().skip(skipped).take(wanted));
    }
    Ok(part)
}

/// The members on a page.
async fn members(
    tx: &mut Transaction,
    viewer: Viewer,
    digest: &str,
) -> Result<Vec<Member>, StoreError> {
    let page = blobs::get(tx, viewer, digest).await?;
    Ok(members::parse(&page).unwrap_or_default())
}

/// Hashes of members that begin so, at most `limit`.
///
/// # Errors
/// The database fails.
pub(super) async fn beginning(
    tx: &mut Transaction,
    viewer: Viewer,
    prefix: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let rows = tx
        .query(
            &format!(
                "SELECT DISTINCT m.hash {SEEN} JOIN listing_members m ON m.listing_id = t.id
                 WHERE m.hash >= $2 AND m.hash < $3 ORDER BY m.hash LIMIT $4"
            ),
            &[
                viewer.into(),
                prefix.into(),
                terms::after(prefix).into(),
                limit.into(),
            ],
        )
        .await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// A member as an artifact: what the viewer's own newest job, else the newest, says of it.
///
/// # Errors
/// No page that the viewer sees has it, or the database fails.
pub(super) async fn record(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
) -> Result<ArtifactRecord, StoreError> {
    let row = tx
        .first(
            &format!(
                "SELECT t.id, p.digest, s.hash, j.created_ms, l.path {SEEN}
                 JOIN listing_members m ON m.listing_id = t.id JOIN sessions s ON s.id = j.session_id
                 LEFT JOIN artifacts a ON a.hash = p.collection LEFT JOIN links l
                 ON l.job_id = p.job_id AND l.role = p.role AND l.artifact_id = a.id
                 WHERE m.hash = $2 ORDER BY CASE WHEN j.owner_id = $1 THEN 0 ELSE 1 END, p.job_id DESC
                 LIMIT 1"
            ),
            &[viewer.into(), hash.into()],
        )
        .await?;
    let row = row.ok_or(StoreError::NotFound)?;
    let page = members(tx, viewer, &row.text(1)?).await?;
    let found = page.into_iter().find(|member| member.hash == hash);
    let member = found.ok_or(StoreError::NotFound)?;
    let folder = row.text_or_null(4)?.unwrap_or_default();
    let mut hashes = vec![ArtifactHash {
        algorithm: "blake3".to_owned(),
        digest: hash.to_owned(),
    }];
    let others = member.more.hashes.into_iter();
    hashes.extend(others.map(|(algorithm, digest)| ArtifactHash { algorithm, digest }));
    Ok(ArtifactRecord {
        id: row.int(0)?,
        hash: hash.to_owned(),
        hashes,
        size: member.size,
        session_hash: Some(row.text(2)?),
        path: Some(format!("{folder}/{}", member.path.shown())),
        created_at: clock::seconds(row.int(3)?),
        ..ArtifactRecord::default()
    })
}

/// Jobs that wrote or read a content as a member of a collection, newest first, with their sessions'
/// rows.
///
/// # Errors
/// The database fails.
pub(super) async fn jobs_with(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    role: Role,
    limit: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = tx
        .query(
            &format!(
                "SELECT DISTINCT p.job_id, j.session_id {SEEN} JOIN listing_members m
                 ON m.listing_id = t.id WHERE m.hash = $2 AND p.role = $3
                 ORDER BY p.job_id DESC LIMIT $4"
            ),
            &[
                viewer.into(),
                hash.into(),
                (role as i64).into(),
                limit.into(),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.int(1)?)))
        .collect()
}

/// Who wrote the members of a collection that a job read, alone or in whatever collections, for each
/// member: the jobs with their sessions' rows, newest first. Empty ones are left out: everyone makes
/// the same.
///
/// # Errors
/// The database fails.
pub(super) async fn writers(
    tx: &mut Transaction,
    viewer: Viewer,
    collection: &CollectionDocument,
) -> Result<HashMap<String, Vec<(i64, i64)>>, StoreError> {
    let mut found: HashMap<String, Vec<(i64, i64)>> = HashMap::new();
    for page in &collection.listing {
        let page = match members(tx, viewer, &page.digest).await {
            Err(StoreError::NotFound) => continue,
            page => page?,
        };
        let wanted: Vec<&str> = page
            .iter()
            .filter(|member| member.size != Some(0))
            .map(|member| member.hash.as_str())
            .collect();
        for hashes in wanted.chunks(AT_ONCE) {
            let mut values: Vec<Value> = vec![viewer.into(), (Role::Output as i64).into()];
            values.extend(hashes.iter().map(|hash| Value::from(*hash)));
            // Always as many places, so that the prepared statement is used again.
            values.resize(AT_ONCE + 2, hashes[0].into());
            let places: Vec<String> = (3..AT_ONCE + 3).map(|place| format!("${place}")).collect();
            let places = places.join(", ");
            for sql in [
                format!(
                    "SELECT m.hash, p.job_id, j.session_id {SEEN} JOIN listing_members m
                     ON m.listing_id = t.id WHERE p.role = $2 AND m.hash IN ({places})"
                ),
                format!(
                    "SELECT a.hash, l.job_id, j.session_id FROM artifacts a JOIN links l
                     ON l.artifact_id = a.id AND l.role = $2 JOIN jobs j ON j.id = l.job_id
                     AND (j.public = 1 OR j.owner_id = $1) WHERE a.hash IN ({places})"
                ),
            ] {
                for row in tx.query(&sql, &values).await? {
                    let writer = (row.int(1)?, row.int(2)?);
                    found.entry(row.text(0)?).or_default().push(writer);
                }
            }
        }
    }
    for writers in found.values_mut() {
        writers.sort_unstable_by(|one, other| other.cmp(one));
    }
    Ok(found)
}
