//! Registration sessions of the newer client: all is sent under a token, then made final at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether the server lives, and what it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The server's name: `glaas`.
    pub service: String,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub features: Features,
}

/// What a server can do beyond the older protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Features {
    /// Of registration sessions.
    pub registration_sessions: RegistrationFeatures,
    /// Whether it takes and gives blobs and closures, and knows the signature scheme with a nonce.
    pub reproduction: bool,
    /// Whether it takes the members of collections in listings.
    pub members: bool,
    /// The largest blob in bytes; 0 without blobs.
    pub max_blob_bytes: u64,
    /// The largest JSON body in bytes; 0 when not said.
    pub max_body_bytes: u64,
}

/// What a server can do with registration sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationFeatures {
    /// Whether anyone may publish without a key.
    pub anonymous_public: bool,
    /// Whether the server's session hash counts, not the client's.
    pub finalize_server_authoritative_hash: bool,
}

/// Opens a registration session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationRequest {
    /// The client's id of it: the same again finds the same.
    pub client_session_id: Option<String>,
    /// `anonymous_public`, or none for the signer's own.
    pub mode: Option<String>,
}

/// The registration session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// Its id, a part of the paths that follow.
    pub registration_session_id: String,
    /// `open` or `finalized`.
    pub status: String,
    /// As asked for.
    pub mode: Option<String>,
    /// For the `Authorization` header: `RegistrationSession <token>`.
    pub registration_session_token: String,
}

/// What became of a batch of jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationJobs {
    /// The server's ids by position.
    pub job_ids: Vec<Option<i64>>,
    /// What was refused.
    pub errors: Vec<Value>,
    /// How many are new.
    pub created_count: u64,
    /// How many were there.
    pub existing_count: u64,
    /// Sessions in which the same jobs stand already.
    pub already_registered_session_hashes: Vec<String>,
    /// Always false: this server binds nothing in advance.
    pub existing_binding_prepared: bool,
}

/// What became of a batch of artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistrationArtifacts {
    /// How many are new to the registration.
    pub created: u64,
    /// How many were there.
    pub updated: u64,
    /// How many were refused, which the newer client adds up: none, since a batch is taken whole.
    pub errors: u64,
}

/// Makes a registration final.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinalizeRequest {
    /// The remote's URL.
    pub git_repo: Option<String>,
    /// The commit.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// `private` or `public`, or an object of the newer client's.
    pub scope_request: Option<Value>,
    /// How many `jobs`, `inputs`, `outputs` the client sent; the server refuses other numbers.
    pub expected: BTreeMap<String, Value>,
}

/// The session that it became.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finalized {
    /// The session's hash, the server's own.
    pub hash: String,
    /// Its web page.
    pub url: String,
    /// Whether it is new.
    pub created: bool,
}
