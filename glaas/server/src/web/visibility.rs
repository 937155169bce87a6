//! Who sees a session, changed on its page by its owner.

use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use glaas_api::sessions::{SessionChange, Visibility};

use super::Page;
use super::visitor::{Visitor, from_here};
use crate::app::App;
use crate::in_write;
use crate::store::sessions;

/// A session of somebody else's is as if it were not there, whether the visitor sees it or not.
pub(super) async fn change(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Path(hash): Path<String>,
    Form(change): Form<SessionChange>,
) -> Page {
    from_here(&app, &headers)?;
    let owner = visitor.viewer();
    let hash = crate::api::check_prefix(&hash)?;
    let public = change.visibility == Visibility::Public;
    in_write!(app.database, tx => sessions::set_visibility(tx, owner, &hash, public).await)?;
    Ok(Redirect::to(&glaas_api::paths::session_page(&hash)).into_response())
}
