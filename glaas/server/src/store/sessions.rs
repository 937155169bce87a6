//! Sessions.

use glaas_api::lineage::JobSummary;
use glaas_api::sessions::{SessionRecord, SessionRequest, Visibility};

use super::{Row, StoreError, Transaction, Value, Viewer, ids, jobs};
use crate::clock;

/// A session's row.
#[derive(Clone, Debug)]
pub struct Session {
    /// The row.
    pub id: i64,
    /// Whose it is.
    pub owner_id: i64,
    /// Its hash.
    pub hash: String,
    /// Whether everyone sees it.
    pub public: bool,
}

/// Makes the caller's session of this hash, or finds it: what is there stays.
///
/// # Errors
/// The database fails.
pub async fn upsert(
    tx: &mut Transaction,
    owner_id: i64,
    request: &SessionRequest,
    public: bool,
) -> Result<(Session, bool), StoreError> {
    let created = tx
        .insert_new(
            "sessions",
            "id, owner_id, hash, git_repo, git_commit, git_branch, public, created_ms",
            &[vec![
                ids::next().into(),
                owner_id.into(),
                (&request.hash).into(),
                (&request.git_repo).into(),
                (&request.git_commit).into(),
                (&request.git_branch).into(),
                public.into(),
                clock::now_ms().into(),
            ]],
        )
        .await?;
    let session = owned(tx, owner_id, &request.hash).await?;
    Ok((session.ok_or(StoreError::NotFound)?, created > 0))
}

/// The owner's session of this hash.
///
/// # Errors
/// The database fails.
pub async fn owned(
    tx: &mut Transaction,
    owner_id: i64,
    hash: &str,
) -> Result<Option<Session>, StoreError> {
    let row = tx
        .first(
            "SELECT id, owner_id, hash, public FROM sessions WHERE owner_id = $1 AND hash = $2",
            &[owner_id.into(), hash.into()],
        )
        .await?;
    row.as_ref().map(session).transpose()
}

/// A session by its row.
///
/// # Errors
/// There is none, or the database fails.
pub async fn by_id(tx: &mut Transaction, id: i64) -> Result<Session, StoreError> {
    let row = tx
        .first(
            "SELECT id, owner_id, hash, public FROM sessions WHERE id = $1",
            &[id.into()],
        )
        .await?;
    session(&row.ok_or(StoreError::NotFound)?)
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.int(0)?,
        owner_id: row.int(1)?,
        hash: row.text(2)?,
        public: row.int(3)? == 1,
    })
}

/// The hashes of sessions that begin so and that the viewer may see; at most `limit`.
///
/// # Errors
/// The database fails.
pub async fn with_prefix(
    tx: &mut Transaction,
    viewer: Viewer,
    prefix: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let rows = tx
        .query(
            "SELECT DISTINCT hash FROM sessions WHERE hash >= $1 AND hash < $2
             AND (public = 1 OR owner_id = $3) ORDER BY hash LIMIT $4",
            &[
                prefix.into(),
                super::terms::after(prefix).into(),
                viewer.into(),
                limit.into(),
            ],
        )
        .await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// A session that the viewer may see, with its jobs: the viewer's own before others'.
///
/// # Errors
/// There is none for this viewer, or the database fails.
pub async fn visible(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
) -> Result<SessionRecord, StoreError> {
    let row = tx
        .first(
            &format!(
                "{RECORD} WHERE s.hash = $2 AND (s.public = 1 OR s.owner_id = $1)
                 ORDER BY CASE WHEN s.owner_id = $1 THEN 0 ELSE 1 END, s.id LIMIT 1"
            ),
            &[viewer.into(), hash.into()],
        )
        .await?;
    let row = row.ok_or(StoreError::NotFound)?;
    let mut record = record(&row)?;
    record.jobs = jobs_of(tx, row.int(0)?).await?;
    record.job_count = record.jobs.len() as u64;
    Ok(record)
}

const RECORD: &str = "SELECT s.id, s.hash, s.git_repo, s.git_commit, s.git_branch, s.public,
     u.name, s.created_ms, (SELECT count(*) FROM jobs j WHERE j.session_id = s.id)
     FROM sessions s JOIN users u ON u.id = s.owner_id";

fn record(row: &Row) -> Result<SessionRecord, StoreError> {
    let public = row.int(5)? == 1;
    Ok(SessionRecord {
        hash: row.text(1)?,
        url: String::new(),
        git_repo: row.text_or_null(2)?,
        git_commit: row.text_or_null(3)?,
        git_branch: row.text_or_null(4)?,
        visibility: Some(if public {
            Visibility::Public
        } else {
            Visibility::Private
        }),
        owner: Some(row.text(6)?),
        created_at: clock::seconds(row.int(7)?),
        job_count: row.int(8)?.unsigned_abs(),
        jobs: Vec::new(),
    })
}

/// The jobs of a session in the order of their steps.
///
/// # Errors
/// The database fails.
pub async fn jobs_of(tx: &mut Transaction, session_id: i64) -> Result<Vec<JobSummary>, StoreError> {
    let rows = tx
        .query(
            &format!(
                "{} WHERE j.session_id = $1 ORDER BY j.kind, j.step, j.started_s, j.id",
                jobs::SUMMARY
            ),
            &[session_id.into()],
        )
        .await?;
    rows.iter().map(jobs::summary).collect()
}

/// Sessions that the viewer may see, newest first, before the row `before`.
///
/// # Errors
/// The database fails.
pub async fn page(
    tx: &mut Transaction,
    viewer: Viewer,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, SessionRecord)>, StoreError> {
    let rows = tx
        .query(
            &format!(
                "{RECORD} WHERE (s.public = 1 OR s.owner_id = $1) AND s.id < $2
                 ORDER BY s.id DESC LIMIT $3"
            ),
            &[viewer.into(), before.into(), limit.into()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, record(row)?)))
        .collect()
}

/// Changes who sees a session and all that is in it.
///
/// # Errors
/// The caller has no such session, or the database fails.
pub async fn set_visibility(
    tx: &mut Transaction,
    owner_id: i64,
    hash: &str,
    public: bool,
) -> Result<(), StoreError> {
    let session = owned(tx, owner_id, hash).await?;
    let session = session.ok_or(StoreError::NotFound)?;
    let values: [Value; 2] = [public.into(), session.id.into()];
    for sql in [
        "UPDATE sessions SET public = $1 WHERE id = $2",
        "UPDATE jobs SET public = $1 WHERE session_id = $2",
        "UPDATE registrations SET public = $1 WHERE session_id = $2",
    ] {
        tx.execute(sql, &values).await?;
    }
    Ok(())
}

/// Sets what git said, where nothing was said yet.
///
/// # Errors
/// The database fails.
pub async fn set_git(
    tx: &mut Transaction,
    id: i64,
    repo: Option<&str>,
    commit: Option<&str>,
    branch: Option<&str>,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE sessions SET git_repo = coalesce(git_repo, $1),
         git_commit = coalesce(git_commit, $2), git_branch = coalesce(git_branch, $3) WHERE id = $4",
        &[repo.into(), commit.into(), branch.into(), id.into()],
    )
    .await?;
    Ok(())
}
