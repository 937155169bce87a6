//! Facts around a run: content hashes, git, host, environment variables, packages, launches, network, and the selection of what counts.

pub mod environment;
pub mod git;
#[cfg(target_os = "linux")]
pub mod gpu;
pub mod hash;
pub mod host;
pub mod launch;
pub mod network;
pub mod notes;
pub mod packages;
pub mod select;
pub mod sources;
mod sqlite;
mod surroundings;
pub mod trackers;
