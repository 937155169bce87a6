//! Graphics processors: what a machine has, and what a job used of them.

use serde::{Deserialize, Serialize};

/// A processor of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Its model.
    pub name: String,
    /// The maker's identifier of this very device.
    pub uuid: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
}

/// What one process used of one processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuUse {
    /// The processor, by its place in `HostFacts::gpus`.
    pub gpu: u32,
    /// The process.
    pub process: u32,
    /// The most memory that it was seen to hold, in bytes.
    pub peak_memory_bytes: u64,
    /// For how long it kept the processor busy, in nanoseconds, by samples; where the driver does
    /// not tell processes apart, for how long the processor was busy while it was there.
    pub busy_ns: u64,
}
