//! Registration sessions of the newer client.

use axum::extract::{Path, State};
use glaas_api::artifacts::ArtifactBatch;
use glaas_api::envelope::codes;
use glaas_api::jobs::{InputsLinked, JobBatch, JobCreated, JobRequest, LinkRequest, OutputsLinked};
use glaas_api::labels::{LabelBatch, LabelsStored};
use glaas_api::registration::{
    FinalizeRequest, Finalized, Registration, RegistrationArtifacts, RegistrationJobs,
    RegistrationRequest,
};
use serde_json::{Map, Value, json};

use super::extract::{Body, check_count, check_length, check_uid};
use super::place::Place;
use super::sessions::wants_public;
use super::{Answer, answer};
use crate::app::App;
use crate::auth::{self, Caller};
use crate::canonical;
use crate::error::{ApiError, ApiResult};
use crate::store::links::Role;
use crate::store::registrations::{self as store, Upload};
use crate::store::{ANONYMOUS, StoreError, artifacts as contents, sessions};
use crate::{in_read, in_write};

/// Open a registration session
#[utoipa::path(post, path = "/api/v1/registration-sessions", request_body = RegistrationRequest,
    responses((status = 200, body = Registration), (status = 400), (status = 401)))]
pub(super) async fn open(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<RegistrationRequest>,
) -> Answer<Registration> {
    let owner = caller.owner(&app)?;
    check_length(
        "client_session_id",
        request.client_session_id.as_deref(),
        256,
    )?;
    check_length("mode", request.mode.as_deref(), 64)?;
    let (id, token) = (auth::secret()?, auth::secret()?);
    let id = id[..32].to_owned();
    let digest = auth::token_digest(&token);
    let upload = in_write!(app.database, tx => store::open(
        tx,
        owner,
        &id,
        request.client_session_id.as_deref(),
        request.mode.as_deref(),
        &digest,
    ).await)?;
    answer(Registration {
        registration_session_id: upload.id,
        status: "open".to_owned(),
        mode: upload.mode,
        registration_session_token: token,
    })
}

/// The registration that the caller's token opens, or that the caller, by signature, owns: the newer
/// client shows the token only where nobody signs.
async fn upload(app: &App, caller: &Caller, id: &str) -> ApiResult<Upload> {
    let digest = caller.token.as_deref().map(auth::token_digest);
    let user = caller.user.as_ref().map(|user| user.id);
    let found: Result<Upload, StoreError> = in_read!(app.database, tx => match (&digest, user) {
        (Some(digest), _) => store::by_token(tx, id, digest).await,
        (None, Some(user)) => store::by_owner(tx, id, user).await,
        (None, None) => Err(StoreError::NotFound),
    });
    match found {
        Err(StoreError::NotFound) => Err(ApiError::unauthenticated(
            codes::UNAUTHENTICATED,
            "this needs the token of an open registration session, or its owner's signature",
        )),
        found => Ok(found?),
    }
}

/// As [`upload`]; one that is final takes nothing more.
pub(super) async fn open_upload(app: &App, caller: &Caller, id: &str) -> ApiResult<Upload> {
    let upload = upload(app, caller, id).await?;
    if upload.final_hash.is_some() {
        return Err(ApiError::new(
            axum::http::StatusCode::CONFLICT,
            codes::CONFLICT,
            "this registration is final",
        ));
    }
    Ok(upload)
}

/// Register a job
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/jobs",
    params(("id" = String, Path)), request_body = JobRequest,
    responses((status = 200, body = JobCreated), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn job(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(job): Body<JobRequest>,
) -> Answer<JobCreated> {
    let place = Place::registration(&app, &caller, &id).await?;
    answer(place.add(&app, job).await?)
}

/// Register several jobs
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/jobs/batch",
    params(("id" = String, Path)), request_body = JobBatch,
    responses((status = 200, body = RegistrationJobs), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn jobs(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(batch): Body<JobBatch>,
) -> Answer<RegistrationJobs> {
    let place = Place::registration(&app, &caller, &id).await?;
    let created = place.add_all(&app, &batch).await?;
    let errors = created
        .errors
        .iter()
        .enumerate()
        .filter_map(|(index, error)| {
            error.as_ref().map(|message| {
                json!({ "index": index, "job_uid": batch.jobs[index].job_uid, "message": message })
            })
        })
        .collect();
    answer(RegistrationJobs {
        job_ids: created.job_ids,
        errors,
        created_count: created.created_count,
        existing_count: created.existing_count,
        ..RegistrationJobs::default()
    })
}

/// Register several artifacts
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/artifacts/batch",
    params(("id" = String, Path)), request_body = ArtifactBatch,
    responses((status = 200, body = RegistrationArtifacts), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn artifacts(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(mut batch): Body<ArtifactBatch>,
) -> Answer<RegistrationArtifacts> {
    let upload = open_upload(&app, &caller, &id).await?;
    check_count("artifacts", batch.artifacts.len(), 5_000)?;
    for artifact in &mut batch.artifacts {
        super::artifacts::check(artifact)?;
    }
    let created = in_write!(app.database, tx => async {
        let session = sessions::by_id(tx, upload.session_id).await?;
        let mut answered = RegistrationArtifacts::default();
        for artifact in &batch.artifacts {
            let (_, created) = contents::register(tx, &session, artifact).await?;
            if created {
                answered.created += 1;
            } else {
                answered.updated += 1;
            }
        }
        Ok(answered)
    }.await)?;
    answer(created)
}

/// Link the files that a job read
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/jobs/{uid}/inputs",
    params(("id" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = InputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn inputs(
    State(app): State<App>,
    caller: Caller,
    Path((id, uid)): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<InputsLinked> {
    let place = Place::registration(&app, &caller, &id).await?;
    let inputs_linked = place.link(&app, &uid, Role::Input, request).await?;
    answer(InputsLinked { inputs_linked })
}

/// Link the files that a job wrote
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/jobs/{uid}/outputs",
    params(("id" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = OutputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn outputs(
    State(app): State<App>,
    caller: Caller,
    Path((id, uid)): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<OutputsLinked> {
    let place = Place::registration(&app, &caller, &id).await?;
    let outputs_linked = place.link(&app, &uid, Role::Output, request).await?;
    answer(OutputsLinked { outputs_linked })
}

/// Documents that have no place of their own here are kept as labels of the registration.
async fn keep(
    app: &App,
    caller: &Caller,
    id: &str,
    kind: &str,
    documents: Vec<Value>,
) -> ApiResult<u64> {
    let upload = open_upload(app, caller, id).await?;
    check_count("entries", documents.len(), 1_000)?;
    let public = upload.owner_id == ANONYMOUS;
    let entity = format!("upload-{}", upload.id);
    Ok(in_write!(app.database, tx => async {
        let mut kept = 0;
        for document in &documents {
            let (new, _) =
                crate::store::labels::put(tx, upload.owner_id, public, kind, &entity, document).await?;
            kept += u64::from(new);
        }
        Ok(kept)
    }.await)?)
}

/// The entries of a body: its first list.
fn entries(body: Map<String, Value>) -> Vec<Value> {
    let mut lists = body.into_iter().filter_map(|(_, value)| match value {
        Value::Array(list) => Some(list),
        _ => None,
    });
    lists.next().unwrap_or_default()
}

/// Register artifacts that are made of others
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/artifacts/composites",
    params(("id" = String, Path)), request_body = Value,
    responses((status = 200, body = RegistrationArtifacts), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn composites(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Map<String, Value>>,
) -> Answer<RegistrationArtifacts> {
    let created = keep(&app, &caller, &id, "composite", entries(body)).await?;
    answer(RegistrationArtifacts {
        created,
        ..RegistrationArtifacts::default()
    })
}

/// Say how a job's inputs are views of others
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/jobs/{uid}/view-edges",
    params(("id" = String, Path), ("uid" = String, Path)), request_body = Value,
    responses((status = 200), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn view_edges(
    State(app): State<App>,
    caller: Caller,
    Path((id, uid)): Path<(String, String)>,
    Body(body): Body<Map<String, Value>>,
) -> Answer<Value> {
    check_uid(&uid)?;
    let edges = entries(body);
    let count = edges.len();
    let documents = vec![json!({ "job_uid": &uid, "edges": edges })];
    keep(&app, &caller, &id, "view-edges", documents).await?;
    answer(json!({ "job_uid": uid, "view_edges_linked": count }))
}

/// Keep labels of the registration
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/labels/batch",
    params(("id" = String, Path)), request_body = LabelBatch,
    responses((status = 200, body = LabelsStored), (status = 400), (status = 401)))]
pub(super) async fn labels(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(batch): Body<LabelBatch>,
) -> Answer<LabelsStored> {
    // They come when it is final.
    let upload = upload(&app, &caller, &id).await?;
    check_count("labels", batch.labels.len(), 1_000)?;
    let public = upload.owner_id == ANONYMOUS;
    let stored = in_write!(app.database, tx =>
        super::labels::put_all(tx, upload.owner_id, public, &batch.labels).await)?;
    answer(stored)
}

/// Make a registration final: its session gets the hash of its content
#[utoipa::path(post, path = "/api/v1/registration-sessions/{id}/finalize",
    params(("id" = String, Path)), request_body = FinalizeRequest,
    responses((status = 200, body = Finalized), (status = 400), (status = 401), (status = 409)))]
pub(super) async fn finalize(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(mut request): Body<FinalizeRequest>,
) -> Answer<Finalized> {
    let upload = upload(&app, &caller, &id).await?;
    if let Some(hash) = upload.final_hash {
        // Again, because the answer was lost on the way.
        return answer(Finalized {
            url: super::sessions::page_url(&app, &hash),
            hash,
            created: false,
        });
    }
    super::sessions::check_git(
        &mut request.git_repo,
        request.git_commit.as_deref(),
        request.git_branch.as_deref(),
    )?;
    let anonymous = upload.owner_id == ANONYMOUS;
    let public = anonymous
        || wants_public(request.scope_request.as_ref()).unwrap_or_else(|| app.public_by_default());
    let (session, created) = in_write!(app.database, tx => async {
        sessions::set_git(
            tx,
            upload.session_id,
            request.git_repo.as_deref(),
            request.git_commit.as_deref(),
            request.git_branch.as_deref(),
        ).await?;
        let content = canonical::content(tx, &upload, &request).await?;
        content.check(&request)?;
        store::finish(tx, &upload, &content.hash, public).await
    }.await)?;
    answer(Finalized {
        url: super::sessions::page_url(&app, &session.hash),
        hash: session.hash,
        created,
    })
}
