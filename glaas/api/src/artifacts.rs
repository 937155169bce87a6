//! Artifacts: contents, known by their hashes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many bytes of JSON clients put into one batch.
pub const BATCH_BYTES: usize = 90 * 1024;

/// The least number of digits of a hash prefix.
pub const MIN_PREFIX: usize = 8;

/// A digest and the algorithm that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactHash {
    /// `blake3`, `sha256`, `sha512`, `md5`, …
    pub algorithm: String,
    /// In hexadecimal.
    pub digest: String,
}

/// Registers an artifact in a session; again, it changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactRequest {
    /// Its hashes. BLAKE3 is the identity, else the first.
    pub hashes: Vec<ArtifactHash>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Where it came from: `s3`, `gs`, `https`, `hf`; null for a file.
    pub source_type: Option<String>,
    /// The session it is registered in.
    pub session_hash: Option<String>,
    /// Its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// A JSON document, as a string or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Registers several artifacts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactBatch {
    /// The artifacts.
    pub artifacts: Vec<ArtifactRequest>,
    /// The session of those that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_hash: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactsCreated {
    /// How many the caller's session did not have before.
    pub created: u64,
    /// How many it had.
    pub existing: u64,
    /// What was refused, in words.
    pub errors: Vec<String>,
}

/// An artifact as the server has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactRecord {
    /// The server's id.
    pub id: i64,
    /// The identity: BLAKE3 where there is one.
    pub hash: String,
    /// All hashes.
    pub hashes: Vec<ArtifactHash>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Where it came from.
    pub source_type: Option<String>,
    /// Its URL.
    pub source_url: Option<String>,
    /// The session in which it was first registered, of those that the caller may see.
    pub session_hash: Option<String>,
    /// A path at which a job met it.
    pub path: Option<String>,
    /// When it was registered, in seconds since the Unix epoch.
    pub created_at: f64,
    /// The JSON document it came with.
    pub metadata: Option<Value>,
}
