//! The pure fold of trace events into an observation: process tree, file identities
//! and their names, accesses, completeness.
//!
//! No I/O, no clock, no environment: the same events give the same observation,
//! whether they come from the kernel or from a recorded log. Odd input (an event of an
//! unknown process, a rename of an unknown file) gives a value plus a gap, never a panic.

mod conclude;
mod files;
mod fold;
mod gaps;
mod names;
mod network;
mod observation;
mod paths;
mod processes;

pub use fold::Fold;
pub use observation::{
    FileKind, FileStamp, Input, InputCause, InputFate, Observation, ObservedFile, ObservedProcess,
    Output, PlacedDirectory, ProcessIndex, TemporaryFile, WriteEvidence,
};

#[cfg(test)]
mod tests;
