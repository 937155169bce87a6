//! Blobs.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use glaas_api::blobs::{BlobStored, Missing, MissingRequest};

use super::extract::{Body, check_count};
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::store::blobs;
use crate::{in_read, in_write};

fn check_blake3(text: &str) -> ApiResult<String> {
    blake3::Hash::from_hex(text)
        .map(|hash| hash.to_hex().to_string())
        .map_err(|_| ApiError::invalid("a blob's digest is BLAKE3: 64 hexadecimal digits"))
}

/// Store a blob under its digest
#[utoipa::path(put, path = "/api/v1/blobs/{digest}", params(("digest" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = BlobStored), (status = 400), (status = 401), (status = 413)))]
pub(super) async fn store(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<String>,
    content: Bytes,
) -> Answer<BlobStored> {
    let owner = caller.owner(&app)?;
    let digest = check_blake3(&digest)?;
    let made = blake3::hash(&content).to_hex().to_string();
    if made != digest {
        return Err(ApiError::invalid(format!(
            "the content's digest is {made}, not the one in the URL"
        )));
    }
    let created = in_write!(app.database, tx => blobs::put(tx, owner, &digest, &content).await)?;
    answer(BlobStored {
        digest,
        size: content.len() as u64,
        created,
    })
}

/// The content of a blob
#[utoipa::path(get, path = "/api/v1/blobs/{digest}", params(("digest" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 400), (status = 404)))]
pub(super) async fn fetch(
    State(app): State<App>,
    caller: Caller,
    Path(digest): Path<String>,
) -> ApiResult<impl IntoResponse> {
    let digest = check_blake3(&digest)?;
    let viewer = caller.viewer();
    let content = in_read!(app.database, tx => blobs::get(tx, viewer, &digest).await)?;
    // Whatever it holds, a browser saves it and shows nothing.
    Ok((
        [
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CONTENT_DISPOSITION, "attachment"),
        ],
        content,
    ))
}

/// Which of these blobs the caller has not sent
#[utoipa::path(post, path = "/api/v1/blobs/missing", request_body = MissingRequest,
    responses((status = 200, body = Missing), (status = 400), (status = 401)))]
pub(super) async fn missing(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<MissingRequest>,
) -> Answer<Missing> {
    let owner = caller.owner(&app)?;
    check_count("digests", request.digests.len(), 1_000)?;
    let digests: Vec<String> = request
        .digests
        .iter()
        .map(|digest| check_blake3(digest))
        .collect::<ApiResult<_>>()?;
    let missing = in_read!(app.database, tx => blobs::missing(tx, owner, &digests).await)?;
    answer(Missing { missing })
}
