//! Sending a bundle: in parts, each of which may be sent twice, each remembered once it arrived.

use glaas_api::artifacts::{ArtifactBatch, ArtifactsCreated, BATCH_BYTES};
use glaas_api::blobs::{Missing, MissingRequest};
use glaas_api::jobs::{FileLink, JobBatch, JobRequest, JobsCreated, LinkRequest, MAX_LINKS};
use glaas_api::paths;
use glaas_api::sessions::{SessionChange, SessionCreated};

use super::bundle::{Bundle, batches};
use super::client::Client;
use super::error::RegisterError;
use crate::model::Digest;

/// Jobs in one request.
const JOBS: usize = 50;
/// Digests in one question.
const DIGESTS: usize = 1000;

/// Remembers which parts have arrived.
pub trait Memory {
    /// Whether a part of this session arrived before.
    ///
    /// # Errors
    /// The memory cannot be read.
    fn has(&self, session: &str, part: &str) -> Result<bool, RegisterError>;

    /// A part arrived.
    ///
    /// # Errors
    /// The memory cannot be written.
    fn add(&mut self, session: &str, part: &str) -> Result<(), RegisterError>;

    /// The server knows nothing of this session.
    ///
    /// # Errors
    /// The memory cannot be written.
    fn forget(&mut self, session: &str) -> Result<(), RegisterError>;
}

/// The part that stands for all.
pub const WHOLE: &str = "whole";

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Everything had arrived before.
    pub was_there: bool,
    /// Kept contents that the server does not take, with the reason.
    pub withheld: Vec<(Digest, String)>,
}

/// Sends a bundle; `content` gives kept contents, `step` is called after every request that counts.
///
/// # Errors
/// The server does not answer or refuses. What has arrived is not sent again next time.
pub fn send(
    client: &Client,
    bundle: &Bundle,
    content: &dyn Fn(&Digest) -> Option<Vec<u8>>,
    memory: &mut dyn Memory,
    step: &dyn Fn(),
) -> Result<Sent, RegisterError> {
    let features = client.features()?;
    let session = bundle.session.hash.as_str();
    let created: SessionCreated = client.post(
        paths::SESSIONS,
        &bundle.session,
        SessionCreated {
            hash: session.to_owned(),
            url: String::new(),
            created: true,
        },
    )?;
    if let Some(visibility) = bundle.session.visibility.filter(|_| !created.created)
        && features.reproduction
    {
        // One that is there keeps what it has until it is told otherwise.
        client.patch(&paths::session(session), &SessionChange { visibility })?;
    }
    if created.created {
        memory.forget(session)?;
    } else if memory.has(session, WHOLE)? {
        return Ok(Sent {
            was_there: true,
            ..Sent::default()
        });
    }
    step();
    let mut parts = Parts {
        client,
        session,
        memory,
        step,
    };
    let withheld = if features.reproduction {
        parts.contents(bundle, features.max_blob_bytes, content)?
    } else {
        let reason = "the server takes no contents".to_owned();
        let all = bundle.blobs.iter();
        all.map(|digest| (digest.clone(), reason.clone())).collect()
    };
    parts.jobs(bundle)?;
    parts.artifacts(bundle)?;
    parts.links(bundle)?;
    parts.memory.add(session, WHOLE)?;
    Ok(Sent {
        was_there: false,
        withheld,
    })
}

struct Parts<'a> {
    client: &'a Client,
    session: &'a str,
    memory: &'a mut dyn Memory,
    step: &'a dyn Fn(),
}

impl Parts<'_> {
    /// Does the work of a part unless it has arrived before.
    fn once(
        &mut self,
        part: &str,
        work: impl FnOnce(&Client, &str) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        if !self.memory.has(self.session, part)? {
            work(self.client, self.session)?;
            self.memory.add(self.session, part)?;
        }
        (self.step)();
        Ok(())
    }

    fn contents(
        &mut self,
        bundle: &Bundle,
        limit_bytes: u64,
        content: &dyn Fn(&Digest) -> Option<Vec<u8>>,
    ) -> Result<Vec<(Digest, String)>, RegisterError> {
        let mut withheld = Vec::new();
        let all: Vec<&Digest> = bundle.blobs.iter().chain(bundle.listings.keys()).collect();
        for digests in all.chunks(DIGESTS) {
            let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
            let all = Missing {
                missing: digests.clone(),
            };
            let Missing { missing } =
                self.client
                    .post(paths::BLOBS_MISSING, &MissingRequest { digests }, all)?;
            (self.step)();
            for digest in missing.into_iter().map(Digest::from_hex) {
                let listed = || bundle.listings.get(&digest).cloned();
                let Some(bytes) = content(&digest).or_else(listed) else {
                    withheld.push((digest, "it is not here any more".to_owned()));
                    continue;
                };
                if limit_bytes > 0 && bytes.len() as u64 > limit_bytes {
                    let reason = format!("the server takes {limit_bytes} bytes at most");
                    withheld.push((digest, reason));
                    continue;
                }
                match self.client.put(&digest, bytes) {
                    Err(RegisterError::Secrets { detectors, .. }) => {
                        withheld.push((digest, format!("it holds secrets ({detectors})")));
                    }
                    other => other?,
                }
                (self.step)();
            }
        }
        Ok(withheld)
    }

    fn jobs(&mut self, bundle: &Bundle) -> Result<(), RegisterError> {
        let requests: Vec<JobRequest> = bundle.jobs.iter().map(|job| job.request.clone()).collect();
        for (number, batch) in batches(&requests, JOBS, BATCH_BYTES)
            .into_iter()
            .enumerate()
        {
            self.once(&format!("jobs {number}"), |client, session| {
                let path = paths::session_jobs_batch(session);
                let jobs = batch.to_vec();
                let JobsCreated { errors, .. } =
                    client.post(&path, &JobBatch { jobs }, JobsCreated::default())?;
                refused(client, &path, errors.into_iter().flatten())
            })?;
        }
        Ok(())
    }

    fn artifacts(&mut self, bundle: &Bundle) -> Result<(), RegisterError> {
        let all = batches(&bundle.artifacts, usize::MAX, BATCH_BYTES - 1024);
        for (number, batch) in all.into_iter().enumerate() {
            self.once(&format!("artifacts {number}"), |client, session| {
                let document = ArtifactBatch {
                    artifacts: batch.to_vec(),
                    session_hash: Some(session.to_owned()),
                };
                let ArtifactsCreated { errors, .. } = client.post(
                    paths::ARTIFACTS_BATCH,
                    &document,
                    ArtifactsCreated::default(),
                )?;
                refused(client, paths::ARTIFACTS_BATCH, errors.into_iter())
            })?;
        }
        Ok(())
    }

    fn links(&mut self, bundle: &Bundle) -> Result<(), RegisterError> {
        for job in &bundle.jobs {
            let uid = job.request.job_uid.as_str();
            self.linked(&job.inputs, &format!("inputs {uid}"), |session| {
                paths::job_inputs(session, uid)
            })?;
            self.linked(&job.outputs, &format!("outputs {uid}"), |session| {
                paths::job_outputs(session, uid)
            })?;
        }
        Ok(())
    }

    fn linked(
        &mut self,
        links: &[FileLink],
        part: &str,
        path: impl Fn(&str) -> String,
    ) -> Result<(), RegisterError> {
        for (number, batch) in batches(links, MAX_LINKS, BATCH_BYTES)
            .into_iter()
            .enumerate()
        {
            self.once(&format!("{part} {number}"), |client, session| {
                let artifacts = batch.to_vec();
                client
                    .post(
                        &path(session),
                        &LinkRequest { artifacts },
                        serde_json::Value::Null,
                    )
                    .map(drop)
            })?;
        }
        Ok(())
    }
}

/// A batch of which the server took only a part.
fn refused(
    client: &Client,
    path: &str,
    errors: impl Iterator<Item = String>,
) -> Result<(), RegisterError> {
    let errors: Vec<String> = errors.collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(RegisterError::Refused {
        server: client.server().to_owned(),
        status: 200,
        code: None,
        message: format!(
            "of what was sent to {path}, it did not take everything: {}",
            crate::model::RawString::from(errors.join("; "))
        ),
        candidates: Vec::new(),
        retry_after: None,
    })
}
