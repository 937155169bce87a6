//! Everything a user reads: the only place that prints or formats for people.
//!
//! Nothing here opens the store or reads the clock: commands hand over plain data, the
//! time and the [`Terminal`]. Text passes through [`RawString`]'s
//! inert form or [`shell`] quoting, so that a hostile name cannot drive a terminal; JSON
//! keeps every byte.

pub mod artifact;
pub mod collection;
mod conditions;
pub mod config;
pub mod dag;
mod dag_files;
mod dag_text;
pub mod diff;
mod diff_code;
pub mod doctor;
mod handed;
pub mod human;
pub mod job;
mod job_document;
mod layout;
pub mod lineage;
pub mod log;
mod members;
pub mod paths;
mod picture;
pub mod pop;
pub mod progress;
pub mod register;
pub mod report;
pub mod reproduce;
pub mod script;
pub mod sending;
pub mod session;
pub mod shell;
pub mod style;
pub mod table;
pub mod terminal;
#[cfg(target_os = "linux")]
pub mod timings;
pub mod ui;
pub mod verdict;
pub mod verify;
mod why;

pub use style::Style;
pub use terminal::Terminal;

use serde::Serialize;

use crate::model::RawString;

/// A document for machines: indented, one final newline.
pub(crate) fn json(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document)
        .expect("plain data with string keys always serialises");
    text.push('\n');
    text
}

/// Text that cannot drive a terminal.
pub(crate) fn inert(text: &str) -> String {
    RawString::from(text).to_string()
}
