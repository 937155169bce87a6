//! Jobs.

use std::collections::BTreeSet;

use glaas_api::jobs::JobRequest;
use glaas_api::lineage::JobSummary;
use serde_json::Value as Json;

use super::sessions::Session;
use super::{Row, StoreError, Transaction, Value, Viewer, ids, listings, terms};
use crate::{clock, facts};

/// Records a job in a session; one that is there stays as it is. Returns its row and whether it is
/// new.
///
/// # Errors
/// The database fails.
pub async fn insert(
    tx: &mut Transaction,
    session: &Session,
    job: &JobRequest,
) -> Result<(i64, bool), StoreError> {
    if let Some(id) = find(tx, session.id, &job.job_uid).await? {
        return Ok((id, false));
    }
    let metadata = metadata_text(job.metadata.as_ref());
    let facts = facts::facts(metadata.as_deref());
    let session_git = tx
        .first(
            "SELECT git_repo FROM sessions WHERE id = $1",
            &[session.id.into()],
        )
        .await?;
    let repo = session_git.map_or(Ok(None), |row| row.text_or_null(0))?;
    let kind = job.job_type.as_deref().unwrap_or("run");
    let id = ids::next();
    tx.execute(
        "INSERT INTO jobs (id, session_id, owner_id, public, uid, kind, command, name, started_s,
         duration_s, exit_code, step, parent_step, git_repo, git_commit, git_branch, host, gpu,
         complete, metadata, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
         $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        &[
            id.into(),
            session.id.into(),
            session.owner_id.into(),
            session.public.into(),
            (&job.job_uid).into(),
            kind.into(),
            (&job.command).into(),
            (&facts.name).into(),
            job.timestamp.into(),
            job.duration_seconds.into(),
            job.exit_code.into(),
            job.step_number.into(),
            job.parent_step_number.into(),
            (&repo).into(),
            (&job.git_commit).into(),
            (&job.git_branch).into(),
            (&facts.host).into(),
            (&facts.gpu).into(),
            facts.complete.into(),
            (&metadata).into(),
            clock::now_ms().into(),
        ],
    )
    .await?;
    let found_by = search_terms(job, &facts, repo.as_deref());
    insert_terms(tx, id, found_by).await?;
    let references: Vec<Vec<Value>> = facts
        .blobs
        .iter()
        .map(|digest| vec![digest.into(), id.into()])
        .collect();
    tx.insert_new("blob_references", "digest, job_id", &references)
        .await?;
    listings::refer(tx, id, &facts.collections).await?;
    Ok((id, true))
}

/// Lets a job be found by more terms.
///
/// # Errors
/// The database fails.
pub async fn insert_terms(
    tx: &mut Transaction,
    job_id: i64,
    terms: BTreeSet<String>,
) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value>> = terms
        .into_iter()
        .map(|term| vec![term.into(), job_id.into()])
        .collect();
    tx.insert_new("job_terms", "term, job_id", &rows).await?;
    Ok(())
}

/// The metadata as it is kept: what was sent, without credentials in URLs.
fn metadata_text(metadata: Option<&Json>) -> Option<String> {
    let text = match metadata? {
        Json::Null => return None,
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(facts::without_credentials(&text))
}

fn search_terms(job: &JobRequest, facts: &facts::Facts, repo: Option<&str>) -> BTreeSet<String> {
    let empty = String::new();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut found = terms::words(&job.command);
    found.extend(terms::field("command", &job.command));
    for (name, value) in [
        ("name", text(&facts.name)),
        ("host", text(&facts.host)),
        ("gpu", text(&facts.gpu)),
        ("repo", repo.unwrap_or(&empty).to_owned()),
        ("branch", text(&job.git_branch)),
    ] {
        found.extend(terms::words(&value));
        found.extend(terms::field(name, &value));
    }
    found.extend(terms::words(&facts.words));
    found.extend(terms::words(&job.job_uid));
    if let Some(commit) = &job.git_commit {
        found.extend(terms::words(commit));
        found.insert(terms::value("commit", commit));
    }
    if let Some(code) = job.exit_code {
        found.insert(terms::value("exit", &code.to_string()));
    }
    if let Some(launch) = &facts.launch {
        found.insert(launch_term(launch));
    }
    if job.exit_code != Some(0) {
        found.insert(terms::value("exit", "failed"));
    }
    found
}

/// The parts of a launch are found by its id.
fn launch_term(launch: &str) -> String {
    terms::value("launch", launch)
}

/// The other parts of the launch that a job is a part of, in the order of their rows: jobs of the same
/// owner, whatever database they came from, for nobody joins another one's launch. Who is anonymous is
/// many, so that there the session decides.
///
/// # Errors
/// The database fails.
pub async fn parts_of_launch(
    tx: &mut Transaction,
    viewer: Viewer,
    job_id: i64,
    launch: &str,
) -> Result<Vec<i64>, StoreError> {
    let rows = tx
        .query(
            "SELECT j.id FROM job_terms t JOIN jobs j ON j.id = t.job_id JOIN jobs k ON k.id = $1
             WHERE t.term = $2 AND j.id <> $1 AND j.owner_id = k.owner_id
             AND (j.owner_id <> 0 OR j.session_id = k.session_id)
             AND (j.public = 1 OR j.owner_id = $3) ORDER BY j.id LIMIT 256",
            &[job_id.into(), launch_term(launch).into(), viewer.into()],
        )
        .await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// The row of a session's job.
///
/// # Errors
/// The database fails.
pub async fn find(
    tx: &mut Transaction,
    session_id: i64,
    uid: &str,
) -> Result<Option<i64>, StoreError> {
    let row = tx
        .first(
            "SELECT id FROM jobs WHERE session_id = $1 AND uid = $2",
            &[session_id.into(), uid.into()],
        )
        .await?;
    row.map(|row| row.int(0)).transpose()
}

/// Columns that [`summary`] reads.
pub(super) const SUMMARY: &str = "SELECT j.id, j.uid, s.hash, j.step, j.kind, j.name, j.command,
     j.started_s, j.duration_s, j.exit_code, j.git_repo, j.git_commit, j.git_branch, j.host, j.gpu,
     j.complete, j.metadata, j.session_id FROM jobs j JOIN sessions s ON s.id = j.session_id";

pub(super) fn summary(row: &Row) -> Result<JobSummary, StoreError> {
    Ok(JobSummary {
        id: row.int(0)?,
        job_uid: row.text(1)?,
        session_hash: row.text(2)?,
        step_number: row.int_or_null(3)?,
        job_type: row.text(4)?,
        name: row.text_or_null(5)?,
        command: row.text(6)?,
        timestamp: row.real_or_null(7)?.unwrap_or_default(),
        duration_seconds: row.real_or_null(8)?,
        exit_code: row.int_or_null(9)?,
        git_repo: row.text_or_null(10)?,
        git_commit: row.text_or_null(11)?,
        git_branch: row.text_or_null(12)?,
        host: row.text_or_null(13)?,
        gpu: row.text_or_null(14)?,
        complete: row.int_or_null(15)?.map(|value| value == 1),
    })
}

/// A job without its files.
///
/// # Errors
/// The viewer sees no such job, or the database fails.
pub async fn seen(tx: &mut Transaction, viewer: Viewer, id: i64) -> Result<JobSummary, StoreError> {
    let row = tx
        .first(
            &format!("{SUMMARY} WHERE j.id = $1 AND (j.public = 1 OR j.owner_id = $2)"),
            &[id.into(), viewer.into()],
        )
        .await?;
    summary(&row.ok_or(StoreError::NotFound)?)
}

/// The rows of jobs with this uid that the viewer may see, newest first; of one session, if given.
///
/// # Errors
/// The database fails.
pub async fn visible(
    tx: &mut Transaction,
    viewer: Viewer,
    session_hash: Option<&str>,
    uid: &str,
) -> Result<Vec<i64>, StoreError> {
    let rows = tx
        .query(
            "SELECT j.id FROM jobs j JOIN sessions s ON s.id = j.session_id
             WHERE j.uid = $1 AND (j.public = 1 OR j.owner_id = $2)
             AND (CAST($3 AS TEXT) IS NULL OR s.hash = $3)
             ORDER BY CASE WHEN j.owner_id = $2 THEN 0 ELSE 1 END, j.id DESC LIMIT 20",
            &[uid.into(), viewer.into(), session_hash.into()],
        )
        .await?;
    rows.iter().map(|row| row.int(0)).collect()
}
