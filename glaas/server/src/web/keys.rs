//! The page on which users register their keys.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::visitor::{Visitor, from_here};
use super::{Page, page};
use crate::app::App;
use crate::auth::keys as public_keys;
use crate::error::ApiError;

#[derive(Default, Template)]
#[template(path = "keys.html")]
struct Keys {
    who: String,
    closed: bool,
    error: String,
    done: String,
    user: String,
    public_key: String,
}

pub(super) async fn show(State(app): State<App>, visitor: Visitor) -> Page {
    Ok(page(&Keys {
        who: visitor.name(),
        closed: app.settings.closed,
        ..Keys::default()
    }))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    user: String,
    public_key: String,
}

pub(super) async fn register(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<Registration>,
) -> Page {
    from_here(&app, &headers)?;
    let registered = match public_keys::read(&form.public_key) {
        Ok(key) => crate::api::register_user(&app, form.user.trim(), &key)
            .await
            .map(|_| key.record.fingerprint),
        Err(words) => Err(ApiError::invalid(words)),
    };
    let (status, keys) = match registered {
        Ok(fingerprint) => (
            StatusCode::OK,
            Keys {
                who: visitor.name(),
                done: format!(
                    "{fingerprint} belongs to {} now. Try: roar auth test",
                    form.user.trim()
                ),
                ..Keys::default()
            },
        ),
        Err(error) => (
            error.status,
            Keys {
                who: visitor.name(),
                closed: app.settings.closed,
                error: error.message,
                user: form.user,
                // A private key is not sent back.
                public_key: if form.public_key.contains("PRIVATE") {
                    String::new()
                } else {
                    form.public_key
                },
                ..Keys::default()
            },
        ),
    };
    Ok((status, page(&keys)).into_response())
}
