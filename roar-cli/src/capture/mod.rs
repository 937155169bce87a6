//! Facts around a run: content hashes, git, host, and the selection of what counts.

pub mod git;
pub mod hash;
pub mod host;
pub mod select;
