//! How long the write-ahead log gets.
//!
//! Whoever opens the database first reads the log from its beginning, so a long one costs every
//! command (2.3 µs a page where it was measured). SQLite moves a log of 1000 pages into the database at a commit, but
//! begins a new one only with the next write of somebody who has had the database open since. A run
//! writes once and ends: the log would grow with each run, and be moved again by each.
//!
//! So a run has a thread move it while its command runs, with the database open all along, and what
//! is written at its end begins the log anew. Where commands are always too short for that, the end
//! of a run does it, once in a while: it takes a few fsyncs.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::OpenFlags;

use super::database::{Store, connect};
use super::error::StoreError;

/// A file that is longer holds a log that is. A small job adds 32 KiB.
pub(super) const LONG_BYTES: u64 = 1 << 20;

/// From here on somebody waits for it.
const TOO_LONG_BYTES: u64 = 8 << 20;

impl Store {
    /// Has a thread shorten the log, if it is long: from the next write through this store on.
    /// `step_back` is the first thing that the thread does. If roar ends before it, the log is as
    /// it was.
    pub fn shorten_log_beside(&self, step_back: fn()) -> Option<JoinHandle<()>> {
        if self.log_bytes() <= LONG_BYTES {
            return None;
        }
        let path = self.path.clone();
        let shorten = move || {
            step_back();
            if let Ok(connection) = connect(
                &path,
                OpenFlags::SQLITE_OPEN_READ_WRITE,
                Duration::from_secs(1),
            ) {
                // Failing, it is left for the next one.
                drop(connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)"));
            }
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(shorten).ok()
    }

    /// Shortens the log, if it is far too long.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn shorten_log(&self) -> Result<(), StoreError> {
        self.shorten_log_above(TOO_LONG_BYTES)
    }

    pub(super) fn shorten_log_above(&self, bytes: u64) -> Result<(), StoreError> {
        if self.log_bytes() <= bytes {
            return Ok(());
        }
        // Where somebody is reading, it does what can be done, and waits for nobody.
        self.read("shorten the log", || {
            self.connection.busy_timeout(Duration::ZERO)?;
            let done = self
                .connection
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            self.connection.busy_timeout(self.lock_timeout)?;
            done
        })
    }

    /// None where there is no log.
    pub(super) fn log_bytes(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        PathBuf::from(log).metadata().map_or(0, |log| log.len())
    }
}
