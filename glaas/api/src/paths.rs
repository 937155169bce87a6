//! Paths of the protocol. Each takes the parts that vary; hashes, uids and fingerprints need no
//! escaping but for the `/` and `+` of a fingerprint, which [`key`] takes care of.

/// What every path begins with.
pub const PREFIX: &str = "/api/v1";

/// `GET`: whether the server lives, and what it can do ([`crate::registration::Health`]).
pub const HEALTH: &str = "/api/v1/health";
/// `POST` a session ([`crate::sessions::SessionRequest`]); `GET` a page of them.
pub const SESSIONS: &str = "/api/v1/sessions";
/// `POST` one artifact ([`crate::artifacts::ArtifactRequest`]); `GET` a page of them.
pub const ARTIFACTS: &str = "/api/v1/artifacts";
/// `POST` several ([`crate::artifacts::ArtifactBatch`]).
pub const ARTIFACTS_BATCH: &str = "/api/v1/artifacts/batch";
/// `GET` with the fields of [`crate::search::JobQuery`] as the query.
pub const JOBS: &str = "/api/v1/jobs";
/// `POST` a public key, `GET` one's own.
pub const KEYS: &str = "/api/v1/keys";
/// `POST` opens a registration session.
pub const REGISTRATION_SESSIONS: &str = "/api/v1/registration-sessions";
/// `POST` digests: which blobs the server lacks ([`crate::blobs::MissingRequest`]).
pub const BLOBS_MISSING: &str = "/api/v1/blobs/missing";

/// `GET` a session, `PATCH` its visibility.
pub fn session(hash: &str) -> String {
    format!("{SESSIONS}/{hash}")
}

/// `POST` one job.
pub fn session_jobs(hash: &str) -> String {
    format!("{SESSIONS}/{hash}/jobs")
}

/// `POST` several jobs.
pub fn session_jobs_batch(hash: &str) -> String {
    format!("{SESSIONS}/{hash}/jobs/batch")
}

/// `POST` a job's inputs.
pub fn job_inputs(session: &str, job_uid: &str) -> String {
    format!("{SESSIONS}/{session}/jobs/{job_uid}/inputs")
}

/// `POST` a job's outputs.
pub fn job_outputs(session: &str, job_uid: &str) -> String {
    format!("{SESSIONS}/{session}/jobs/{job_uid}/outputs")
}

/// `GET` a job with its files ([`crate::lineage::ClosureJob`]).
pub fn session_job(session: &str, job_uid: &str) -> String {
    format!("{SESSIONS}/{session}/jobs/{job_uid}")
}

/// `GET` an artifact by a prefix of 8 digits or more.
pub fn artifact(prefix: &str) -> String {
    format!("{ARTIFACTS}/{prefix}")
}

/// `GET` everything that led to an artifact ([`crate::lineage::Closure`]).
pub fn artifact_closure(prefix: &str) -> String {
    format!("{ARTIFACTS}/{prefix}/closure")
}

/// `GET` the members of a collection ([`crate::members::Members`]); `?offset=…&limit=…`.
pub fn artifact_members(prefix: &str) -> String {
    format!("{ARTIFACTS}/{prefix}/members")
}

/// `GET` jobs and artifacts upstream ([`crate::lineage::Lineage`]); `?depth=1..10`.
pub fn artifact_lineage(prefix: &str) -> String {
    format!("{ARTIFACTS}/{prefix}/lineage")
}

/// `GET` the pipeline of an artifact as the 0.2 client reproduces it ([`crate::lineage::Dag`]).
pub fn artifact_dag(prefix: &str) -> String {
    format!("{ARTIFACTS}/{prefix}/dag")
}

/// `PUT` and `GET` content by its BLAKE3 digest.
pub fn blob(digest: &str) -> String {
    format!("{PREFIX}/blobs/{digest}")
}

/// `DELETE` revokes a key. The fingerprint's `/`, `+` and `:` are escaped.
pub fn key(fingerprint: &str) -> String {
    let escaped = fingerprint
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace(':', "%3A");
    format!("{KEYS}/{escaped}")
}

/// The web page of a session.
pub fn session_page(hash: &str) -> String {
    format!("/dag/{hash}")
}

/// The web page of an artifact.
pub fn artifact_page(hash: &str) -> String {
    format!("/artifact/{hash}")
}
