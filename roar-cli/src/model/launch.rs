//! Distributed launches: many processes, on one machine or several, that are one step.

use serde::{Deserialize, Serialize};

/// The launch that a job is, or is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Launch {
    /// What started the ranks: `torchrun`, `accelerate`, `mpirun`, `srun`, …; `environment`
    /// where only variables tell.
    pub kind: String,
    /// Jobs with the same id are parts of one launch; none where the launch is this job alone.
    pub id: Option<String>,
    /// How many ranks there are on all machines.
    pub world_size: Option<u32>,
    /// The ranks that this job saw, in their order.
    pub ranks: Vec<Rank>,
    /// Processes that ended before it could be seen which rank they were.
    pub unseen: u32,
}

/// One rank.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rank {
    /// Its number among all.
    pub rank: u32,
    /// Its number on its machine.
    pub local_rank: Option<u32>,
    /// The process; none for the job itself.
    pub process: Option<u32>,
    /// The inputs of the job that it or its children read, by their places in the list.
    pub reads: Vec<u32>,
    /// The outputs of the job that it or its children wrote, by their places in the list.
    pub writes: Vec<u32>,
}
