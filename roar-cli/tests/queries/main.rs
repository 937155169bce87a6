//! The commands that ask the record, run as a user runs them against a store of made-up jobs
//! whose files really are on disk.

mod dag;
mod diff;
mod documents;
mod hostile;
mod init;
mod lineage;
mod log;
mod narrow;
mod pop;
mod project;
mod published;
mod quiet;
mod reset;
mod show;
mod status;
mod verify;
