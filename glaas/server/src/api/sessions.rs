//! Sessions.

use axum::extract::{Path, State};
use glaas_api::search::Page;
use glaas_api::sessions::{
    SessionChange, SessionCreated, SessionRecord, SessionRequest, Visibility,
};
use serde::Deserialize;
use serde_json::Value;

use super::extract::{Body, Params, check_length, check_prefix};
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::store::{ANONYMOUS, sessions};
use crate::{facts, in_read, in_write};

/// The most bytes of what git says.
const MAX_GIT: usize = 4096;

/// Register a session; the same hash again finds the caller's own
#[utoipa::path(post, path = "/api/v1/sessions", request_body = SessionRequest,
    responses((status = 200, body = SessionCreated), (status = 400), (status = 401)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(mut request): Body<SessionRequest>,
) -> Answer<SessionCreated> {
    let owner = caller.owner(&app)?;
    request.hash = check_prefix(&request.hash)?;
    check_git(
        &mut request.git_repo,
        request.git_commit.as_deref(),
        request.git_branch.as_deref(),
    )?;
    let public = match request.visibility {
        _ if owner == ANONYMOUS => true,
        Some(visibility) => visibility == Visibility::Public,
        None => {
            wants_public(request.scope_request.as_ref()).unwrap_or_else(|| app.public_by_default())
        }
    };
    let (session, created) =
        in_write!(app.database, tx => sessions::upsert(tx, owner, &request, public).await)?;
    answer(SessionCreated {
        url: page_url(&app, &session.hash),
        hash: session.hash,
        created,
    })
}

/// Whether everyone is to see the session, as the newer client asks; what is not understood was not
/// meant for everyone.
pub(super) fn wants_public(scope: Option<&Value>) -> Option<bool> {
    let word = match scope? {
        Value::String(word) => Some(word.as_str()),
        Value::Object(members) => ["visibility", "scope", "mode", "kind"]
            .iter()
            .find_map(|name| members.get(*name)?.as_str()),
        _ => None,
    };
    Some(matches!(word, Some("public" | "anonymous_public")))
}

/// What git says, within its limits and without credentials.
pub(super) fn check_git(
    repo: &mut Option<String>,
    commit: Option<&str>,
    branch: Option<&str>,
) -> ApiResult<()> {
    check_length("git_repo", repo.as_deref(), MAX_GIT)?;
    check_length("git_commit", commit, 128)?;
    check_length("git_branch", branch, MAX_GIT)?;
    *repo = repo
        .take()
        .map(|repo| facts::without_credentials(&repo))
        .filter(|repo| !repo.is_empty());
    Ok(())
}

pub(super) fn page_url(app: &App, hash: &str) -> String {
    format!("{}{}", app.base_url, glaas_api::paths::session_page(hash))
}

/// The query of a listing.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct Listing {
    /// Results on a page.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<i64>,
}

/// Sessions that the caller may see, newest first
#[utoipa::path(get, path = "/api/v1/sessions", params(Listing),
    responses((status = 200, body = Page<SessionRecord>), (status = 400)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(listing): Params<Listing>,
) -> Answer<Page<SessionRecord>> {
    let limit = listing.limit.unwrap_or(50).clamp(1, 200) as usize;
    let before = listing.cursor.unwrap_or(i64::MAX);
    let viewer = caller.viewer();
    let rows =
        in_read!(app.database, tx => sessions::page(tx, viewer, before, limit as i64 + 1).await)?;
    let next = (rows.len() > limit)
        .then(|| rows.get(limit - 1).map(|(id, _)| id.to_string()))
        .flatten();
    let items = rows
        .into_iter()
        .take(limit)
        .map(|(_, record)| with_url(&app, record))
        .collect();
    answer(Page { items, next })
}

fn with_url(app: &App, mut record: SessionRecord) -> SessionRecord {
    record.url = page_url(app, &record.hash);
    record
}

/// The hash of a session that the viewer may see, from its beginning.
pub(crate) async fn resolve(app: &App, viewer: i64, prefix: &str) -> ApiResult<String> {
    let prefix = check_prefix(prefix)?;
    let found = in_read!(app.database, tx => sessions::with_prefix(tx, viewer, &prefix, 21).await)?;
    match found.as_slice() {
        [] => Err(ApiError::not_found()),
        [hash] => Ok(hash.clone()),
        hashes if hashes.contains(&prefix) => Ok(prefix),
        _ => Err(ApiError::ambiguous(&prefix, found)),
    }
}

/// A session with its jobs
#[utoipa::path(get, path = "/api/v1/sessions/{hash}", params(("hash" = String, Path)),
    responses((status = 200, body = SessionRecord), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(hash): Path<String>,
) -> Answer<SessionRecord> {
    let viewer = caller.viewer();
    let hash = resolve(&app, viewer, &hash).await?;
    let record = in_read!(app.database, tx => sessions::visible(tx, viewer, &hash).await)?;
    answer(with_url(&app, record))
}

/// Change who sees a session of the caller's
#[utoipa::path(patch, path = "/api/v1/sessions/{hash}", params(("hash" = String, Path)),
    request_body = SessionChange,
    responses((status = 200, body = SessionRecord), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(hash): Path<String>,
    Body(change): Body<SessionChange>,
) -> Answer<SessionRecord> {
    let user = caller.user()?;
    let hash = check_prefix(&hash)?;
    let public = change.visibility == Visibility::Public;
    let record = in_write!(app.database, tx => async {
        sessions::set_visibility(tx, user.id, &hash, public).await?;
        sessions::visible(tx, user.id, &hash).await
    }.await)?;
    answer(with_url(&app, record))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::wants_public;

    #[test]
    fn only_what_says_so_is_public() {
        assert_eq!(wants_public(None), None);
        for (scope, public) in [
            (json!("public"), true),
            (json!({ "visibility": "public" }), true),
            (json!({ "mode": "anonymous_public" }), true),
            (json!({ "visibility": "private" }), false),
            (json!({ "visibility": "team" }), false),
            (json!({ "project": "public" }), false),
            (json!(1), false),
        ] {
            assert_eq!(wants_public(Some(&scope)), Some(public), "{scope}");
        }
    }
}
