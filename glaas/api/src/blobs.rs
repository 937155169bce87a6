//! Blobs: the contents that a job's document points to (patches, untracked files), by BLAKE3.
//!
//! `PUT /api/v1/blobs/{digest}` with the bytes as the body (`application/octet-stream`, signed):
//! the server hashes them and refuses others than the digest says. `GET` gives them back to
//! everyone who may see a job whose document names the digest and whose owner sent the blob.

use serde::{Deserialize, Serialize};

/// The largest blob in bytes that a server takes unless it is set up otherwise.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A blob that is there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlobStored {
    /// Its BLAKE3 digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the caller had not sent it before.
    pub created: bool,
}

/// Asks which blobs have to be sent; at most 1,000 digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingRequest {
    /// BLAKE3 digests.
    pub digests: Vec<String>,
}

/// Those that the caller has not sent yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Missing {
    /// BLAKE3 digests.
    pub missing: Vec<String>,
}
