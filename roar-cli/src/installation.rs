//! Putting the loader into its place, with its file capabilities, and taking it away again.
//!
//! Everything here needs root. The file appears under its name only when it is complete, so
//! that nobody ever runs half a loader or one with the wrong rights.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;

use crate::trace::ebpf::loader::CAPABILITIES;

/// The loader's name, in its place and beside roar.
pub const NAME: &str = "roar-bpf";

/// CAP_PERFMON and CAP_BPF, permitted and effective, as the kernel keeps them with a file:
/// `struct vfs_cap_data` of <linux/capability.h>, revision 2, little-endian. Both numbers, 38
/// and 39, are in the upper half.
const CAP_BPF_AND_PERFMON: [u8; 20] = {
    const REVISION_2: u32 = 0x0200_0000;
    const EFFECTIVE: u32 = 1;
    const UPPER: u32 = 1 << (38 - 32) | 1 << (39 - 32);
    let words = [REVISION_2 | EFFECTIVE, 0, 0, UPPER, 0];
    let mut bytes = [0; 20];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = words[at / 4].to_le_bytes()[at % 4];
        at += 1;
    }
    bytes
};

/// Why the loader could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is nothing to install.
    #[error("the loader is not beside roar ('{}')", path.display())]
    NoLoader {
        /// Where it should be.
        path: PathBuf,
    },
    /// Others could put another file into its place.
    #[error("the folder '{}' is not root's alone", path.display())]
    OpenFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file system has no file capabilities, or this root may not give them.
    #[error("cannot give capabilities to a file in '{}'", path.display())]
    NoCapabilities {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file operation failed.
    #[error("cannot {operation} '{}'", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl InstallError {
    /// What would mend it, in one line.
    pub fn mend(&self) -> String {
        match self {
            Self::NoLoader { .. } => "install both: cargo install --path roar-cli".to_owned(),
            Self::OpenFolder { path } => format!(
                "sudo chown root:root '{path}' && sudo chmod go-w '{path}', or choose another \
                 with --to",
                path = path.display()
            ),
            Self::NoCapabilities { .. } => {
                "choose a folder on a local file system with --to (in a container: --cap-add \
                 SETFCAP)"
                    .to_owned()
            }
            Self::Io { .. } => "choose another folder with --to".to_owned(),
        }
    }

    fn during(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

/// Installs a copy of `loader` in `folder`: root's, and executable by all or by a group alone.
/// Returns its path.
///
/// # Errors
/// See [`InstallError`]; what was installed before is then still there.
pub fn install(loader: &Path, folder: &Path, group: Option<u32>) -> Result<PathBuf, InstallError> {
    let content = fs::read(loader).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => InstallError::NoLoader {
            path: loader.to_owned(),
        },
        _ => InstallError::during("read", loader)(error),
    })?;
    make_folder(folder)?;
    let failed = |operation| InstallError::during(operation, folder);
    let mut file = tempfile::Builder::new()
        .prefix(".roar-bpf-")
        .tempfile_in(folder)
        .map_err(failed("make a file in"))?;
    file.write_all(&content).map_err(failed("write to"))?;
    fchown(&file, Some(0), Some(group.unwrap_or(0))).map_err(failed("set the owner in"))?;
    let mode = if group.is_some() { 0o750 } else { 0o755 };
    let permissions = Permissions::from_mode(mode);
    file.as_file()
        .set_permissions(permissions)
        .map_err(failed("set the mode in"))?;
    // Last: a change of owner or content takes them away.
    give_capabilities(file.as_file()).map_err(|source| InstallError::NoCapabilities {
        path: folder.to_owned(),
        source,
    })?;
    file.as_file().sync_all().map_err(failed("write to"))?;
    let place = folder.join(NAME);
    file.persist(&place)
        .map_err(|error| InstallError::during("put in place", &place)(error.error))?;
    Ok(place)
}

/// Removes the loader, and its folder when nothing else is in it. False when there is none.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(folder: &Path) -> Result<bool, InstallError> {
    let place = folder.join(NAME);
    match fs::remove_file(&place) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(InstallError::during("remove", &place)(error)),
    }
    // Something of somebody else's may be in it.
    let _ = fs::remove_dir(folder);
    Ok(true)
}

fn make_folder(folder: &Path) -> Result<(), InstallError> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.map_err(InstallError::during("make the folder", folder))?;
    let metadata = folder
        .symlink_metadata()
        .map_err(InstallError::during("look at", folder))?;
    if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(InstallError::OpenFolder {
            path: folder.to_owned(),
        });
    }
    Ok(())
}

fn give_capabilities(file: &File) -> io::Result<()> {
    rustix::fs::fsetxattr(
        file,
        CAPABILITIES,
        &CAP_BPF_AND_PERFMON,
        XattrFlags::empty(),
    )?;
    Ok(())
}
