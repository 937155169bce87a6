//! The folder and file that the database lives in: made private, never followed through a link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::error::StoreError;
use crate::project::Project;

/// The smallest page, and so the smallest database, that SQLite knows.
const LEAST_PAGE_BYTES: u64 = 512;

/// What stands at the database's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A regular file with something in it.
    File,
}

/// The database's path, below the real (link-free) `.roar` of the project.
///
/// # Errors
/// `.roar` is a link or no directory, or is missing and `make` is not set or fails.
pub(super) fn database_path(project: &Project, make: bool) -> Result<PathBuf, StoreError> {
    let directory = project.directory();
    match fs::symlink_metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(metadata) => return Err(wrong_kind(directory, &metadata, "a folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
            make_private_directory(&directory)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing {
                path: project.database(),
            });
        }
        Err(error) => return Err(StoreError::from_io("look at", &directory, error)),
    }
    // SQLite refuses every link in the path it is given, so the folders above must be real ones.
    let real = fs::canonicalize(&directory)
        .map_err(|error| StoreError::from_io("resolve", &directory, error))?;
    Ok(real.join("roar.db"))
}

/// Looks at the database's place without opening it: an own descriptor on the file, once
/// closed, would drop the locks that another connection of this process holds on it.
///
/// # Errors
/// Something other than a regular file with content is there.
pub(super) fn inspect(path: &Path) -> Result<Found, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Err(wrong_kind(path.to_path_buf(), &metadata, "a database file"))
        }
        // SQLite would take such a file for a new database; roar never leaves one behind.
        Ok(metadata) if metadata.len() < LEAST_PAGE_BYTES => Err(StoreError::NotADatabase {
            path: path.to_path_buf(),
        }),
        Ok(_) => Ok(Found::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(StoreError::from_io("look at", path, error)),
    }
}

/// Makes a directory that only its owner may enter; one that is there already is left as it is.
pub(super) fn make_private_directory(path: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => Ok(()),
                Ok(metadata) => Err(wrong_kind(path.to_path_buf(), &metadata, "a folder")),
                Err(error) => Err(StoreError::from_io("look at", path, error)),
            }
        }
        result => result.map_err(|error| StoreError::from_io("make the folder", path, error)),
    }
}

/// A new empty file beside `path` that only its owner can read (mode 0600), removed on drop.
pub(super) fn private_temp_file(path: &Path, prefix: &str) -> Result<TempPath, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(prefix)
        .tempfile_in(folder)
        .map(tempfile::NamedTempFile::into_temp_path)
        .map_err(|error| StoreError::from_io("make a file in", folder, error))
}

/// Waits for an exclusive lock on `path` (made if missing) and holds it until dropped.
pub(super) fn lock_turn(path: &Path) -> Result<fs::File, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options
        .open(path)
        .map_err(|error| StoreError::from_io("open", path, error))?;
    #[cfg(unix)]
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| StoreError::from_io("lock", path, error.into()))?;
    Ok(file)
}

/// The folder that the database lives in, as far as it decides how the database is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file system's type, as mount(8) names it; none where that cannot be told.
    pub file_system: Option<String>,
    /// Shared between machines or served by a process: the database has no write-ahead log.
    pub is_network: bool,
    /// Whether this user may make files in the folder.
    pub is_writable: bool,
    /// Whether this user may put the marker of a running job in its place.
    pub takes_markers: bool,
}

impl Place {
    /// Looks at the project's folder; changes nothing.
    pub fn of(project: &Project) -> Self {
        let directory = project.directory();
        let markers = directory.join(super::running::FOLDER);
        Self {
            file_system: file_system(&directory),
            is_network: is_network(&directory),
            is_writable: is_writable(&directory),
            takes_markers: is_writable(if markers.exists() {
                &markers
            } else {
                &directory
            }),
        }
    }
}

#[cfg(unix)]
fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD};
    // As the effective user: under sudo, access(2) would ask for the real one.
    rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(not(unix))]
fn is_writable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| !metadata.permissions().readonly())
}

/// The type of a folder's file system: by the id of its mount (Linux 5.8), since on btrfs and
/// overlayfs the device number of a file is not that of its mount.
#[cfg(target_os = "linux")]
fn file_system(directory: &Path) -> Option<String> {
    use rustix::fs::{AtFlags, CWD, StatxFlags};
    let state = rustix::fs::statx(CWD, directory, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    let id = state.stx_mnt_id.to_string();
    let table = fs::read("/proc/self/mountinfo").ok()?;
    let table = String::from_utf8_lossy(&table);
    table.lines().find_map(|line| {
        let rest = line.strip_prefix(&id)?.strip_prefix(' ')?;
        let (_, rest) = rest.split_once(" - ")?;
        Some(rest.split(' ').next()?.to_owned())
    })
}

#[cfg(not(target_os = "linux"))]
fn file_system(_directory: &Path) -> Option<String> {
    None
}

/// Whether the file system is shared between machines or served by a process: SQLite's
/// write-ahead log needs memory shared by all its users and must not be used there
/// (<https://sqlite.org/wal.html>, "all processes must be on the same host").
#[cfg(target_os = "linux")]
pub(super) fn is_network(directory: &Path) -> bool {
    // Magic numbers of statfs(2) and the file systems' own headers.
    const NETWORK: [u32; 17] = [
        0x0000_6969, // NFS
        0x0000_517b, // SMB
        0xfe53_4d42, // SMB2
        0xff53_4d42, // CIFS
        0x6573_5546, // FUSE: sshfs, virtiofs and many more
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x6b41_4653, // kAFS
        0x7375_7245, // Coda
        0x0bd0_0bd0, // Lustre
        0x4750_4653, // GPFS
        0x1983_0326, // BeeGFS
        0x786f_4256, // VirtualBox shared folder
        0x0116_1970, // GFS2
        0x7461_636f, // OCFS2
        0x2003_0528, // OrangeFS
    ];
    rustix::fs::statfs(directory).is_ok_and(|stat| NETWORK.contains(&(stat.f_type as u32)))
}

/// Elsewhere every file system counts as local.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_network(_directory: &Path) -> bool {
    false
}

fn wrong_kind(path: PathBuf, metadata: &fs::Metadata, expected: &'static str) -> StoreError {
    let kind = metadata.file_type();
    let found = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_file() {
        "a file"
    } else {
        "a special file"
    };
    StoreError::WrongKind {
        path,
        found,
        expected,
    }
}
