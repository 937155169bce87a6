//! What goes wrong with a request, and the answer to it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use glaas_api::ErrorBody;
use glaas_api::envelope::codes;

use crate::store::StoreError;

/// A request that is not fulfilled.
#[derive(Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// One of [`codes`].
    pub code: &'static str,
    /// For the client's user.
    pub message: String,
    /// What an ambiguous prefix may mean.
    pub candidates: Vec<String>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
}

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            candidates: Vec::new(),
            retry_after: None,
        }
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::INVALID, message)
    }

    /// 404, in the same words whether it is not there or not to be seen.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::NOT_FOUND, "not found")
    }

    /// 401.
    pub fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, codes::FORBIDDEN, message)
    }

    /// 409 with what a prefix may mean.
    pub fn ambiguous(prefix: &str, candidates: Vec<String>) -> Self {
        let message = format!(
            "'{prefix}' is the beginning of {} hashes: {}",
            candidates.len(),
            candidates.join(", ")
        );
        let mut error = Self::new(StatusCode::CONFLICT, codes::AMBIGUOUS, message);
        error.candidates = candidates;
        error
    }

    /// 429.
    pub fn rate_limited(seconds: u64) -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            codes::RATE_LIMITED,
            format!("too many requests: try again in {seconds} s"),
        );
        error.retry_after = Some(seconds);
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Refused(words) => Self::invalid(words),
            error if error.is_conflict() || error.is_outage() => {
                tracing::warn!(%error, "the database cannot serve");
                let mut answer = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    codes::UNAVAILABLE,
                    "the database cannot serve now: try again",
                );
                answer.retry_after = Some(1);
                answer
            }
            error => {
                tracing::error!(%error, "the database failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    codes::INTERNAL,
                    "the server failed; its log says why",
                )
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = ErrorBody::new(self.code, &self.message);
        body.error.candidates = self.candidates;
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Signature"),
            );
        }
        response
    }
}
