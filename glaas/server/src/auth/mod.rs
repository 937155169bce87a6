//! Who sends a request: a user by signature, a registration session by its token, or nobody.

pub mod challenge;
pub mod keys;
mod signature;

use axum::http::request::Parts;
use axum::http::{Method, header};
use glaas_api::auth::{NONCE_SCHEME, REGISTRATION_SCHEME, SCHEME};
use glaas_api::envelope::codes;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::store::users::User;
use crate::store::{ANONYMOUS, NOBODY, Viewer, replay, users};
use crate::{clock, in_write};
pub use signature::Signed;

/// A request that is repeated within the second makes the same signature under the older scheme,
/// which has no nonce; published clients do that when they read. So long after the first, a read
/// is taken for such a one; a write never is.
const SAME_READ_MS: i64 = 3_000;

/// Who sends a request.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The user who signed it.
    pub user: Option<User>,
    /// The token of a registration session.
    pub token: Option<String>,
}

impl Caller {
    /// As whom the caller sees things.
    pub fn viewer(&self) -> Viewer {
        self.user.as_ref().map_or(NOBODY, |user| user.id)
    }

    /// As whom the caller writes.
    ///
    /// # Errors
    /// Nobody signed, and the operator lets nobody publish without a key.
    pub fn owner(&self, app: &App) -> ApiResult<i64> {
        match &self.user {
            Some(user) => Ok(user.id),
            None if app.settings.allow_anonymous => Ok(ANONYMOUS),
            None => Err(ApiError::unauthenticated(
                codes::UNAUTHENTICATED,
                "this needs a signed request: register your SSH key on this server's page /keys",
            )),
        }
    }

    /// The user.
    ///
    /// # Errors
    /// Nobody signed.
    pub fn user(&self) -> ApiResult<&User> {
        self.user.as_ref().ok_or_else(|| {
            ApiError::unauthenticated(codes::UNAUTHENTICATED, "this needs a signed request")
        })
    }
}

/// Finds out who sends a request.
///
/// # Errors
/// 401 with the reason.
pub async fn caller(app: &App, parts: &Parts, body: &[u8]) -> ApiResult<Caller> {
    let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
        return Ok(Caller::default());
    };
    let header = header
        .to_str()
        .map_err(|_| malformed("the Authorization header is not plain text"))?;
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme == REGISTRATION_SCHEME {
        return Ok(Caller {
            user: None,
            token: Some(rest.trim().to_owned()),
        });
    }
    let with_nonce = match scheme {
        SCHEME => false,
        NONCE_SCHEME => true,
        _ => {
            return Err(malformed(&format!(
                "the Authorization scheme '{}' is not known here: {SCHEME}, {NONCE_SCHEME} or {REGISTRATION_SCHEME}",
                scheme.escape_default().take(40).collect::<String>()
            )));
        }
    };
    let signed = Signed::parse(rest, with_nonce).map_err(|words| malformed(&words))?;
    let skew = signed.unix_seconds - clock::now_ms() / 1000;
    if skew.abs() > glaas_api::auth::MAX_SKEW_SECONDS {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        return Err(ApiError::unauthenticated(
            codes::CLOCK_SKEW,
            format!(
                "the clock of the client is {} s {side} the server's ({} s are allowed): set the clock, or use NTP",
                skew.abs(),
                glaas_api::auth::MAX_SKEW_SECONDS
            ),
        ));
    }
    let texts = signed_texts(app, parts, body, &signed);
    user(app, parts, &signed, &texts).await.map(|user| Caller {
        user: Some(user),
        token: None,
    })
}

fn malformed(words: &str) -> ApiError {
    ApiError::unauthenticated(codes::UNAUTHENTICATED, words)
}

/// What may have been signed: under the scheme with a host, the host as it was called, or as the
/// operator says that it is called.
fn signed_texts(app: &App, parts: &Parts, body: &[u8], signed: &Signed) -> Vec<String> {
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", axum::http::uri::PathAndQuery::as_str);
    let method = parts.method.as_str();
    let digest = (!body.is_empty()).then(|| hex(&Sha256::digest(body)));
    let Some(nonce) = &signed.nonce else {
        return vec![glaas_api::auth::signed_text(
            signed.unix_seconds,
            method,
            path,
            digest.as_deref(),
        )];
    };
    let called = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| {
            parts
                .uri
                .authority()
                .map(axum::http::uri::Authority::as_str)
        });
    called
        .into_iter()
        .chain(app.public_host())
        .map(|host| {
            glaas_api::auth::signed_text_with_nonce(
                signed.unix_seconds,
                nonce,
                method,
                &host.to_ascii_lowercase(),
                path,
                digest.as_deref().unwrap_or_default(),
            )
        })
        .collect()
}

async fn user(app: &App, parts: &Parts, signed: &Signed, texts: &[String]) -> ApiResult<User> {
    let known = crate::in_read!(app.database, tx => users::key(tx, &signed.fingerprint).await)?;
    let Some(known) = known else {
        return Err(ApiError::unauthenticated(
            codes::UNKNOWN_KEY,
            format!(
                "the key {} is not registered on this server: paste its public half on the page /keys",
                signed.fingerprint
            ),
        ));
    };
    if !texts
        .iter()
        .any(|text| signed.verifies(&known.public_key, text))
    {
        return Err(ApiError::unauthenticated(
            codes::BAD_SIGNATURE,
            "the signature does not fit this request and the key",
        ));
    }
    // Only its holder learns that a key was revoked.
    if known.revoked {
        return Err(ApiError::unauthenticated(
            codes::REVOKED_KEY,
            format!("the key {} was revoked", signed.fingerprint),
        ));
    }
    let now = clock::now_ms();
    let first = in_write!(app.database, tx => replay::first_seen(tx, &signed.digest, now).await)?;
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let again =
        first.is_some_and(|first| signed.nonce.is_some() || !reads || now - first > SAME_READ_MS);
    if again {
        return Err(ApiError::unauthenticated(
            codes::REPLAYED,
            "this signed request was here before: sign it anew",
        ));
    }
    Ok(known.user)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes from base64.
fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
}

/// A secret that cannot be guessed, for URLs and headers.
///
/// # Errors
/// The system gives no random bytes.
pub fn secret() -> ApiResult<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            codes::INTERNAL,
            "the server failed; its log says why",
        )
    })?;
    Ok(hex(&bytes))
}

/// How a token is kept.
pub fn token_digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}
