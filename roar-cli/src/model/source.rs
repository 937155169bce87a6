//! Where downloaded inputs came from.

use serde::{Deserialize, Serialize};

/// A repository of a hub, of which a job read files.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct HubSource {
    /// `huggingface`, `kaggle` or `torch`.
    pub hub: String,
    /// What the hub calls it: `datasets/org/name`, `org/model`.
    pub name: String,
    /// The revision or version, where the cache tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many of the job's inputs are of it.
    pub files: u64,
}
