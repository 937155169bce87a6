//! Signing in and out on the pages, with the SSH key that requests are signed with.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::visitor::{self, Visitor, from_here};
use super::{Page, page};
use crate::app::App;
use crate::auth::challenge::Challenge;
use crate::error::{ApiError, ApiResult};
use crate::store::{StoreError, replay, users, web_sessions};
use crate::{auth, clock, in_write};

/// How long one stays signed in.
const SIGNED_IN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

#[derive(Template)]
#[template(path = "signin.html")]
struct SignIn {
    who: String,
    error: String,
    challenge: String,
}

/// The server's host as this browser calls it.
fn host(app: &App, headers: &HeaderMap) -> String {
    let called = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // It goes into a line that is pasted into a shell.
    called
        .filter(|host| {
            host.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
        })
        .or_else(|| app.public_host())
        .unwrap_or_default()
        .to_owned()
}

fn form(app: &App, headers: &HeaderMap, who: String, error: String) -> ApiResult<Response> {
    let challenge = Challenge::new(&host(app, headers), clock::now_ms(), &auth::secret()?);
    Ok(page(&SignIn {
        who,
        error,
        challenge: challenge.text(),
    }))
}

pub(super) async fn show(State(app): State<App>, visitor: Visitor, headers: HeaderMap) -> Page {
    Ok(form(&app, &headers, visitor.name(), String::new())?)
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Signed {
    challenge: String,
    signature: String,
}

/// The token of a user who signed the line.
async fn sign_in(app: &App, hosts: &[&str], signed: &Signed) -> ApiResult<String> {
    let now = clock::now_ms();
    let challenge = Challenge::parse(&signed.challenge, hosts, now).map_err(ApiError::invalid)?;
    let fingerprint = challenge
        .signer(&signed.signature)
        .map_err(ApiError::invalid)?;
    let token = auth::secret()?;
    let digest = auth::token_digest(&token);
    in_write!(app.database, tx => async {
        let known = users::key(tx, &fingerprint).await?.filter(|key| !key.revoked);
        if known.is_none() {
            return Err(StoreError::Refused(format!(
                "the key {fingerprint} is not registered on this server: do it on the page Keys"
            )));
        }
        if replay::first_seen(tx, &challenge.digest(), now).await?.is_some() {
            return Err(StoreError::Refused("this line was used before: sign the one below".to_owned()));
        }
        web_sessions::open(tx, &digest, &fingerprint, now, now + SIGNED_IN_MS).await
    }.await)?;
    Ok(token)
}

/// The cookie that holds a token for so many seconds.
fn cookie(app: &App, token: &str, seconds: i64) -> ApiResult<HeaderValue> {
    let secure = if app.base_url.starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    // Lax: a link in a message leads to what one may see; forms of other sites bring no cookie.
    let text = format!(
        "{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
        visitor::NAME
    );
    HeaderValue::from_str(&text).map_err(|_| ApiError::invalid("the cookie has odd characters"))
}

pub(super) async fn take(
    State(app): State<App>,
    headers: HeaderMap,
    Form(signed): Form<Signed>,
) -> Page {
    from_here(&app, &headers)?;
    let called = host(&app, &headers);
    let hosts: Vec<&str> = std::iter::once(called.as_str())
        .chain(app.public_host())
        .collect();
    match sign_in(&app, &hosts, &signed).await {
        Ok(token) => {
            let cookie = cookie(&app, &token, SIGNED_IN_MS / 1000)?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sessions")).into_response())
        }
        Err(error) if error.status == StatusCode::BAD_REQUEST => {
            let again = form(&app, &headers, String::new(), error.message)?;
            Ok((StatusCode::BAD_REQUEST, again).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn leave(State(app): State<App>, headers: HeaderMap) -> Page {
    from_here(&app, &headers)?;
    if let Some(token) = visitor::token(&headers) {
        let digest = auth::token_digest(token);
        in_write!(app.database, tx => web_sessions::close(tx, &digest).await)?;
    }
    let cookie = cookie(&app, "", 0)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}
