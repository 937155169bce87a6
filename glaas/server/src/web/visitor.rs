//! Who looks at a page: a user who signed in, or a visitor.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum::http::request::Parts;

use super::Failure;
use crate::app::App;
use crate::error::ApiError;
use crate::store::users::User;
use crate::store::{NOBODY, Viewer, web_sessions};
use crate::{auth, clock, in_read};

/// The cookie's name.
pub(super) const NAME: &str = "glaas_session";

/// Who looks at a page.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    user: Option<User>,
}

impl Visitor {
    /// As whom things are seen.
    pub(super) fn viewer(&self) -> Viewer {
        self.user.as_ref().map_or(NOBODY, |user| user.id)
    }

    /// The name of a user who is signed in, else nothing.
    pub(super) fn name(&self) -> String {
        self.user
            .as_ref()
            .map_or_else(String::new, |user| user.name.clone())
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let Some(token) = token(&parts.headers) else {
            return Ok(Self::default());
        };
        let (digest, now) = (auth::token_digest(token), clock::now_ms());
        let user = in_read!(app.database, tx => web_sessions::user(tx, &digest, now).await)?;
        Ok(Self { user })
    }
}

/// What a browser was given when its user signed in.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}

/// A form of another site is not taken: browsers say where it comes from.
pub(super) fn from_here(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = || ApiError::forbidden("this form was sent from another site").into();
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(refused()),
    }
    if let Some(origin) = text("origin") {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if text("host") != Some(host) && app.public_host() != Some(host) {
            return Err(refused());
        }
    }
    Ok(())
}
