//! What led to an artifact: in full ([`Closure`]), and in the older clients' forms.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::{ArtifactHash, ArtifactRecord};
use crate::document::JobDocument;

/// The version of [`Closure`].
pub const CLOSURE_VERSION: u32 = 1;

/// The most jobs that a closure has.
pub const MAX_CLOSURE_JOBS: usize = 10_000;

/// Everything that led to an artifact: its own producer, the producers of what that read, and so on,
/// build jobs of their sessions included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Closure {
    /// [`CLOSURE_VERSION`].
    pub version: u32,
    /// The artifact.
    pub artifact: ArtifactRecord,
    /// The jobs: build jobs first, then every job after those whose outputs it read.
    pub jobs: Vec<ClosureJob>,
    /// Hashes of inputs that no job here produced.
    pub unsourced: Vec<String>,
    /// Jobs that are left out because the closure has reached its limit; 0 when it is whole.
    pub hidden_jobs: u64,
}

/// A job with its files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClosureJob {
    /// What the protocol's own fields say.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The record in full; none for jobs of clients that send none, or of a newer version.
    pub document: Option<JobDocument>,
    /// What else came in `metadata`.
    pub metadata: Option<Value>,
    /// What it read, in recorded order.
    pub inputs: Vec<LinkedFile>,
    /// What it wrote, in recorded order.
    pub outputs: Vec<LinkedFile>,
}

/// A job without its files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// The server's id.
    pub id: i64,
    /// The client's id.
    pub job_uid: String,
    /// The session.
    pub session_hash: String,
    /// The step, from 1.
    pub step_number: Option<i64>,
    /// `run` or `build`.
    pub job_type: String,
    /// The step's name.
    pub name: Option<String>,
    /// The command as a shell would take it.
    pub command: String,
    /// When it began, in seconds since the Unix epoch.
    pub timestamp: f64,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The remote's URL.
    pub git_repo: Option<String>,
    /// The commit.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// The host's name.
    pub host: Option<String>,
    /// Names of its GPUs.
    pub gpu: Option<String>,
    /// Whether its record says that it is whole; none when nothing is said.
    pub complete: Option<bool>,
}

/// A file of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkedFile {
    /// The artifact's identity.
    pub hash: String,
    /// All hashes of it.
    pub hashes: Vec<ArtifactHash>,
    /// The path, as the client showed it.
    pub path: String,
    /// The path in full, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_path: Option<crate::RawText>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// How the access was established.
    pub basis: Option<String>,
    /// What a reader must know.
    pub note: Option<String>,
    /// Where the content came from, when from elsewhere.
    pub source_url: Option<String>,
}

/// Jobs and artifacts upstream of an artifact, to a depth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lineage {
    /// The artifact.
    pub artifact: ArtifactRecord,
    /// The jobs, producers first.
    pub jobs: Vec<ClosureJob>,
    /// The artifacts that they read and wrote.
    pub artifacts: Vec<LinkedFile>,
    /// The depth that was gone to.
    pub depth: u32,
    /// Jobs beyond it.
    pub hidden_jobs: u64,
}

/// A pipeline as the 0.2 client reproduces it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dag {
    /// The artifact.
    pub artifact: ArtifactRecord,
    /// The remote's URL.
    #[serde(rename = "gitRepo")]
    pub git_repo: Option<String>,
    /// The commit.
    #[serde(rename = "gitCommit")]
    pub git_commit: Option<String>,
    /// The branch.
    #[serde(rename = "gitBranch")]
    pub git_branch: Option<String>,
    /// The jobs in the order of their steps.
    pub jobs: Vec<DagJob>,
    /// The graph.
    pub dag: Value,
    /// Inputs that no job of the pipeline made.
    pub external_deps: Vec<LinkedFile>,
    /// Whether no job here made the artifact.
    pub is_external: bool,
}

/// A job of a [`Dag`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DagJob {
    /// The server's id.
    pub id: i64,
    /// The client's id.
    pub job_uid: String,
    /// The command.
    pub command: String,
    /// `run` or `build`.
    pub job_type: String,
    /// The step, from 1.
    pub step_number: Option<i64>,
    /// When it began, in seconds since the Unix epoch.
    pub timestamp: f64,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The commit.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// The JSON string that it was registered with.
    pub metadata: Option<String>,
    /// What it read.
    pub inputs: Vec<LinkedFile>,
    /// What it wrote.
    pub outputs: Vec<LinkedFile>,
}
