//! Searching jobs and artifacts. Each field is a parameter of the query string; all that are given
//! must hold. An empty value is as none.

use serde::{Deserialize, Serialize};

/// How many results a page has unless asked otherwise.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most results on one page.
pub const MAX_LIMIT: u32 = 200;

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct JobQuery {
    /// Words found anywhere in a job: command, name, paths, host, GPU, git. `word*` finds beginnings.
    pub q: Option<String>,
    /// Words of the command.
    pub command: Option<String>,
    /// A part of a GPU's name.
    pub gpu: Option<String>,
    /// The host's name.
    pub host: Option<String>,
    /// A part of the repository's URL.
    pub repo: Option<String>,
    /// The beginning of the commit.
    pub commit: Option<String>,
    /// `0`, `failed`, or an exit code.
    pub exit: Option<String>,
    /// Not before this day (`2026-11-25`, UTC).
    pub since: Option<String>,
    /// Not after this day.
    pub until: Option<String>,
    /// Results on a page, at most [`MAX_LIMIT`].
    pub limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// Which artifacts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ArtifactQuery {
    /// Words of a path. `word*` finds beginnings.
    pub q: Option<String>,
    /// The file's name, whole.
    pub name: Option<String>,
    /// The name's extension, without the dot.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", param(rename = "type"))]
    pub kind: Option<String>,
    /// The beginning of a hash.
    pub hash: Option<String>,
    /// The least size in bytes.
    pub min_size: Option<String>,
    /// The greatest size in bytes.
    pub max_size: Option<String>,
    /// Not registered before this day (`2026-11-25`, UTC).
    pub since: Option<String>,
    /// Not registered after this day.
    pub until: Option<String>,
    /// Results on a page, at most [`MAX_LIMIT`].
    pub limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
}

/// One page of results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The results, newest first.
    pub items: Vec<T>,
    /// The `cursor` of the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}
