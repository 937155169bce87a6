//! What every request passes: limits, who sent it, headers of the answer, counters, the log.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use glaas_api::envelope::codes;
use tokio::sync::SemaphorePermit;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::{auth, body, clock};

/// Longer paths with their query are refused.
const MAX_URI: usize = 8 * 1024;

/// Bodies from here on are worked on a few at a time.
const LARGE: usize = 256 * 1024;

/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// On every answer: pages load nothing from elsewhere, run no inline script, and are framed by nobody.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // With "no-referrer", browsers do not say where a form of these pages comes from.
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The middleware around all routes.
pub async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = clock::monotonic();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let address = address(&app, &request);
    let mut response = match admit(&app, address, request).await {
        Ok((request, place, permit)) => {
            let answered = tokio::time::timeout(ANSWER_PATIENCE, next.run(request)).await;
            drop((place, permit));
            answered.unwrap_or_else(|_| {
                let mut error = ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    codes::UNAVAILABLE,
                    "the answer took too long",
                );
                error.retry_after = Some(5);
                error.into_response()
            })
        }
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let took = start.elapsed();
    let status = response.status();
    app.metrics.answered(&method, &route, status.as_u16(), took);
    // Debug formatting escapes control characters: a log line stays one.
    tracing::info!(
        %method,
        path = ?path.chars().take(200).collect::<String>(),
        status = status.as_u16(),
        took_us = took.as_micros() as u64,
        client = %address,
        "request"
    );
    response
}

/// The client's address; the proxy's word for it only where the operator says that there is one.
fn address(app: &App, request: &Request) -> IpAddr {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
    if !app.settings.behind_proxy {
        return peer;
    }
    // The last entry is what the proxy itself added.
    request
        .headers()
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(peer)
}

/// A request that was let in, with its body's place in memory and, if that is large, a permit.
type Admitted<'app> = (Request, body::Place<'app>, Option<SemaphorePermit<'app>>);

/// Lets a request in: its body is read, its sender known.
async fn admit(app: &App, address: IpAddr, request: Request) -> ApiResult<Admitted<'_>> {
    let path = request.uri().path();
    if !matches!(path, "/healthz" | "/metrics") {
        app.by_address
            .take(address)
            .map_err(ApiError::rate_limited)?;
    }
    let length = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if length > MAX_URI {
        return Err(ApiError::new(
            StatusCode::URI_TOO_LONG,
            codes::INVALID,
            "the URL is too long",
        ));
    }
    if !is_text(path) {
        return Err(ApiError::invalid("the URL's path is no text in UTF-8"));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            codes::INVALID,
            "compressed bodies are not taken",
        ));
    }
    let is_api = path.starts_with(glaas_api::paths::PREFIX);
    let (mut parts, body) = request.into_parts();
    let (body, place) = body::read(app, &parts.method, &parts.headers, body).await?;
    if is_api {
        let caller = auth::caller(app, &parts, &body).await?;
        if let Some(user) = &caller.user {
            app.by_user.take(user.id).map_err(ApiError::rate_limited)?;
        }
        parts.extensions.insert(caller);
    }
    let permit = if body.len() >= LARGE {
        app.large_bodies.acquire().await.ok()
    } else {
        None
    };
    Ok((Request::from_parts(parts, Body::from(body)), place, permit))
}

/// Whether a path is UTF-8 once its escapes are read.
fn is_text(path: &str) -> bool {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let escaped = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.extend(escaped.or(Some(b'%')));
        bytes.extend(
            part.get(if escaped.is_some() { 2 } else { 0 }..)
                .unwrap_or_default()
                .bytes(),
        );
    }
    String::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_text;

    #[test]
    fn paths_are_text() {
        for good in ["/", "/a%20b", "/%", "/%zz", "/%e2%82%ac", "/100%é"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["/%ff", "/a%c0%ae", "/%f2%81"] {
            assert!(!is_text(bad), "{bad}");
        }
    }
}
