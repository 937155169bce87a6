//! Where jobs and files go: into a session of the caller's own, or into an open registration of the
//! newer client. What is done there is the same.

use glaas_api::jobs::{JobBatch, JobCreated, JobRequest, JobsCreated, LinkRequest};

use super::extract::{check_count, check_prefix, check_uid};
use super::jobs::{check, check_links};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiResult;
use crate::in_write;
use crate::store::links::{self, Role};
use crate::store::sessions::{self, Session};
use crate::store::{StoreError, Transaction, jobs as store};

/// Jobs that one request may bring.
const MAX_JOBS: usize = 1_000;

/// A session that the caller may write to.
#[derive(Debug)]
pub(super) enum Place {
    /// One of the owner's, by its hash.
    Own(i64, String),
    /// That of an open registration, by its row.
    Registration(i64),
}

impl Place {
    /// A session of the caller's.
    pub(super) fn own(app: &App, caller: &Caller, hash: &str) -> ApiResult<Self> {
        Ok(Self::Own(caller.owner(app)?, check_prefix(hash)?))
    }

    /// The registration that the caller's token opens.
    pub(super) async fn registration(app: &App, caller: &Caller, id: &str) -> ApiResult<Self> {
        let upload = super::registration::open_upload(app, caller, id).await?;
        Ok(Self::Registration(upload.session_id))
    }

    async fn session(&self, tx: &mut Transaction) -> Result<Session, StoreError> {
        match self {
            Self::Own(owner, hash) => own_session(tx, *owner, hash).await,
            Self::Registration(row) => sessions::by_id(tx, *row).await,
        }
    }

    /// Registers a job.
    pub(super) async fn add(&self, app: &App, job: JobRequest) -> ApiResult<JobCreated> {
        check(&job)?;
        let (id, created) = in_write!(app.database, tx => async {
            let session = self.session(tx).await?;
            store::insert(tx, &session, &job).await
        }.await)?;
        Ok(JobCreated {
            id,
            job_uid: job.job_uid,
            created,
        })
    }

    /// Registers those that are as they should be, and says of the others why not.
    pub(super) async fn add_all(&self, app: &App, batch: &JobBatch) -> ApiResult<JobsCreated> {
        check_count("jobs", batch.jobs.len(), MAX_JOBS)?;
        Ok(in_write!(app.database, tx => async {
            let session = self.session(tx).await?;
            let mut answer = JobsCreated::default();
            for job in &batch.jobs {
                if let Err(error) = check(job) {
                    answer.job_ids.push(None);
                    answer.errors.push(Some(error.message));
                    continue;
                }
                let (id, created) = store::insert(tx, &session, job).await?;
                if created {
                    answer.created_count += 1;
                } else {
                    answer.existing_count += 1;
                }
                answer.job_ids.push(Some(id));
                answer.errors.push(None);
            }
            Ok(answer)
        }.await)?)
    }

    /// Links files to a job, and says how many.
    pub(super) async fn link(
        &self,
        app: &App,
        uid: &str,
        role: Role,
        mut request: LinkRequest,
    ) -> ApiResult<u64> {
        check_uid(uid)?;
        check_links(&mut request.artifacts)?;
        Ok(in_write!(app.database, tx => async {
            let session = self.session(tx).await?;
            links::add(tx, &session, uid, role, &request.artifacts).await
        }.await)?)
    }
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
