//! Artifacts: contents, and what each session says of them.

use std::collections::{BTreeSet, HashMap};

use glaas_api::artifacts::{ArtifactHash, ArtifactRecord, ArtifactRequest};
use serde_json::Value as Json;

use super::sessions::Session;
use super::{Row, StoreError, Transaction, Value, Viewer, ids, listings, terms};
use crate::{clock, facts};

/// Registers an artifact in a session; what is there stays. Returns the content's row and whether
/// the session is new to it.
///
/// # Errors
/// The database fails.
pub async fn register(
    tx: &mut Transaction,
    session: &Session,
    artifact: &ArtifactRequest,
) -> Result<(i64, bool), StoreError> {
    let identity = identity(&artifact.hashes)
        .ok_or_else(|| StoreError::Refused("an artifact has at least one hash".to_owned()))?;
    let artifact_id = content(tx, identity).await?;
    let (registration, created) = registration(tx, session, artifact_id, artifact).await?;
    let hashes: Vec<Vec<Value>> = artifact
        .hashes
        .iter()
        .map(|hash| {
            vec![
                (&hash.digest).into(),
                (&hash.algorithm).into(),
                registration.into(),
            ]
        })
        .collect();
    tx.insert_new(
        "registration_hashes",
        "digest, algorithm, registration_id",
        &hashes,
    )
    .await?;
    Ok((artifact_id, created))
}

/// The hash that an artifact is known by: BLAKE3 where there is one.
pub fn identity(hashes: &[ArtifactHash]) -> Option<&ArtifactHash> {
    hashes
        .iter()
        .find(|hash| hash.algorithm == "blake3")
        .or_else(|| hashes.first())
}

/// The content's row, made when nobody knew it.
async fn content(tx: &mut Transaction, identity: &ArtifactHash) -> Result<i64, StoreError> {
    let find = "SELECT id FROM artifacts WHERE hash = $1";
    let values: [Value; 1] = [(&identity.digest).into()];
    if let Some(row) = tx.first(find, &values).await? {
        return row.int(0);
    }
    tx.insert_new(
        "artifacts",
        "id, hash, algorithm",
        &[vec![
            ids::next().into(),
            (&identity.digest).into(),
            (&identity.algorithm).into(),
        ]],
    )
    .await?;
    let row = tx.first(find, &values).await?;
    row.ok_or(StoreError::NotFound)?.int(0)
}

async fn registration(
    tx: &mut Transaction,
    session: &Session,
    artifact_id: i64,
    artifact: &ArtifactRequest,
) -> Result<(i64, bool), StoreError> {
    let found = tx
        .first(
            "SELECT id FROM registrations WHERE session_id = $1 AND artifact_id = $2",
            &[session.id.into(), artifact_id.into()],
        )
        .await?;
    let size: Value = artifact
        .size
        .and_then(|size| i64::try_from(size).ok())
        .into();
    let url = artifact
        .source_url
        .as_deref()
        .map(facts::without_credentials);
    if let Some(row) = found {
        let id = row.int(0)?;
        // What was linked before it was registered has no size yet.
        tx.execute(
            "UPDATE registrations SET size = coalesce(size, $1), source_type = coalesce(source_type, $2),
             source_url = coalesce(source_url, $3) WHERE id = $4 AND (size IS NULL OR source_type IS NULL)",
            &[size, (&artifact.source_type).into(), url.into(), id.into()],
        )
        .await?;
        return Ok((id, false));
    }
    let id = ids::next();
    let metadata = artifact
        .metadata
        .as_ref()
        .and_then(|metadata| match metadata {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
    tx.execute(
        "INSERT INTO registrations (id, session_id, artifact_id, owner_id, public, size,
         source_type, source_url, metadata, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            id.into(),
            session.id.into(),
            artifact_id.into(),
            session.owner_id.into(),
            session.public.into(),
            size,
            (&artifact.source_type).into(),
            (&url).into(),
            metadata.into(),
            clock::now_ms().into(),
        ],
    )
    .await?;
    if let Some(url) = &url {
        insert_path_terms(tx, id, url).await?;
    }
    Ok((id, true))
}

/// Says where a session met a content, the first time that it is known; a content that was not
/// registered is.
///
/// # Errors
/// The database fails.
pub async fn met_at(
    tx: &mut Transaction,
    session: &Session,
    hash: &str,
    path: &str,
    size: Option<u64>,
) -> Result<i64, StoreError> {
    let request = ArtifactRequest {
        hashes: vec![ArtifactHash {
            algorithm: algorithm_of(hash).to_owned(),
            digest: hash.to_owned(),
        }],
        size,
        ..ArtifactRequest::default()
    };
    let known = registered(tx, session.id, hash).await?;
    let (artifact_id, registration, at) = if let Some(known) = known {
        known
    } else {
        let (artifact_id, _) = register(tx, session, &request).await?;
        let known = registered(tx, session.id, hash).await?;
        known.map_or((artifact_id, 0, None), |known| known)
    };
    if at.is_none() && !path.is_empty() {
        tx.execute(
            "UPDATE registrations SET path = $1, size = coalesce(size, $2) WHERE id = $3",
            &[
                path.into(),
                size.and_then(|size| i64::try_from(size).ok()).into(),
                registration.into(),
            ],
        )
        .await?;
        insert_path_terms(tx, registration, path).await?;
    }
    Ok(artifact_id)
}

/// The content that a session registered under any hash: content, registration, path.
async fn registered(
    tx: &mut Transaction,
    session_id: i64,
    hash: &str,
) -> Result<Option<(i64, i64, Option<String>)>, StoreError> {
    let by_identity = tx
        .first(
            "SELECT r.artifact_id, r.id, r.path FROM artifacts a JOIN registrations r
             ON r.artifact_id = a.id AND r.session_id = $1 WHERE a.hash = $2",
            &[session_id.into(), hash.into()],
        )
        .await?;
    let row = match by_identity {
        Some(row) => Some(row),
        None => {
            tx.first(
                "SELECT r.artifact_id, r.id, r.path FROM registration_hashes h JOIN registrations r
                 ON r.id = h.registration_id WHERE h.digest = $1 AND r.session_id = $2 LIMIT 1",
                &[hash.into(), session_id.into()],
            )
            .await?
        }
    };
    row.map(|row| Ok((row.int(0)?, row.int(1)?, row.text_or_null(2)?)))
        .transpose()
}

/// What a digest of unknown make most likely is.
fn algorithm_of(digest: &str) -> &'static str {
    match digest.len() {
        32 => "md5",
        40 => "sha1",
        128 => "sha512",
        _ => "blake3",
    }
}

async fn insert_path_terms(
    tx: &mut Transaction,
    registration: i64,
    path: &str,
) -> Result<(), StoreError> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let mut found: BTreeSet<String> = terms::words(path);
    found.insert(terms::value("name", name));
    if let Some((_, extension)) = name.rsplit_once('.') {
        found.insert(terms::value("type", extension));
    }
    let rows: Vec<Vec<Value>> = found
        .into_iter()
        .map(|term| vec![term.into(), registration.into()])
        .collect();
    tx.insert_new("registration_terms", "term, registration_id", &rows)
        .await?;
    Ok(())
}

/// What a prefix means to a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One content: its identity.
    One(String),
    /// Several: their identities, as many as are told.
    Several(Vec<String>),
}

/// Resolves a hash or the beginning of one.
///
/// # Errors
/// Nothing that the viewer may see begins so, or the database fails.
pub async fn resolve(
    tx: &mut Transaction,
    viewer: Viewer,
    prefix: &str,
) -> Result<Found, StoreError> {
    let whole = tx
        .first(
            "SELECT a.hash FROM artifacts a WHERE a.hash = $1 AND EXISTS (SELECT 1
             FROM registrations r WHERE r.artifact_id = a.id AND (r.public = 1 OR r.owner_id = $2))",
            &[prefix.into(), viewer.into()],
        )
        .await?;
    if let Some(row) = whole {
        return Ok(Found::One(row.text(0)?));
    }
    let rows = tx
        .query(
            "SELECT DISTINCT a.hash FROM registration_hashes h
             JOIN registrations r ON r.id = h.registration_id
             JOIN artifacts a ON a.id = r.artifact_id
             WHERE h.digest >= $1 AND h.digest < $2 AND (r.public = 1 OR r.owner_id = $3) LIMIT 21",
            &[prefix.into(), terms::after(prefix).into(), viewer.into()],
        )
        .await?;
    let mut hashes: BTreeSet<String> = rows
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<_, _>>()?;
    // Of a collection that was registered as one, the members are no artifacts of their own.
    hashes.extend(listings::beginning(tx, viewer, prefix, 21).await?);
    match hashes.len() {
        0 => Err(StoreError::NotFound),
        1 => Ok(hashes
            .pop_first()
            .map_or(Found::Several(Vec::new()), Found::One)),
        _ => Ok(Found::Several(hashes.into_iter().take(21).collect())),
    }
}

/// A content as a viewer may see it: the viewer's own word before the oldest public one.
///
/// # Errors
/// It is not there for this viewer, or the database fails.
pub async fn record(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
) -> Result<ArtifactRecord, StoreError> {
    let row = tx
        .first(
            &format!(
                "{RECORD} WHERE a.hash = $2 AND (r.public = 1 OR r.owner_id = $1)
                 ORDER BY CASE WHEN r.owner_id = $1 THEN 0 ELSE 1 END, r.id LIMIT 1"
            ),
            &[viewer.into(), hash.into()],
        )
        .await?;
    let Some(row) = row else {
        return listings::record(tx, viewer, hash).await;
    };
    let mut record = read_record(&row)?;
    record.hashes = hashes(tx, row.int(8)?).await?;
    Ok(record)
}

/// Columns that [`read_record`] reads; 8 is the registration.
pub(super) const RECORD: &str = "SELECT a.id, a.hash, r.size, r.source_type, r.source_url,
     s.hash, r.path, r.created_ms, r.id, r.metadata, a.algorithm FROM registrations r
     JOIN artifacts a ON a.id = r.artifact_id JOIN sessions s ON s.id = r.session_id";

pub(super) fn read_record(row: &Row) -> Result<ArtifactRecord, StoreError> {
    let hash = row.text(1)?;
    Ok(ArtifactRecord {
        id: row.int(0)?,
        hashes: vec![ArtifactHash {
            algorithm: row.text(10)?,
            digest: hash.clone(),
        }],
        hash,
        size: row.int_or_null(2)?.map(i64::unsigned_abs),
        source_type: row.text_or_null(3)?,
        source_url: row.text_or_null(4)?,
        session_hash: Some(row.text(5)?),
        path: row.text_or_null(6)?,
        created_at: clock::seconds(row.int(7)?),
        metadata: row.text_or_null(9)?.map(Json::String),
    })
}

/// All hashes of a registration, the identity's algorithm first.
pub(super) async fn hashes(
    tx: &mut Transaction,
    registration: i64,
) -> Result<Vec<ArtifactHash>, StoreError> {
    let rows = tx
        .query(
            "SELECT algorithm, digest FROM registration_hashes WHERE registration_id = $1
             ORDER BY CASE WHEN algorithm = 'blake3' THEN 0 ELSE 1 END, algorithm",
            &[registration.into()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ArtifactHash {
                algorithm: row.text(0)?,
                digest: row.text(1)?,
            })
        })
        .collect()
}

/// All hashes of the files of a job, by registration: one question, however many files there are.
pub(super) async fn hashes_of_job(
    tx: &mut Transaction,
    job_id: i64,
    session_id: i64,
) -> Result<HashMap<i64, Vec<ArtifactHash>>, StoreError> {
    let rows = tx
        .query(
            "SELECT h.registration_id, h.algorithm, h.digest FROM links l
             JOIN registrations r ON r.session_id = $2 AND r.artifact_id = l.artifact_id
             JOIN registration_hashes h ON h.registration_id = r.id WHERE l.job_id = $1
             ORDER BY CASE WHEN h.algorithm = 'blake3' THEN 0 ELSE 1 END, h.algorithm, h.digest",
            &[job_id.into(), session_id.into()],
        )
        .await?;
    let mut found: HashMap<i64, Vec<ArtifactHash>> = HashMap::new();
    for row in &rows {
        let hash = ArtifactHash {
            algorithm: row.text(1)?,
            digest: row.text(2)?,
        };
        let known = found.entry(row.int(0)?).or_default();
        // A content that was both read and written is linked twice.
        if !known.contains(&hash) {
            known.push(hash);
        }
    }
    Ok(found)
}

/// How many contents, jobs and sessions everyone may see; counted up to `cap`.
///
/// # Errors
/// The database fails.
pub async fn counts(tx: &mut Transaction, cap: i64) -> Result<[i64; 3], StoreError> {
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip(["registrations", "jobs", "sessions"]) {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE public = 1 LIMIT $1) AS found"
        );
        let row = tx.first(&sql, &[cap.into()]).await?;
        *count = row.map_or(Ok(0), |row| row.int(0))?;
    }
    Ok(counts)
}
