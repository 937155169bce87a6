//! The wire protocol of a GLaaS lineage server: what clients send, what servers answer.
//!
//! Types and names only. Nothing here knows HTTP, keys, databases or the clock, so that client and
//! server can both build on it. Paths are below the server's base URL and begin with
//! [`paths::PREFIX`]; bodies are JSON, except for blobs.
//!
//! Two generations of published clients speak this protocol. Their requests are [`sessions`],
//! [`jobs`], [`artifacts`] (0.2) and [`registration`], [`labels`] (0.4). Beyond theirs:
//!
//! - [`document::JobDocument`]: all that a job's record holds and `reproduce` needs. It travels
//!   inside the `metadata` string of a job, under the key [`document::KEY`], so that it passes
//!   through any server of the protocol.
//! - [`lineage::Closure`]: everything that led to an artifact, in one answer.
//! - blobs: patches and untracked files by content hash, see [`blobs`].
//! - [`members`]: what is in a folder of many files, apart from the job that has one link for it.
//! - [`keys`]: registration of SSH keys.
//!
//! Rules: a field that is missing takes its default and one that is unknown is ignored, so that
//! fields can be added. A document whose `version` is higher than the reader's is not guessed at.

pub mod artifacts;
pub mod auth;
pub mod blobs;
pub mod document;
pub mod envelope;
pub mod jobs;
pub mod keys;
pub mod labels;
pub mod lineage;
pub mod members;
pub mod paths;
pub mod raw;
pub mod registration;
pub mod search;
pub mod sessions;

pub use envelope::{Envelope, ErrorBody};
pub use raw::RawText;
