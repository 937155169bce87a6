//! Labels of the newer client.

use axum::extract::State;
use glaas_api::labels::{LabelBatch, LabelsStored};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Params, check_count};
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiResult;
use crate::store::{ANONYMOUS, StoreError, Transaction, labels as store};
use crate::{in_read, in_write};

/// Labels that one request may bring.
const MAX_LABELS: usize = 1_000;

/// What a label is attached to: its kind and its id. Jobs are named within their session.
fn entity(kind: &str, label: &Value) -> Option<String> {
    let text = |name: &str| {
        label
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty() && text.len() <= 256)
    };
    match kind {
        "job" => Some(format!("{}/{}", text("session_hash")?, text("job_uid")?)),
        "artifact" => ["artifact_hash", "hash", "entity_id"]
            .iter()
            .find_map(|name| text(name))
            .map(str::to_owned),
        _ => ["session_hash", "hash", "entity_id"]
            .iter()
            .find_map(|name| text(name))
            .map(str::to_owned),
    }
}

/// Keeps labels under an owner.
pub(super) async fn put_all(
    tx: &mut Transaction,
    owner: i64,
    public: bool,
    labels: &[Value],
) -> Result<LabelsStored, StoreError> {
    let mut stored = LabelsStored::default();
    for (index, label) in labels.iter().enumerate() {
        let kind = label
            .get("entity_type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let known = matches!(kind, "job" | "artifact" | "dag" | "session" | "collection");
        let id = known.then(|| entity(kind, label)).flatten();
        let Some(id) = id else {
            stored
                .errors
                .push(format!("label {index} does not say what it is attached to"));
            continue;
        };
        match store::put(tx, owner, public, kind, &id, label).await? {
            (true, false) => stored.created += 1,
            (true, true) => stored.updated += 1,
            (false, _) => stored.unchanged += 1,
        }
    }
    Ok(stored)
}

async fn keep(app: &App, caller: &Caller, batch: &LabelBatch) -> ApiResult<LabelsStored> {
    let owner = caller.owner(app)?;
    check_count("labels", batch.labels.len(), MAX_LABELS)?;
    let public = owner == ANONYMOUS;
    Ok(in_write!(app.database, tx => put_all(tx, owner, public, &batch.labels).await)?)
}

/// Keep labels
#[utoipa::path(post, path = "/api/v1/labels/sync", request_body = LabelBatch,
    responses((status = 200, body = LabelsStored), (status = 400), (status = 401)))]
pub(super) async fn sync(
    State(app): State<App>,
    caller: Caller,
    Body(batch): Body<LabelBatch>,
) -> Answer<LabelsStored> {
    answer(keep(&app, &caller, &batch).await?)
}

/// Keep labels, as `sync` does: the last one sent counts
#[utoipa::path(post, path = "/api/v1/labels/reconcile", request_body = LabelBatch,
    responses((status = 200, body = LabelsStored), (status = 400), (status = 401)))]
pub(super) async fn reconcile(
    State(app): State<App>,
    caller: Caller,
    Body(batch): Body<LabelBatch>,
) -> Answer<LabelsStored> {
    answer(keep(&app, &caller, &batch).await?)
}

/// Which label is asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct Of {
    /// `job`, `artifact`, `dag`, `session`.
    entity_type: String,
    /// The session's hash.
    session_hash: Option<String>,
    /// The job's id in it.
    job_uid: Option<String>,
    /// The artifact's hash.
    artifact_hash: Option<String>,
    /// Any id.
    entity_id: Option<String>,
}

async fn history_of(app: &App, caller: &Caller, of: &Of, limit: i64) -> ApiResult<Vec<Value>> {
    let named = json!({
        "session_hash": of.session_hash,
        "job_uid": of.job_uid,
        "artifact_hash": of.artifact_hash,
        "entity_id": of.entity_id,
    });
    let Some(id) = entity(&of.entity_type, &named) else {
        return Ok(Vec::new());
    };
    let viewer = caller.viewer();
    let found = in_read!(app.database, tx =>
        store::history(tx, viewer, &of.entity_type, &id, limit).await)?;
    Ok(found.into_iter().map(|label| label.document).collect())
}

/// The label as it is now
#[utoipa::path(get, path = "/api/v1/labels/current", params(Of), responses((status = 200)))]
pub(super) async fn current(
    State(app): State<App>,
    caller: Caller,
    Params(of): Params<Of>,
) -> Answer<Value> {
    let mut found = history_of(&app, &caller, &of, 1).await?;
    answer(found.pop().unwrap_or_else(|| json!({})))
}

/// The labels of before, newest first
#[utoipa::path(get, path = "/api/v1/labels/history", params(Of), responses((status = 200)))]
pub(super) async fn history(
    State(app): State<App>,
    caller: Caller,
    Params(of): Params<Of>,
) -> Answer<Value> {
    answer(json!({ "versions": history_of(&app, &caller, &of, 100).await? }))
}
