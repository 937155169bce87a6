//! What led to an artifact.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use glaas_api::artifacts::ArtifactRecord;
use glaas_api::lineage::{
    CLOSURE_VERSION, Closure, ClosureJob, Dag, DagJob, Lineage, LinkedFile, MAX_CLOSURE_JOBS,
};
use serde::Deserialize;
use serde_json::json;

use super::artifacts::resolve;
use super::extract::{Params, check_prefix};
use super::{Answer, answer};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiResult;
use crate::in_read;
use crate::store::graph::{self, Bounds, Walk};
use crate::store::{NOBODY, StoreError, Transaction, artifacts, sessions};

/// Jobs of an answer that goes to a depth.
const MAX_LINEAGE_JOBS: usize = 1_000;

/// The query of a lineage.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Depth {
    /// How many steps to go back, 1 to 10.
    #[param(minimum = 1, maximum = 10)]
    depth: Option<u32>,
}

/// Jobs and artifacts upstream of an artifact, to a depth
#[utoipa::path(get, path = "/api/v1/artifacts/{prefix}/lineage",
    params(("prefix" = String, Path), Depth),
    responses((status = 200, body = Lineage), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn lineage(
    State(app): State<App>,
    caller: Caller,
    Path(prefix): Path<String>,
    Params(wanted): Params<Depth>,
) -> Answer<Lineage> {
    let viewer = caller.viewer();
    let hash = resolve(&app, viewer, &prefix).await?;
    let depth = wanted.depth.unwrap_or(5).clamp(1, 10);
    let bounds = Bounds {
        depth,
        jobs: MAX_LINEAGE_JOBS,
    };
    let (artifact, walk) = in_read!(app.database, tx => async {
        let artifact = artifacts::record(tx, viewer, &hash).await?;
        let walk = graph::upstream(tx, viewer, &hash, bounds).await?;
        Ok((artifact, walk))
    }.await)?;
    let jobs = ordered(&walk);
    let mut seen = BTreeMap::new();
    for job in &jobs {
        for file in job.inputs.iter().chain(&job.outputs) {
            seen.entry(file.hash.clone())
                .or_insert_with(|| file.clone());
        }
    }
    answer(Lineage {
        artifact,
        jobs,
        artifacts: seen.into_values().collect(),
        depth,
        hidden_jobs: walk.hidden,
    })
}

fn ordered(walk: &Walk) -> Vec<ClosureJob> {
    walk.ordered()
        .iter()
        .map(|job| walk.nodes[job].job.clone())
        .collect()
}

/// Everything upstream, with the build jobs of the sessions that it comes from.
async fn whole(
    tx: &mut Transaction,
    viewer: i64,
    hash: &str,
) -> Result<(ArtifactRecord, Walk), StoreError> {
    let bounds = Bounds {
        depth: u32::MAX,
        jobs: MAX_CLOSURE_JOBS,
    };
    let artifact = artifacts::record(tx, viewer, hash).await?;
    let mut walk = graph::upstream(tx, viewer, hash, bounds).await?;
    let sessions: BTreeSet<i64> = walk.nodes.values().map(|node| node.session_id).collect();
    let builds = graph::build_jobs(tx, viewer, &sessions).await?;
    graph::climb(tx, viewer, &builds, bounds, &mut walk).await?;
    Ok((artifact, walk))
}

/// Hashes of inputs that no job of the walk produced.
fn unsourced(walk: &Walk, artifact: &ArtifactRecord) -> Vec<String> {
    let made: BTreeSet<&str> = walk
        .nodes
        .values()
        .flat_map(|node| node.job.outputs.iter().map(|file| file.hash.as_str()))
        .collect();
    let missing = walk.unsourced.iter().map(String::as_str);
    let mut missing: BTreeSet<&str> = missing.filter(|hash| !made.contains(hash)).collect();
    if walk.nodes.is_empty() {
        missing.insert(&artifact.hash);
    }
    missing.into_iter().map(str::to_owned).collect()
}

/// Everything that led to an artifact, as `reproduce` needs it
#[utoipa::path(get, path = "/api/v1/artifacts/{prefix}/closure", params(("prefix" = String, Path)),
    responses((status = 200, body = Closure), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn closure(
    State(app): State<App>,
    caller: Caller,
    Path(prefix): Path<String>,
) -> Answer<Closure> {
    let viewer = caller.viewer();
    let hash = resolve(&app, viewer, &prefix).await?;
    let (artifact, walk) = in_read!(app.database, tx => whole(tx, viewer, &hash).await)?;
    answer(Closure {
        version: CLOSURE_VERSION,
        unsourced: unsourced(&walk, &artifact),
        jobs: ordered(&walk),
        hidden_jobs: walk.hidden,
        artifact,
    })
}

/// The pipeline of an artifact in the older client's form
#[utoipa::path(get, path = "/api/v1/artifacts/{prefix}/dag", params(("prefix" = String, Path)),
    responses((status = 200, body = Dag), (status = 400), (status = 404), (status = 409)))]
pub(super) async fn dag(
    State(app): State<App>,
    caller: Caller,
    Path(prefix): Path<String>,
) -> Answer<Dag> {
    answer(dag_of(&app, caller.viewer(), &prefix).await?)
}

async fn dag_of(app: &App, viewer: i64, prefix: &str) -> ApiResult<Dag> {
    let hash = resolve(app, viewer, prefix).await?;
    let (artifact, walk, session) = in_read!(app.database, tx => async {
        let (artifact, walk) = whole(tx, viewer, &hash).await?;
        let session = match &artifact.session_hash {
            Some(hash) => sessions::visible(tx, viewer, hash).await.ok(),
            None => None,
        };
        Ok((artifact, walk, session))
    }.await)?;
    let missing = unsourced(&walk, &artifact);
    let nodes: Vec<_> = walk.ordered().iter().map(|job| &walk.nodes[job]).collect();
    let external: BTreeMap<&str, &LinkedFile> = nodes
        .iter()
        .flat_map(|node| &node.job.inputs)
        .filter(|file| missing.contains(&file.hash))
        .map(|file| (file.hash.as_str(), file))
        .collect();
    // The code of the job that made the artifact, else what its session says.
    let last = nodes.last().map(|node| &node.job.summary);
    let session = session.as_ref();
    let dag = json!({
        "nodes": nodes.iter().map(|node| json!({
            "id": node.job.summary.job_uid,
            "stepNumber": node.job.summary.step_number,
            "command": node.job.summary.command,
        })).collect::<Vec<_>>(),
        "edges": walk.edges.iter().filter_map(|(from, to)| Some(json!({
            "from": walk.nodes.get(from)?.job.summary.job_uid,
            "to": walk.nodes.get(to)?.job.summary.job_uid,
        }))).collect::<Vec<_>>(),
        "hidden": walk.hidden,
    });
    Ok(Dag {
        git_repo: last
            .and_then(|job| job.git_repo.clone())
            .or_else(|| session.and_then(|session| session.git_repo.clone())),
        git_commit: last
            .and_then(|job| job.git_commit.clone())
            .or_else(|| session.and_then(|session| session.git_commit.clone())),
        git_branch: last
            .and_then(|job| job.git_branch.clone())
            .or_else(|| session.and_then(|session| session.git_branch.clone())),
        is_external: nodes.is_empty(),
        external_deps: external.into_values().cloned().collect(),
        jobs: nodes
            .iter()
            .map(|node| dag_job(&node.job, node.metadata.clone()))
            .collect(),
        dag,
        artifact,
    })
}

fn dag_job(job: &ClosureJob, metadata: Option<String>) -> DagJob {
    let summary = &job.summary;
    DagJob {
        id: summary.id,
        job_uid: summary.job_uid.clone(),
        command: summary.command.clone(),
        job_type: summary.job_type.clone(),
        step_number: summary.step_number,
        timestamp: summary.timestamp,
        duration_seconds: summary.duration_seconds,
        exit_code: summary.exit_code,
        git_commit: summary.git_commit.clone(),
        git_branch: summary.git_branch.clone(),
        metadata,
        inputs: job.inputs.clone(),
        outputs: job.outputs.clone(),
    }
}

/// A public session with all its jobs and files, for re-making it
#[utoipa::path(get, path = "/api/v1/public/sessions/{hash}/reproduction",
    params(("hash" = String, Path)),
    responses((status = 200, body = Closure), (status = 400), (status = 404)))]
pub(super) async fn reproduction(
    State(app): State<App>,
    Path(hash): Path<String>,
) -> Answer<Closure> {
    let hash = check_prefix(&hash)?;
    let walk = in_read!(app.database, tx => async {
        let session = sessions::visible(tx, NOBODY, &hash).await?;
        let jobs: Vec<i64> = session.jobs.iter().map(|job| job.id).collect();
        let mut walk = Walk::default();
        let bounds = Bounds { depth: u32::MAX, jobs: MAX_CLOSURE_JOBS };
        graph::climb(tx, NOBODY, &jobs, bounds, &mut walk).await?;
        Ok(walk)
    }.await)?;
    let artifact = ArtifactRecord::default();
    answer(Closure {
        version: CLOSURE_VERSION,
        unsourced: unsourced(&walk, &artifact),
        jobs: ordered(&walk),
        hidden_jobs: walk.hidden,
        artifact,
    })
}
