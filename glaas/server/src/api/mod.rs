//! What clients ask: the protocol of `glaas-api` over HTTP.
//!
//! Handlers check what came in, run one transaction and wrap the answer. Ids are validated here, at
//! the edge, as hexadecimal or as uids; nothing that a request names is ever opened.

mod artifacts;
mod blobs;
mod document;
mod extract;
mod jobs;
mod keys;
mod labels;
mod lineage;
mod operations;
mod place;
mod registration;
mod sessions;

use axum::Json;
use axum::Router;
use axum::routing::{delete, get, post, put};
use glaas_api::Envelope;

use crate::app::App;
use crate::error::ApiResult;
pub(crate) use artifacts::resolve as resolve_artifact;
pub use document::text as openapi_text;
pub use extract::{check_digest, check_prefix, check_uid};
pub(crate) use keys::new_user as register_user;
pub(crate) use sessions::resolve as resolve_session;

/// An answer in its envelope.
type Answer<T> = ApiResult<Json<Envelope<T>>>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "handlers end in it, and all of them return a Result"
)]
fn answer<T>(data: T) -> Answer<T> {
    Ok(Json(Envelope::new(data)))
}

/// All routes of the protocol.
pub fn routes() -> Router<App> {
    let v1 = Router::new()
        .route("/health", get(operations::health))
        .route("/auth/me", get(keys::me))
        .route("/sessions", post(sessions::create).get(sessions::list))
        .route(
            "/sessions/{hash}",
            get(sessions::show).patch(sessions::change),
        )
        .route("/sessions/{hash}/jobs", post(jobs::create))
        .route("/sessions/{hash}/jobs/batch", post(jobs::create_batch))
        .route("/sessions/{hash}/jobs/{uid}", get(jobs::show))
        .route(
            "/sessions/{hash}/jobs/{uid}/inputs",
            post(jobs::link_inputs),
        )
        .route(
            "/sessions/{hash}/jobs/{uid}/outputs",
            post(jobs::link_outputs),
        )
        .route("/jobs", get(jobs::search))
        .route("/artifacts", post(artifacts::create).get(artifacts::search))
        .route("/artifacts/batch", post(artifacts::create_batch))
        .route("/artifacts/{prefix}", get(artifacts::show))
        .route("/artifacts/{prefix}/members", get(artifacts::members))
        .route("/artifacts/{prefix}/lineage", get(lineage::lineage))
        .route("/artifacts/{prefix}/dag", get(lineage::dag))
        .route("/artifacts/{prefix}/closure", get(lineage::closure))
        .route("/public/artifacts/{prefix}", get(artifacts::show_public))
        .route(
            "/public/sessions/{hash}/reproduction",
            get(lineage::reproduction),
        )
        .route("/blobs/missing", post(blobs::missing))
        .route("/blobs/{digest}", put(blobs::store).get(blobs::fetch))
        .route("/keys", post(keys::register).get(keys::list))
        .route("/keys/{fingerprint}", delete(keys::revoke))
        .route("/registration-sessions", post(registration::open))
        .route("/registration-sessions/{id}/jobs", post(registration::job))
        .route(
            "/registration-sessions/{id}/jobs/batch",
            post(registration::jobs),
        )
        .route(
            "/registration-sessions/{id}/artifacts/batch",
            post(registration::artifacts),
        )
        .route(
            "/registration-sessions/{id}/artifacts/composites",
            post(registration::composites),
        )
        .route(
            "/registration-sessions/{id}/jobs/{uid}/inputs",
            post(registration::inputs),
        )
        .route(
            "/registration-sessions/{id}/jobs/{uid}/outputs",
            post(registration::outputs),
        )
        .route(
            "/registration-sessions/{id}/jobs/{uid}/view-edges",
            post(registration::view_edges),
        )
        .route(
            "/registration-sessions/{id}/labels/batch",
            post(registration::labels),
        )
        .route(
            "/registration-sessions/{id}/finalize",
            post(registration::finalize),
        )
        .route("/labels/sync", post(labels::sync))
        .route("/labels/reconcile", post(labels::reconcile))
        .route("/labels/current", get(labels::current))
        .route("/labels/history", get(labels::history));
    Router::new()
        .nest(glaas_api::paths::PREFIX, v1)
        .route("/healthz", get(operations::alive))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route("/openapi.json", get(operations::openapi))
}
