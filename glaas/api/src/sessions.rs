//! Sessions: the pipelines that jobs belong to.

use serde::{Deserialize, Serialize};

/// Who sees a session and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Visibility {
    /// Everyone who can reach the server.
    Public,
    /// The user who registered it.
    Private,
}

/// Registers a session; again with the same hash, it finds the caller's session of before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRequest {
    /// The session's hash, made by the client: 8 to 128 hexadecimal digits.
    pub hash: String,
    /// The remote's URL, without user info.
    pub git_repo: Option<String>,
    /// The commit.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// The server's default when left out. A session that is there keeps what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// The same as the newer client says it: `private` or `public`, or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_request: Option<serde_json::Value>,
}

/// The session that was made or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionCreated {
    /// Its hash.
    pub hash: String,
    /// Its web page.
    #[serde(default)]
    pub url: String,
    /// Whether it is new.
    #[serde(default)]
    pub created: bool,
}

/// Changes who sees a session; for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionChange {
    /// Who sees it from now on.
    pub visibility: Visibility,
}

/// A session as the server has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRecord {
    /// Its hash.
    pub hash: String,
    /// Its web page.
    #[serde(default)]
    pub url: String,
    /// The remote's URL.
    #[serde(default)]
    pub git_repo: Option<String>,
    /// The commit.
    #[serde(default)]
    pub git_commit: Option<String>,
    /// The branch.
    #[serde(default)]
    pub git_branch: Option<String>,
    /// Who sees it.
    #[serde(default)]
    pub visibility: Option<Visibility>,
    /// The name of the user who registered it.
    #[serde(default)]
    pub owner: Option<String>,
    /// When it was registered, in seconds since the Unix epoch.
    #[serde(default)]
    pub created_at: f64,
    /// How many jobs it has.
    #[serde(default)]
    pub job_count: u64,
    /// Its jobs in the order of their steps, without their files; empty in listings.
    #[serde(default)]
    pub jobs: Vec<crate::lineage::JobSummary>,
}
