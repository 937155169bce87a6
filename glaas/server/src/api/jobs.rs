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
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::store::links::{self, Role};
use crate::store::sessions::Session;
use crate::store::{StoreError, Transaction, graph, jobs, search, sessions};
use crate::{in_read, in_write};

/// Jobs that one request may bring.
const MAX_JOBS: usize = 1_000;

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

/// The caller's own session.
pub(super) async fn own_session(
    tx: &mut Transaction,
    owner: i64,
    hash: &str,
) -> Result<Session, StoreError> {
    sessions::owned(tx, owner, hash)
        .await?
        .ok_or(StoreError::NotFound)
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
    let owner = caller.owner(&app)?;
    let hash = check_prefix(&hash)?;
    check(&job)?;
    let (id, created) = in_write!(app.database, tx => async {
        let session = own_session(tx, owner, &hash).await?;
        jobs::insert(tx, &session, &job).await
    }.await)?;
    answer(JobCreated {
        id,
        job_uid: job.job_uid,
        created,
    })
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
    let owner = caller.owner(&app)?;
    let hash = check_prefix(&hash)?;
    check_count("jobs", batch.jobs.len(), MAX_JOBS)?;
    let mut answered = in_write!(app.database, tx => async {
        let session = own_session(tx, owner, &hash).await?;
        insert_all(tx, &session, &batch.jobs).await
    }.await)?;
    // Published clients take every entry of the list for an error.
    if answered.errors.iter().all(Option::is_none) {
        answered.errors.clear();
    }
    answer(answered)
}

/// Inserts those that are as they should be, and says of the others why not.
pub(super) async fn insert_all(
    tx: &mut Transaction,
    session: &Session,
    requests: &[JobRequest],
) -> Result<JobsCreated, StoreError> {
    let mut answer = JobsCreated::default();
    for job in requests {
        if let Err(error) = check(job) {
            answer.job_ids.push(None);
            answer.errors.push(Some(error.message));
            continue;
        }
        let (id, created) = jobs::insert(tx, session, job).await?;
        if created {
            answer.created_count += 1;
        } else {
            answer.existing_count += 1;
        }
        answer.job_ids.push(Some(id));
        answer.errors.push(None);
    }
    Ok(answer)
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

async fn link(
    app: &App,
    caller: &Caller,
    (hash, uid): (String, String),
    role: Role,
    mut request: LinkRequest,
) -> ApiResult<u64> {
    let owner = caller.owner(app)?;
    let hash = check_prefix(&hash)?;
    check_uid(&uid)?;
    check_links(&mut request.artifacts)?;
    Ok(in_write!(app.database, tx => async {
        let session = own_session(tx, owner, &hash).await?;
        links::add(tx, &session, &uid, role, &request.artifacts).await
    }.await)?)
}

/// Link the files that a job read
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs/{uid}/inputs",
    params(("hash" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = InputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn link_inputs(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<InputsLinked> {
    let inputs_linked = link(&app, &caller, job, Role::Input, request).await?;
    answer(InputsLinked { inputs_linked })
}

/// Link the files that a job wrote
#[utoipa::path(post, path = "/api/v1/sessions/{hash}/jobs/{uid}/outputs",
    params(("hash" = String, Path), ("uid" = String, Path)), request_body = LinkRequest,
    responses((status = 200, body = OutputsLinked), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn link_outputs(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<(String, String)>,
    Body(request): Body<LinkRequest>,
) -> Answer<OutputsLinked> {
    let outputs_linked = link(&app, &caller, job, Role::Output, request).await?;
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
