//! What every JSON answer is wrapped in.

use serde::{Deserialize, Serialize};

/// The body of an answer with a 2xx status. Clients take a bare `data`, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Envelope<T> {
    /// Always true.
    pub success: bool,
    /// The answer.
    pub data: T,
}

impl<T> Envelope<T> {
    /// Wraps an answer.
    pub fn new(data: T) -> Self {
        Self {
            success: true,
            data,
        }
    }
}

/// The body of an answer with a 4xx or 5xx status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// What went wrong.
    pub error: ErrorDetail,
    /// The message again, where published clients look for it.
    pub detail: String,
}

impl ErrorBody {
    /// An error with its code and its words.
    pub fn new(code: &str, message: &str) -> Self {
        Self {
            success: false,
            error: ErrorDetail {
                code: code.to_owned(),
                message: message.to_owned(),
                candidates: Vec::new(),
            },
            detail: message.to_owned(),
        }
    }
}

/// What went wrong: a code for programs, a message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorDetail {
    /// One of [`codes`].
    pub code: String,
    /// The message.
    pub message: String,
    /// With [`codes::AMBIGUOUS`]: the full hashes that the prefix may mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// Codes of errors.
pub mod codes {
    /// 404: nothing there, or nothing that the caller may see.
    pub const NOT_FOUND: &str = "not_found";
    /// 409: the prefix means more than one.
    pub const AMBIGUOUS: &str = "ambiguous";
    /// 400: the request is not what the protocol asks for.
    pub const INVALID: &str = "invalid_request";
    /// 401: no or no valid authentication.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// 401: the key is not registered here.
    pub const UNKNOWN_KEY: &str = "unknown_key";
    /// 401: the key was revoked.
    pub const REVOKED_KEY: &str = "revoked_key";
    /// 401: the signature does not fit the request.
    pub const BAD_SIGNATURE: &str = "bad_signature";
    /// 401: the clocks of client and server are too far apart.
    pub const CLOCK_SKEW: &str = "clock_skew";
    /// 401: the same signed request was here before.
    pub const REPLAYED: &str = "replayed_request";
    /// 403: known, but not allowed.
    pub const FORBIDDEN: &str = "forbidden";
    /// 409: it would change what is already recorded.
    pub const CONFLICT: &str = "conflict";
    /// 413: the body is larger than the server takes.
    pub const TOO_LARGE: &str = "too_large";
    /// 429: too many requests; `Retry-After` says when to come back.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// 503: the server cannot serve now; `Retry-After` says when to come back.
    pub const UNAVAILABLE: &str = "unavailable";
    /// 500: the server's own failure.
    pub const INTERNAL: &str = "internal";
}
