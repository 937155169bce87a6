//! Labels of the newer client: free documents attached to sessions, jobs and artifacts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What became of labels that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelsStored {
    /// How many are new.
    pub created: u64,
    /// How many took another value.
    pub updated: u64,
    /// How many were as they are.
    pub unchanged: u64,
    /// What was refused, in words.
    pub errors: Vec<String>,
}

/// Labels as the client sends them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelBatch {
    /// One document each.
    pub labels: Vec<Value>,
}
