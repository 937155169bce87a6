//! What comes in with a request, read strictly, with errors in the protocol's form.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// A body that is a JSON object.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> ApiResult<Self> {
        // The gate has read it already; the limit is a second lock.
        let bytes = axum::body::to_bytes(request.into_body(), app.settings.max_body_bytes)
            .await
            .map_err(|_| ApiError::invalid("the body did not arrive whole"))?;
        // Published clients send no body in place of an object without members.
        let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        let wrong = |error: &dyn std::fmt::Display| {
            ApiError::invalid(format!("the body is not as it should be: {error}"))
        };
        // A list of an object's values would be taken for the object.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong(&"it is no JSON object"));
        }
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| wrong(&error))
    }
}

/// The query of the URL.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let Query(params) = Query::from_request_parts(parts, app)
            .await
            .map_err(|error: QueryRejection| ApiError::invalid(error.body_text()))?;
        Ok(Self(params))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The beginning of a hash: 8 to 128 hexadecimal digits, made lower case.
///
/// # Errors
/// It is anything else.
pub fn check_prefix(text: &str) -> ApiResult<String> {
    if (glaas_api::artifacts::MIN_PREFIX..=128).contains(&text.len()) && is_hex(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ApiError::invalid("a hash is 8 to 128 hexadecimal digits"))
}

/// A whole digest: 32 to 128 hexadecimal digits, made lower case.
///
/// # Errors
/// It is anything else.
pub fn check_digest(text: &str) -> ApiResult<String> {
    if (32..=128).contains(&text.len()) && is_hex(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ApiError::invalid(
        "a digest is 32 to 128 hexadecimal digits",
    ))
}

/// A job's id: 1 to 128 letters, digits, `.`, `_`, `:`, `-`.
///
/// # Errors
/// It is anything else.
pub fn check_uid(text: &str) -> ApiResult<()> {
    let fits = (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'));
    if fits {
        return Ok(());
    }
    Err(ApiError::invalid(
        "a job_uid is 1 to 128 letters, digits, '.', '_', ':', '-'",
    ))
}

/// A text that is no longer than it may be.
///
/// # Errors
/// It is longer.
pub(super) fn check_length(name: &str, text: Option<&str>, most: usize) -> ApiResult<()> {
    match text {
        Some(text) if text.len() > most => Err(ApiError::invalid(format!(
            "{name} has {} bytes, {most} are taken",
            text.len()
        ))),
        _ => Ok(()),
    }
}

/// A list that is no longer than it may be.
///
/// # Errors
/// It is longer.
pub(super) fn check_count(name: &str, count: usize, most: usize) -> ApiResult<()> {
    if count > most {
        return Err(ApiError::invalid(format!(
            "{count} {name} in one request, {most} are taken"
        )));
    }
    Ok(())
}
