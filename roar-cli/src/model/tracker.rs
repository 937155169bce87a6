//! Runs of experiment trackers.

use serde::{Deserialize, Serialize};

use super::raw::RawString;

/// A tracker's run that a job wrote to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackedRun {
    /// `wandb`, `mlflow`, `tensorboard` or `neptune`.
    pub tracker: String,
    /// What the tracker calls the run.
    pub id: String,
    /// The folder, or the database, that the run was written to.
    pub folder: RawString,
    /// The name that the user gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The project or experiment that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Its page; none for what was kept on this machine only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
