//! What operators and their tools ask.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use glaas_api::registration::{Features, Health, RegistrationFeatures};

use super::{Answer, answer};
use crate::app::App;
use crate::clock;
use crate::store::{StoreError, replay};

/// Whether the server lives, and what it can do
#[utoipa::path(get, path = "/api/v1/health", responses((status = 200, body = Health)))]
pub(super) async fn health(State(app): State<App>) -> Answer<Health> {
    answer(Health {
        status: "ok".to_owned(),
        service: "glaas".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: Features {
            registration_sessions: RegistrationFeatures {
                anonymous_public: app.settings.allow_anonymous,
                finalize_server_authoritative_hash: true,
            },
            reproduction: true,
            members: true,
            max_blob_bytes: app.settings.max_body_bytes as u64,
            max_body_bytes: app.settings.max_body_bytes as u64,
        },
    })
}

/// The process runs.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers, and takes writes: one that is full does not.
pub(super) async fn ready(State(app): State<App>) -> impl IntoResponse {
    let now = clock::now_ms();
    let written: Result<(), StoreError> =
        crate::in_write!(app.database, tx => replay::prove_writable(tx, now).await);
    match written {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not take writes\n".to_owned(),
            )
        }
    }
}

/// Counters for Prometheus.
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.text(app.database.repeats()),
    )
}

/// The OpenAPI document.
pub(super) async fn openapi() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        super::openapi_text(),
    )
}
