//! Jobs and their files.

use axum::extract::{Path, State};
use glaas_api::jobs::{
    FileLink, InputsLinked, JobBatch, JobCreated, JobRequest, JobsCreated, LinkRequest,
    OutputsLinked,
};
use glaas_api::lineage::{ClosureJob, JobSummary};
use glaas_api::search::{JobQuery, Page};
use serde_json::Value;

use super::extract::{
    Body, Params, check_count, check_digest, check_length, check_prefix, check_uid,
};
use super::place::Place;
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::in_read;
use crate::store::links::Role;
use crate::store::{StoreError, graph, jobs, search};

/// Files that one request may link; clients send a hundred.
const MAX_LINKS: usize = 1_000;

/// The most bytes of a command line and of metadata.
const MAX_COMMAND: usize = 256 * 1024;
const MAX_METADATA: usize = 4 * 1024 * 1024;

/// Checks a job before anything of it is written.
pub(super) fn check(job: &JobRequest) -> ApiResult<()> {
    check_uid(&job.job_uid)?;
    check_length("command", Some(&job.command), MAX_COMMAND)?;
    check_length("git_commit", job.git_commit.as_deref(), 128)?;
    check_length("git_branch", job.git_branch.as_deref(), 4096)?;
    if let Some(Value::String(text)) = &job.metadata {
        check_length("metadata", Some(text), MAX_METADATA)?;
    }
    if !matches!(job.job_type.as_deref(), None | Some("run" | "build")) {
        return Err(ApiError::invalid("job_type is 'run' or 'build'"));
    }
    let in_range =
        |value: Option<i64>| value.is_none_or(|value| (0..=1_000_000_000).contains(&value));
    if !in_range(job.step_number) || !in_range(job.parent_step_number) {
        return Err(ApiError::invalid("step_number is 0 to 1000000000"));
    }
    Ok(())
}

/// Register a job; the same job_uid again changes nothing
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs", params(("hash" = String, Path)),
    request_body = JobRequest,
    responses((status = 200, body = JobCreated), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(hash): Path<String>,
    Body(job): Body<JobRequest>,
) -> Answer<JobCreated> {
    let place = Place::own(&app, &caller, &hash)?;
    answer(place.add(&app, job).await?)
}

/// Register several jobs
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs/batch", params(("hash" = String, Path)),
    request_body = JobBatch,
    responses((status = 200, body = JobsCreated), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn create_batch(
    State(app): State<App>,
    caller: Caller,
    Path(hash): Path<String>,
    Body(batch): Body<JobBatch>,
) -> Answer<JobsCreated> {
    let place = Place::own(&app, &caller, &hash)?;
    let mut answered = place.add_all(&app, &batch).await?;
    // Published clients take every entry of the list for an error.
    if answered.errors.iter().all(Option::is_none) {
        answered.errors.clear();
    }
    answer(answered)
}

/// Checks files to be linked.
pub(super) fn check_links(files: &mut [FileLink]) -> ApiResult<()> {
    check_count("artifacts", files.len(), MAX_LINKS)?;
    for file in files {
        file.hash = check_digest(&file.hash)?;
        check_length("path", file.path.as_deref(), 16 * 1024)?;
        check_length("note", file.note.as_deref(), 4096)?;
        check_length("basis", file.basis.as_deref(), 64)?;
    }
    Ok(())
}

/// Link the files that a job read
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs/{uid}/inputs",
    params(("hash" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = InputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn link_inputs(
    State(app): State<App>,
    caller: Caller,
    Path((hash, uid)): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<InputsLinked> {
    let place = Place::own(&app, &caller, &hash)?;
    let inputs_linked = place.link(&app, &uid, Role::Input, request).await?;
    answer(InputsLinked { inputs_linked })
}

/// Link the files that a job wrote
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs/{uid}/outputs",
    params(("hash" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = OutputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn link_outputs(
    State(app): State<App>,
    caller: Caller,
    Path((hash, uid)): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<OutputsLinked> {
    let place = Place::own(&app, &caller, &hash)?;
    let outputs_linked = place.link(&app, &uid, Role::Output, request).await?;
    answer(OutputsLinked { outputs_linked })
}

/// A job with its files
#[utoipa::path(get, path = "/api/v1/sessions/{hash}/jobs/{uid}",
    params(("hash" = String, Path), ("uid" = String, Path)),
    responses((status = 200, body = ClosureJob), (status = 400), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path((hash, uid)): Path<(String, String)>,
) -> Answer<ClosureJob> {
    let hash = check_prefix(&hash)?;
    check_uid(&uid)?;
    let viewer = caller.viewer();
    let node = in_read!(app.database, tx => async {
        let found = jobs::visible(tx, viewer, Some(&hash), &uid).await?;
        let id = found.first().copied().ok_or(StoreError::NotFound)?;
        graph::node(tx, viewer, id).await
    }.await)?;
    answer(node.job)
}

/// Search jobs
#[utoipa::path(get, path = "/api/v1/jobs", params(JobQuery),
    responses((status = 200, body = Page<JobSummary>), (status = 400)))]
pub(super) async fn search(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<JobQuery>,
) -> Answer<Page<JobSummary>> {
    let viewer = caller.viewer();
    answer(in_read!(app.database, tx => search::jobs(tx, viewer, &query).await)?)
}
