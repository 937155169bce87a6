//! Artifacts.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use glaas_api::artifacts::{ArtifactBatch, ArtifactRecord, ArtifactRequest, ArtifactsCreated};
use glaas_api::members::{MAX_MEMBERS, Members};
use glaas_api::search::{ArtifactQuery, Page};
use serde::Deserialize;
use serde_json::Value;

use super::extract::{Body, Params, check_count, check_digest, check_length, check_prefix};
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::store::artifacts::{self, Found};
use crate::store::{NOBODY, listings, search, sessions};
use crate::{in_read, in_write};

/// Artifacts that one request may bring.
const MAX_ARTIFACTS: usize = 5_000;

/// Checks an artifact before anything of it is written.
pub(super) fn check(artifact: &mut ArtifactRequest) -> ApiResult<()> {
    if artifact.hashes.is_empty() {
        return Err(ApiError::invalid("an artifact has at least one hash"));
    }
    check_count("hashes", artifact.hashes.len(), 16)?;
    for hash in &mut artifact.hashes {
        hash.digest = check_digest(&hash.digest)?;
        let named = (1..=32).contains(&hash.algorithm.len())
            && hash
                .algorithm
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !named {
            return Err(ApiError::invalid("algorithm is a name like blake3"));
        }
        hash.algorithm.make_ascii_lowercase();
    }
    if artifact
        .size
        .is_some_and(|size| i64::try_from(size).is_err())
    {
        return Err(ApiError::invalid("size is too large"));
    }
    check_length("source_type", artifact.source_type.as_deref(), 64)?;
    check_length("source_url", artifact.source_url.as_deref(), 8192)?;
    if let Some(Value::String(text)) = &artifact.metadata {
        check_length("metadata", Some(text), 256 * 1024)?;
    }
    Ok(())
}

/// Register an artifact in a session of the caller's
#[utoipa::path(post, path = "/api/v1/artifacts", request_body = ArtifactRequest,
    responses((status = 200, body = ArtifactRecord), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(mut artifact): Body<ArtifactRequest>,
) -> Answer<ArtifactRecord> {
    let owner = caller.owner(&app)?;
    check(&mut artifact)?;
    let session = check_prefix(artifact.session_hash.as_deref().unwrap_or_default())
        .map_err(|_| ApiError::invalid("session_hash is missing or no hash"))?;
    let record = in_write!(app.database, tx => async {
        let session = super::place::own_session(tx, owner, &session).await?;
        artifacts::register(tx, &session, &artifact).await?;
        let hash = artifacts::identity(&artifact.hashes).map_or("", |hash| &hash.digest);
        artifacts::record(tx, owner, hash).await
    }.await)?;
    answer(record)
}

/// Register several artifacts
#[utoipa::path(post, path = "/api/v1/artifacts/batch", request_body = ArtifactBatch,
    responses((status = 200, body = ArtifactsCreated), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn create_batch(
    State(app): State<App>,
    caller: Caller,
    Body(mut batch): Body<ArtifactBatch>,
) -> Answer<ArtifactsCreated> {
    let owner = caller.owner(&app)?;
    check_count("artifacts", batch.artifacts.len(), MAX_ARTIFACTS)?;
    for artifact in &mut batch.artifacts {
        check(artifact)?;
        let session = artifact.session_hash.take().or(batch.session_hash.clone());
        let session = check_prefix(session.as_deref().unwrap_or_default())
            .map_err(|_| ApiError::invalid("session_hash is missing or no hash"))?;
        artifact.session_hash = Some(session);
    }
    let created = in_write!(app.database, tx => async {
        let mut answered = ArtifactsCreated::default();
        let mut known: BTreeMap<&str, sessions::Session> = BTreeMap::new();
        for artifact in &batch.artifacts {
            let hash = artifact.session_hash.as_deref().unwrap_or_default();
            if !known.contains_key(hash) {
                known.insert(hash, super::place::own_session(tx, owner, hash).await?);
            }
            let (_, created) = artifacts::register(tx, &known[hash], artifact).await?;
            if created {
                answered.created += 1;
            } else {
                answered.existing += 1;
            }
        }
        Ok(answered)
    }.await)?;
    answer(created)
}

/// The hash that a prefix means to a viewer.
pub(crate) async fn resolve(app: &App, viewer: i64, prefix: &str) -> ApiResult<String> {
    let prefix = check_prefix(prefix)?;
    match in_read!(app.database, tx => artifacts::resolve(tx, viewer, &prefix).await)? {
        Found::One(hash) => Ok(hash),
        Found::Several(hashes) => Err(ApiError::ambiguous(&prefix, hashes)),
    }
}

async fn record(app: &App, viewer: i64, prefix: &str) -> ApiResult<ArtifactRecord> {
    let hash = resolve(app, viewer, prefix).await?;
    Ok(in_read!(app.database, tx => artifacts::record(tx, viewer, &hash).await)?)
}

/// An artifact, by a prefix of 8 digits or more
#[utoipa::path(get, path = "/api/v1/artifacts/{prefix}", params(("prefix" = String, Path)),
    responses((status = 200, body = ArtifactRecord), (status = 400), (status = 401), (status = 404), (status = 409)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(prefix): Path<String>,
) -> Answer<ArtifactRecord> {
    answer(record(&app, caller.viewer(), &prefix).await?)
}

/// An artifact that everyone may see
#[utoipa::path(get, path = "/api/v1/public/artifacts/{prefix}", params(("prefix" = String, Path)),
    responses((status = 200, body = ArtifactRecord), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn show_public(
    State(app): State<App>,
    Path(prefix): Path<String>,
) -> Answer<ArtifactRecord> {
    answer(record(&app, NOBODY, &prefix).await?)
}

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// How many to leave out.
    offset: Option<u64>,
    /// How many to give at most: 1,000 unless said, 10,000 at most.
    limit: Option<u64>,
}

/// The members of a collection, in the order of their paths
#[utoipa::path(get, path = "/api/v1/artifacts/{prefix}/members",
    params(("prefix" = String, Path), Part),
    responses((status = 200, body = Members), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn members(
    State(app): State<App>,
    caller: Caller,
    Path(prefix): Path<String>,
    Params(wanted): Params<Part>,
) -> Answer<Members> {
    let viewer = caller.viewer();
    let hash = resolve(&app, viewer, &prefix).await?;
    let offset = wanted.offset.unwrap_or(0);
    let limit = wanted.limit.unwrap_or(1_000).min(MAX_MEMBERS);
    answer(in_read!(app.database, tx => listings::part(tx, viewer, &hash, offset, limit).await)?)
}

/// Search artifacts
#[utoipa::path(get, path = "/api/v1/artifacts", params(ArtifactQuery),
    responses((status = 200, body = Page<ArtifactRecord>), (status = 400)))]
pub(super) async fn search(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<ArtifactQuery>,
) -> Answer<Page<ArtifactRecord>> {
    let viewer = caller.viewer();
    answer(in_read!(app.database, tx => search::artifacts(tx, viewer, &query).await)?)
}
