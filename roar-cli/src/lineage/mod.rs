//! What the record means: steps, their states, artifacts and where they came from.
//!
//! Everything here is a pure function of recorded jobs: no database, no file, no clock.
//! The store and the commands translate into [`Execution`]s; `present` draws what
//! comes out. Odd input (cycles by in-place updates, missing hashes, steps out of
//! order) gives a graph, never a panic.
//!
//! - [`identity`] decides which jobs are executions of the same step.
//! - [`graph`] links executions by the content and the places they exchanged.
//! - [`state`] says which steps are still true of the newest files.
//! - [`artifacts`] lists what the session produced, version by version.
//! - [`consequences()`] says what one execution means for the others.
//! - [`diff`] compares two jobs, layer by layer.
//! - [`order`] puts dependencies first.
//! - [`ancestry`] walks from one content back to its sources.
//! - [`portable`] frees records from their machine and orders them for running again.

pub mod ancestry;
pub mod artifacts;
pub mod consequences;
pub mod diff;
pub mod graph;
pub mod identity;
mod lines;
pub mod order;
pub mod portable;
pub mod state;
#[cfg(test)]
mod testing;

pub use artifacts::{ArtifactState, ArtifactVersion};
pub use consequences::{Consequences, StaleRead, consequences};
pub use graph::{Execution, Link, Place, SessionGraph, Source};
pub use identity::{is_part_of, step_identity};
pub use state::{StaleInput, StepState};
