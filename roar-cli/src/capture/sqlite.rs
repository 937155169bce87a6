//! Other programs' SQLite databases, read without leaving a trace: no lock is waited for, no file is
//! made beside them, nothing is written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Opens a database for reading; none where it is not there, or not to be read.
pub(super) fn open(path: &Path) -> Option<Connection> {
    if !path.is_file() {
        return None;
    }
    let has_log = log_of(path).metadata().is_ok_and(|log| log.len() > 0);
    let mut uri = "file:".to_owned();
    for c in path.to_str()?.chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            c => uri.push(c),
        }
    }
    // What its writers have not merged yet is not to be missed; else nothing need be locked.
    uri.push_str(if has_log { "?mode=ro" } else { "?immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).ok()?;
    connection.busy_timeout(Duration::ZERO).ok()?;
    Some(connection)
}

/// The write-ahead log of a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
