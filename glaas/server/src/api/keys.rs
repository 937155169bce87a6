//! Keys and their users.

use axum::extract::{Path, State};
use glaas_api::keys::{KeyList, KeyRecord, KeyRequest};
use serde::Serialize;

use super::extract::Body;
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::keys::{self, NewKey};
use crate::error::{ApiError, ApiResult};
use crate::store::users::{self, User};
use crate::{clock, in_read, in_write};

/// Who signed a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    /// The user's name.
    username: String,
    /// The same, under the name that other servers use.
    id: String,
}

/// Who signed this request
#[utoipa::path(get, path = "/api/v1/auth/me", responses((status = 200, body = Me), (status = 401)))]
pub(super) async fn me(caller: Caller) -> Answer<Me> {
    let user = caller.user()?;
    answer(Me {
        username: user.name.clone(),
        id: user.name.clone(),
    })
}

/// Makes a user with a key.
///
/// # Errors
/// The name or the key will not do.
pub(crate) async fn new_user(app: &App, name: &str, key: &NewKey) -> ApiResult<User> {
    if app.settings.closed {
        return Err(ApiError::forbidden(
            "this server's operator registers keys: ask for yours to be added (glaas-server key add)",
        ));
    }
    keys::check_name(name).map_err(ApiError::invalid)?;
    Ok(in_write!(app.database, tx => async {
        let user = users::add(tx, name).await?;
        users::add_key(tx, &user, &key.record, &key.text).await?;
        Ok(user)
    }.await)?)
}

/// Register a key: unsigned for a new user, signed for one's own
#[utoipa::path(post, path = "/api/v1/keys", request_body = KeyRequest,
    responses((status = 200, body = KeyRecord), (status = 400), (status = 403)))]
pub(super) async fn register(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<KeyRequest>,
) -> Answer<KeyRecord> {
    let key = keys::read(&request.public_key).map_err(ApiError::invalid)?;
    let user = match &caller.user {
        Some(user) => {
            let proof = request.proof.as_deref().unwrap_or_default();
            keys::check_proof(&key, &user.name, proof).map_err(ApiError::invalid)?;
            in_write!(app.database, tx => users::add_key(tx, user, &key.record, &key.text).await)?;
            user.clone()
        }
        None => new_user(&app, request.user.as_deref().unwrap_or_default(), &key).await?,
    };
    answer(KeyRecord {
        user: user.name,
        created_at: clock::seconds(clock::now_ms()),
        ..key.record
    })
}

/// The caller's keys
#[utoipa::path(get, path = "/api/v1/keys", responses((status = 200, body = KeyList), (status = 401)))]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Answer<KeyList> {
    let user = caller.user()?;
    let keys = in_read!(app.database, tx => users::keys_of(tx, user).await)?;
    answer(KeyList {
        user: user.name.clone(),
        keys,
    })
}

/// Take a key of the caller's out of use for good
#[utoipa::path(delete, path = "/api/v1/keys/{fingerprint}", params(("fingerprint" = String, Path)),
    responses((status = 200, body = KeyList), (status = 401), (status = 404)))]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(fingerprint): Path<String>,
) -> Answer<KeyList> {
    let user = caller.user()?;
    let keys = in_write!(app.database, tx => async {
        users::revoke(tx, &fingerprint, Some(user)).await?;
        users::keys_of(tx, user).await
    }.await)?;
    answer(KeyList {
        user: user.name.clone(),
        keys,
    })
}
