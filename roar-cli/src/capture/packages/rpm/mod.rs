//! rpm's database: the headers of all packages, in a SQLite database (`rpmdb.sqlite`), in rpm's own
//! form (`Packages.db`), or in the form before them (`Packages`, Berkeley DB, up to Red Hat 8).

mod bdb;
mod header;
mod ndb;

use std::path::{Path, PathBuf};

use super::index::{Listed, Merged, Package, hash};
use crate::capture::sqlite;

/// Folders of the database, newest custom first.
const FOLDERS: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];

const SQLITE: &str = "rpmdb.sqlite";
const NDB: &str = "Packages.db";
const BDB: &str = "Packages";

/// The database of this machine.
pub(super) fn database() -> Option<PathBuf> {
    let files = FOLDERS.iter().flat_map(|folder| {
        let folder = Path::new(folder);
        [SQLITE, NDB, BDB].map(|name| folder.join(name))
    });
    files.into_iter().find(|file| file.is_file())
}

/// A database and what its writers have not merged into it.
pub(super) fn with_log(database: PathBuf) -> Vec<PathBuf> {
    let log = sqlite::log_of(&database);
    vec![database, log]
}

/// Every package with its files; none when the database cannot be read.
pub(super) fn packages(database: &Path) -> Option<Vec<Listed>> {
    let merged = Merged::here();
    let read = |header: &[u8]| {
        let (package, files) = header::read(header)?;
        let real = files.iter().map(|path| hash(&merged.real(path)));
        Some((package, real.collect()))
    };
    if !database.ends_with(NDB) && !database.ends_with(BDB) {
        return in_sqlite(database, read);
    }
    let bytes = std::fs::read(database).ok()?;
    let listed: Vec<Listed> = if database.ends_with(NDB) {
        ndb::headers(&bytes).filter_map(read).collect()
    } else {
        let headers = bdb::headers(&bytes);
        headers.iter().filter_map(|header| read(header)).collect()
    };
    // One that was never used has no bytes; one with a head alone tells nothing, either.
    (!listed.is_empty() || bytes.is_empty()).then_some(listed)
}

fn in_sqlite<T>(database: &Path, read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    let connection = sqlite::open(database)?;
    let mut headers = connection.prepare("SELECT blob FROM Packages").ok()?;
    let mut rows = headers.query([]).ok()?;
    let (mut met, mut found) = (0, Vec::new());
    while let Some(row) = rows.next().ok()? {
        let header = row.get_ref(0).ok()?.as_blob().ok()?;
        met += 1;
        // Some are of keys, not of packages.
        found.extend(read(header));
    }
    (met == 0 || !found.is_empty()).then_some(found)
}
