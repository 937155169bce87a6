//! roar: run observation and artifact registration.
//!
//! `roar run COMMAND` watches which files a command's whole process tree reads and
//! writes, hashes them and records the job; everything else asks that record. The
//! binary is a thin shell around this library; ARCHITECTURE.md is the map.

pub mod capture;
pub mod clock;
pub mod commands;
pub mod diagnosis;
pub mod discard;
pub mod error;
pub mod event;
#[cfg(target_os = "linux")]
pub mod installation;
pub mod lineage;
pub mod model;
pub mod observe;
pub mod present;
#[cfg(target_os = "linux")]
pub mod privilege;
pub mod project;
pub mod recording;
pub mod redact;
pub mod register;
pub mod reproduce;
pub mod settings;
pub mod store;
#[cfg(target_os = "linux")]
pub mod timings;
pub mod trace;
