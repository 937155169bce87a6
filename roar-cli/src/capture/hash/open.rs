//! Opening a file to hash it without ever blocking, following or touching its access time.

use std::fs::File;
use std::io;

use super::settled::FileSystem;
use crate::model::CacheKey;

/// Why a file has no hash, in words for the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unhashed {
    /// Nothing is there (any more).
    #[error("no longer exists")]
    Missing,
    /// Not ours to read.
    #[error("permission denied")]
    Denied,
    /// A symbolic link.
    #[error("is a symbolic link")]
    Symlink,
    /// A directory.
    #[error("is a directory")]
    Directory,
    /// A named pipe.
    #[error("is a named pipe")]
    Fifo,
    /// A socket.
    #[error("is a socket")]
    Socket,
    /// A device.
    #[error("is a device")]
    Device,
    /// Made by the kernel as it is read (`/proc`, `/sys`).
    #[error("is made by the kernel, not stored")]
    Kernel,
    /// Whoever asked for the hash wanted it no more.
    #[error("hashing was interrupted")]
    Interrupted,
    /// Reading failed otherwise.
    #[error("cannot be read: {0}")]
    Io(String),
}

impl From<io::Error> for Unhashed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            // What a system call answers to a signal is tried again and does not get here.
            io::ErrorKind::Interrupted => Self::Interrupted,
            _ => Self::Io(error.to_string()),
        }
    }
}

/// A regular file, open for reading, and its state at that moment.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) state: CacheKey,
    pub(super) file_system: FileSystem,
    /// Fewer bytes are stored than the file is long.
    pub(super) sparse: bool,
}

/// A file's state beside what only the kernel's own number of its mount tells.
#[cfg(target_os = "linux")]
pub(super) struct Mounted {
    pub(super) state: CacheKey,
    /// As in `/proc/self/mountinfo`; none before Linux 5.8.
    pub(super) mount_id: Option<u64>,
}

#[cfg(target_os = "linux")]
pub(super) use linux::{look, look_with_mount, open, state};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{look, open, state};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags, StatxTimestamp};
    use rustix::io::Errno;

    use super::super::settled::{FileSystem, classify};
    use super::{Mounted, Opened, Unhashed};
    use crate::model::CacheKey;

    /// The state of the regular file at `path`, by one system call.
    ///
    /// # Errors
    /// It is not a regular file, or cannot be looked at.
    pub(in super::super) fn look(path: &Path) -> Result<CacheKey, Unhashed> {
        look_with_mount(path).map(|mounted| mounted.state)
    }

    /// The state of the regular file at `path` and the mount it is on, by one system call.
    ///
    /// # Errors
    /// It is not a regular file, or cannot be looked at.
    pub(in super::super) fn look_with_mount(path: &Path) -> Result<Mounted, Unhashed> {
        let stat = stat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
        regular(&stat)?;
        let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Ok(Mounted {
            state: key(&stat),
            mount_id: has_mount.then_some(stat.stx_mnt_id),
        })
    }

    /// Opens the regular file at `path`.
    ///
    /// O_NONBLOCK because the path may name a FIFO by now, even if it did not a moment ago.
    ///
    /// # Errors
    /// It is not a regular file with stored content, or cannot be opened.
    pub(in super::super) fn open(path: &Path) -> Result<Opened, Unhashed> {
        let flags = OFlags::RDONLY
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::NOATIME;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            // Only a file's owner may leave its access time alone.
            Err(Errno::PERM) => rustix::fs::open(path, flags - OFlags::NOATIME, Mode::empty()),
            result => result,
        };
        let file = File::from(file.map_err(|errno| match errno {
            Errno::LOOP => Unhashed::Symlink,
            Errno::NXIO => Unhashed::Socket,
            errno => io::Error::from(errno).into(),
        })?);
        let stat = stat(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?;
        regular(&stat)?;
        let magic = rustix::fs::fstatfs(&file).map_err(io::Error::from)?.f_type;
        let file_system = classify(magic as u32);
        if file_system == FileSystem::Kernel {
            return Err(Unhashed::Kernel);
        }
        Ok(Opened {
            file,
            state: key(&stat),
            file_system,
            sparse: stat.stx_blocks.saturating_mul(512) < stat.stx_size,
        })
    }

    /// The state of an open file.
    ///
    /// # Errors
    /// The system cannot tell (a network file that is gone on the server).
    pub(in super::super) fn state(file: &File) -> io::Result<CacheKey> {
        Ok(key(&stat(
            file.as_fd(),
            Path::new(""),
            AtFlags::EMPTY_PATH,
        )?))
    }

    /// STATX_FORCE_SYNC: a network client must ask its server, not its attribute cache. Local file
    /// systems answer the same with or without it.
    fn stat(directory: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> io::Result<Statx> {
        Ok(rustix::fs::statx(
            directory,
            path,
            flags | AtFlags::STATX_FORCE_SYNC,
            StatxFlags::BASIC_STATS | StatxFlags::MNT_ID,
        )?)
    }

    fn regular(stat: &Statx) -> Result<(), Unhashed> {
        match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            FileType::RegularFile => Ok(()),
            FileType::Directory => Err(Unhashed::Directory),
            FileType::Symlink => Err(Unhashed::Symlink),
            FileType::Fifo => Err(Unhashed::Fifo),
            FileType::Socket => Err(Unhashed::Socket),
            FileType::CharacterDevice | FileType::BlockDevice => Err(Unhashed::Device),
            FileType::Unknown => Err(Unhashed::Io("of an unknown file type".to_owned())),
        }
    }

    fn key(stat: &Statx) -> CacheKey {
        CacheKey {
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            size_bytes: stat.stx_size,
            mtime_ns: nanoseconds(&stat.stx_mtime),
            ctime_ns: nanoseconds(&stat.stx_ctime),
        }
    }

    /// Saturates at the years 1677 and 2262; a file that far off is never settled.
    fn nanoseconds(time: &StatxTimestamp) -> i64 {
        time.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::from(time.tv_nsec))
    }
}

/// Where only the standard library tells about files. Nothing is cached there: without a change
/// time (Windows) or a known file system no state can be trusted.
#[cfg(not(target_os = "linux"))]
mod portable {
    use std::fs::{Metadata, OpenOptions};
    use std::path::Path;

    use super::{CacheKey, File, FileSystem, Opened, Unhashed, io};

    pub(in super::super) fn look(path: &Path) -> Result<CacheKey, Unhashed> {
        let metadata = path.symlink_metadata()?;
        regular(&metadata)?;
        Ok(key(&metadata))
    }

    pub(in super::super) fn open(path: &Path) -> Result<Opened, Unhashed> {
        look(path)?;
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.custom_flags(flags.bits() as i32);
        }
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        Ok(Opened {
            state: key(&metadata),
            file,
            file_system: FileSystem::Untrusted,
            sparse: false,
        })
    }

    pub(in super::super) fn state(file: &File) -> io::Result<CacheKey> {
        Ok(key(&file.metadata()?))
    }

    fn regular(metadata: &Metadata) -> Result<(), Unhashed> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt as _;
            let kind = metadata.file_type();
            if kind.is_fifo() {
                return Err(Unhashed::Fifo);
            }
            if kind.is_socket() {
                return Err(Unhashed::Socket);
            }
        }
        if metadata.is_symlink() {
            Err(Unhashed::Symlink)
        } else if metadata.is_dir() {
            Err(Unhashed::Directory)
        } else if metadata.is_file() {
            Ok(())
        } else {
            Err(Unhashed::Device)
        }
    }

    #[cfg(unix)]
    fn key(metadata: &Metadata) -> CacheKey {
        use std::os::unix::fs::MetadataExt as _;
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        CacheKey {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn key(metadata: &Metadata) -> CacheKey {
        let mtime_ns = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos() as i64);
        CacheKey {
            size_bytes: metadata.len(),
            mtime_ns,
            ..CacheKey::default()
        }
    }
}
