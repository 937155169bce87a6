//! The conditions that a job ran under, besides its files: what another machine has to provide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gpu::GpuUse;
use super::launch::Launch;
use super::network::Network;
use super::packages::Software;
use super::raw::RawString;
use super::source::HubSource;
use super::tracker::TrackedRun;

/// Everything around a job that is neither a file nor the machine. A document of the database:
/// fields may be added, and a missing one takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Environment variables of the command that are worth recording.
    pub environment: BTreeMap<String, RawString>,
    /// Where secrets were taken out of this record.
    pub redactions: Vec<Redaction>,
    /// The software that was used.
    pub software: Software,
    /// The distributed launch that the job is, or is a part of.
    pub launch: Option<Launch>,
    /// What it talked to.
    pub network: Network,
    /// What its processes used of graphics processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpu_use: Vec<GpuUse>,
    /// Hubs that its inputs were downloaded from.
    pub sources: Vec<HubSource>,
    /// Runs of experiment trackers that it wrote to.
    pub trackers: Vec<TrackedRun>,
}

/// A secret that was taken out of a record. What was there is not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Redaction {
    /// Where it was.
    #[serde(flatten)]
    pub place: RedactedPlace,
    /// What found it.
    pub detector: String,
}

/// A part of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum RedactedPlace {
    /// An argument of the command: to run it again, it has to be given.
    Argument {
        /// Its place in the command line, from 0.
        index: usize,
        /// The option it belongs to, as it was written.
        #[serde(skip_serializing_if = "Option::is_none")]
        option: Option<String>,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// The step's name.
    Name,
    /// The working directory.
    Folder,
    /// The remote, the branch or the work tree's place.
    Git,
    /// The patch of a dirty work tree: it gives another tree than the one that ran.
    Patch,
    /// A kept copy of a file that git does not track: it is another file than the one that was read.
    Untracked {
        /// Its path as the record has it.
        path: RawString,
    },
    /// Paths of files, or what is said of them.
    Files,
    /// The origins of packages.
    Packages,
    /// The launch's id.
    Launch,
    /// Names of machines.
    Network,
    /// What trackers call their runs.
    Trackers,
    /// A gap's description.
    Gaps,
}
