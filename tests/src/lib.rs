//! The test harness: hermetic projects, the roar binary, workloads of known behaviour,
//! and an oracle that learns from strace what a command really did.
//!
//! Nothing here knows roar's own code: roar is a program that is run and whose `--json`
//! is read. What a test expects comes from the table of workloads ([`workload`]) and from
//! [`oracle`], which folds strace's output by its own rules.
#![cfg(unix)]

pub mod binary;
pub mod mount;
pub mod oracle;
pub mod postgres;
pub mod programs;
pub mod project;
pub mod proxy;
pub mod record;
pub mod redact;
pub mod require;
pub mod server;
pub mod terminal;
pub mod transcript;
pub mod user;
pub mod users;
pub mod workload;
