//! From a lineage back to its contents, on a machine that may be another one, and the truth about
//! whether they are the same.
//!
//! - [`plan`] (pure) orders the jobs and says what they need; [`problems`], what is known to be
//!   impossible; [`trust`], what may be believed at all.
//! - [`places`] and [`rebase`] (pure) decide where the record's files are here, and what the
//!   commands say of them. Nothing that roar itself writes leaves the folder of the reproduction.
//! - [`secrets`] (pure) are arguments that no record has.
//! - [`inputs`] looks for what no job made, by content; [`machine`] for programs and packages.
//! - [`checkout`] and [`python`] make the tree and its environment; [`steps`] runs the jobs, and
//!   [`state`] remembers how far that got, so that it can go on after any interruption.
//! - [`verdict`] (pure) compares what came out with what was recorded.
//!
//! A lineage may come from a stranger: its paths, URLs, names and versions are checked before they
//! are used, and its commands are shown before they are run. What a command does once it was agreed
//! to is its own: roar confines its own hands, not the command's.

pub mod checkout;
pub mod error;
pub mod inputs;
pub mod machine;
mod patience;
pub mod places;
pub mod plan;
pub mod problems;
pub mod python;
pub mod rebase;
pub mod secrets;
pub mod state;
pub mod steps;
pub mod trust;
pub mod verdict;

pub use error::ReproduceError;
