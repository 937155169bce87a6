//! The project's memory: the SQLite database `.roar/roar.db` and the markers of running jobs.
//!
//! It stores what it is handed and answers questions about it; it hashes nothing, asks no
//! clock, knows no settings and formats no text for users. Rows never leave this module:
//! callers see the types of `model` and the plain answers declared here.
//!
//! Format and crash guarantee. The schema version is `PRAGMA user_version` (migrations are
//! append-only, SCHEMA_CHANGES.md tells their history) and documents inside columns carry
//! their own. A job is written in one transaction: killed at any moment, the database holds
//! it whole or not at all, and every earlier job is intact. On a power cut the last jobs may
//! be missing, never damaged (write-ahead log, `synchronous=NORMAL`). The file appears under
//! its name only when its schema is complete, so that first users who arrive together agree.
//! A file that is not ours, damaged or newer is refused and left as it is, byte for byte.
//!
//! Several processes may use one project: readers never wait, writers take turns.

mod artifacts;
mod blobs;
mod cache;
mod collections;
mod database;
mod error;
mod files;
mod graph;
mod insert;
mod jobs;
mod log;
mod makers;
mod names;
mod origins;
mod place;
mod pop;
mod quiet;
mod registrations;
mod rows;
pub mod running;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
mod texts;

pub use artifacts::{ArtifactRow, ArtifactUse};
pub use blobs::Blobs;
pub use collections::{CollectionPlace, CollectionRow, JobCollection, ProducedCollection};
pub use database::{Store, StoreOptions};
pub use error::StoreError;
pub use files::{FileRef, JobWithFiles};
pub use graph::{ContentId, GraphFile, GraphJob, PathId};
pub use insert::RecordedJob;
pub use jobs::{JobQuery, JobSummary};
pub use makers::Makers;
pub use names::Names;
pub use place::Place;
