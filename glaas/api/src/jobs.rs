//! Jobs and the files they read and wrote, as clients register them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Files that one request may link to a job.
pub const MAX_LINKS: usize = 100;

/// Registers a job in a session; the same `job_uid` again changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobRequest {
    /// The command as a shell would take it.
    pub command: String,
    /// When it began, in seconds since the Unix epoch.
    pub timestamp: f64,
    /// The job's id, the client's choice, unique in its session.
    pub job_uid: String,
    /// The commit.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Its exit code; none when a signal ended it.
    pub exit_code: Option<i64>,
    /// `run` or `build`.
    pub job_type: Option<String>,
    /// Its step in the session, from 1.
    pub step_number: Option<i64>,
    /// The step that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_step_number: Option<i64>,
    /// A JSON document as a string; an object is taken, too. A roar of this project puts its
    /// [`crate::document::JobDocument`] there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Registers several jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobBatch {
    /// The jobs.
    pub jobs: Vec<JobRequest>,
}

/// The job that was made or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobCreated {
    /// The server's id.
    pub id: i64,
    /// The client's id.
    #[serde(default)]
    pub job_uid: String,
    /// Whether it is new.
    #[serde(default)]
    pub created: bool,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobsCreated {
    /// The server's ids by position; null where the job was refused.
    pub job_ids: Vec<Option<i64>>,
    /// Why, by position; null where the job was taken.
    pub errors: Vec<Option<String>>,
    /// How many are new.
    pub created_count: u64,
    /// How many were there.
    pub existing_count: u64,
}

/// Links files to a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkRequest {
    /// The files, at most [`MAX_LINKS`].
    pub artifacts: Vec<FileLink>,
}

/// A file that a job read or wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileLink {
    /// The content's hash: the one that the artifact was registered under, BLAKE3 where it has one.
    pub hash: String,
    /// The path, as the client shows it.
    pub path: Option<String>,
    /// The path in full, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_path: Option<crate::RawText>,
    /// The content's size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How the access was established: `read`, `written`, `mapped`, `executed`, `opened`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// What a reader must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How many inputs a request linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputsLinked {
    /// The number.
    pub inputs_linked: u64,
}

/// How many outputs a request linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputsLinked {
    /// The number.
    pub outputs_linked: u64,
}
