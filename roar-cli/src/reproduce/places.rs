//! Where the files of a record are in a reproduction, and which paths roar writes to.
//!
//! A file of the tree keeps its path below the folder of the reproduction. A file elsewhere gets
//! a place in [`OUTSIDE`] within that folder, under its whole former path. Nothing else is
//! written by roar: a path from a record is taken only if every part of it is a plain name, none
//! is git's or roar's own, and no symbolic link stands on the way.

use std::path::{Component, Path, PathBuf};

use super::error::ReproduceError;
use crate::model::{PortableFile, RawString};

/// The folder, within that of the reproduction, of files that were elsewhere.
pub const OUTSIDE: &str = ".outside";

/// The folder, within that of the reproduction, of the virtual environment.
pub const ENVIRONMENT: &str = ".venv";

/// Where a file of the record is in a reproduction, relative to its folder.
///
/// # Errors
/// The path has parts that lead elsewhere.
pub fn place_of(file: &RawString) -> Result<PathBuf, ReproduceError> {
    match file.as_bytes().strip_prefix(b"/") {
        Some(rest) => Ok(Path::new(OUTSIDE).join(plain(file, &RawString::new(rest))?)),
        None => plain(file, file),
    }
}

/// Whether roar may use the path at all.
pub fn is_usable(file: &PortableFile) -> bool {
    place_of(&file.path).is_ok()
}

/// The folder a job runs in, relative to that of the reproduction. One outside of the tree is
/// replaced by a place of its own.
///
/// # Errors
/// The path has parts that lead elsewhere.
pub fn folder_of(cwd: &RawString) -> Result<PathBuf, ReproduceError> {
    match cwd.as_bytes() {
        b"" | b"." => Ok(PathBuf::from(".")),
        b"/" => Ok(PathBuf::from(OUTSIDE)),
        _ => place_of(cwd),
    }
}

fn plain(shown: &RawString, path: &RawString) -> Result<PathBuf, ReproduceError> {
    let refuse = |reason| ReproduceError::Outside {
        path: shown.clone(),
        reason,
    };
    if path.as_bytes().contains(&0) {
        return Err(refuse("it has a NUL byte"));
    }
    let path = path.to_path_buf();
    let mut whole = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                let lower = name.to_string_lossy().to_lowercase();
                // Also as file systems that fold case or drop characters see them.
                let lower = lower.trim_end_matches(['.', ' ']);
                if lower == ".git" || lower == "git~1" {
                    return Err(refuse("it is git's own"));
                }
                if lower == ".roar" && whole.as_os_str().is_empty() {
                    return Err(refuse("it is roar's own"));
                }
                whole.push(name);
            }
            Component::CurDir => {}
            Component::ParentDir => return Err(refuse("it has '..'")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(refuse("it is absolute"));
            }
        }
    }
    if whole.as_os_str().is_empty() {
        return Err(refuse("it is empty"));
    }
    Ok(whole)
}

/// Writes a file below `root`, making the folders it needs; what is there is replaced.
///
/// # Errors
/// A symbolic link or something that is no folder stands on the way, or it cannot be written.
pub fn write(
    root: &Path,
    relative: &Path,
    content: &[u8],
    executable: bool,
) -> Result<(), ReproduceError> {
    let path = ready(root, relative)?;
    let folder = path.parent().unwrap_or(root);
    let failed = |error| ReproduceError::io("write", &path)(error);
    let mut file = tempfile::Builder::new()
        .prefix(".roar-new-")
        .tempfile_in(folder)
        .map_err(failed)?;
    std::io::Write::write_all(&mut file, content)
        .map_err(|error| ReproduceError::io("write", &path)(error))?;
    put(file, &path, executable)
}

/// Copies a file to below `root`, as [`write()`].
///
/// # Errors
/// As [`write()`], or the file cannot be read.
pub fn copy(root: &Path, relative: &Path, from: &Path) -> Result<(), ReproduceError> {
    let path = ready(root, relative)?;
    let mut source = std::fs::File::open(from).map_err(ReproduceError::io("read", from))?;
    let failed = |error| ReproduceError::io("write", &path)(error);
    let mut file = tempfile::Builder::new()
        .prefix(".roar-new-")
        .tempfile_in(path.parent().unwrap_or(root))
        .map_err(failed)?;
    std::io::copy(&mut source, &mut file)
        .map_err(|error| ReproduceError::io("write", &path)(error))?;
    let executable = is_executable(from);
    put(file, &path, executable)
}

fn put(file: tempfile::NamedTempFile, path: &Path, executable: bool) -> Result<(), ReproduceError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if executable { 0o755 } else { 0o644 };
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), permissions)
            .map_err(ReproduceError::io("make executable", path))?;
    }
    #[cfg(not(unix))]
    let _ = executable;
    file.persist(path)
        .map(drop)
        .map_err(|error| ReproduceError::io("write", path)(error.error))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    false
}

/// Removes a file below `root`, if it is there.
///
/// # Errors
/// As [`write()`].
pub fn remove(root: &Path, relative: &Path) -> Result<(), ReproduceError> {
    let path = checked(root, relative)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ReproduceError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a folder below `root`.
///
/// # Errors
/// As [`write()`].
pub fn make_folder(root: &Path, relative: &Path) -> Result<PathBuf, ReproduceError> {
    let mut path = root.to_path_buf();
    for component in relative.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        path.push(name);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(in_the_way(relative)),
            Err(_) => {
                std::fs::create_dir(&path).map_err(ReproduceError::io("make the folder", &path))?;
            }
        }
    }
    Ok(path)
}

/// The path of a file to be written, its folder made.
fn ready(root: &Path, relative: &Path) -> Result<PathBuf, ReproduceError> {
    let path = checked(root, relative)?;
    make_folder(root, relative.parent().unwrap_or(Path::new("")))?;
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
    {
        return Err(in_the_way(relative));
    }
    Ok(path)
}

/// The path, with no symbolic link on the way to its last part.
fn checked(root: &Path, relative: &Path) -> Result<PathBuf, ReproduceError> {
    place_of(&RawString::from_path(relative))?;
    let mut path = root.to_path_buf();
    let folders = relative.parent().unwrap_or(Path::new(""));
    for component in folders.components() {
        path.push(component);
        if path
            .symlink_metadata()
            .is_ok_and(|metadata| !metadata.is_dir())
        {
            return Err(in_the_way(relative));
        }
    }
    Ok(root.join(relative))
}

fn in_the_way(relative: &Path) -> ReproduceError {
    ReproduceError::Outside {
        path: RawString::from_path(relative),
        reason: "a symbolic link or a file of another kind stands on the way",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_have_places() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("./a", Some("a")),
            ("/data/x", Some(".outside/data/x")),
            ("a b\n", Some("a b\n")),
            (".roarconfig", Some(".roarconfig")),
            ("sub/.roar/x", Some("sub/.roar/x")),
            ("..", None),
            ("a/../b", None),
            ("/../etc/passwd", None),
            (".git/hooks/post-checkout", None),
            ("sub/.GIT/config", None),
            ("sub/.git. /config", None),
            ("sub/GIT~1/config", None),
            (".roar/config.toml", None),
            ("", None),
            ("/", None),
            ("a\0b", None),
        ] {
            let found = place_of(&path.into()).ok();
            assert_eq!(found.as_deref(), expected.map(Path::new), "{path:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let victim = folder.path().join("victim");
        std::fs::create_dir(&root).expect("made");
        std::fs::create_dir(&victim).expect("made");
        std::fs::write(victim.join("kept"), "kept").expect("written");
        std::os::unix::fs::symlink(&victim, root.join("link")).expect("made");
        std::os::unix::fs::symlink(victim.join("kept"), root.join("file")).expect("made");
        assert!(write(&root, Path::new("link/new"), b"x", false).is_err());
        assert!(remove(&root, Path::new("link/kept")).is_err());
        assert!(make_folder(&root, Path::new("link/sub")).is_err());
        // A link in the last place is itself replaced.
        write(&root, Path::new("file"), b"x", true).expect("written");
        write(&root, Path::new("sub/deep/file"), b"y", false).expect("written");
        assert!(!root.join("file").is_symlink());
        assert_eq!(std::fs::read(victim.join("kept")).expect("there"), b"kept");
        assert_eq!(std::fs::read_dir(&victim).expect("there").count(), 1);
    }
}
