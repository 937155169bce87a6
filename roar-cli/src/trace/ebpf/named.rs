//! Files that a call named and no descriptor stood for: found on disk by their names, a moment
//! later, when those may be gone already.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::identity::kernel_device;
use crate::event::{FileId, FileState, PathQuality};
use crate::model::RawString;

/// The kernel starts fewer interpreters for one script.
const MOST_STEPS: usize = 40;

/// The kernel reads no more of a script than this to find its interpreter (`BINPRM_BUF_SIZE`).
const FIRST_BYTES: u64 = 256;

/// The state of a file as it is now, with the numbers that stat tells; none for what is not a
/// regular file, or is gone.
pub(super) fn look(path: &RawString) -> Option<FileState> {
    let metadata = Path::new(&path.to_os_string()).symlink_metadata().ok()?;
    if !metadata.is_file() {
        return None;
    }
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
    Some(FileState {
        id: Some(FileId {
            device: u64::from(kernel_device(metadata.dev())),
            inode: metadata.ino(),
            generation: 0,
        }),
        path: path.clone(),
        quality: PathQuality::Full,
        size_bytes: metadata.len(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// The file at a path, by name only: stat does not tell the generation. Where nothing is there any
/// more, its state is all zero.
pub(super) fn file_at(path: RawString) -> FileState {
    let state = look(&path).unwrap_or(FileState {
        id: None,
        path,
        quality: PathQuality::Full,
        size_bytes: 0,
        mtime_ns: 0,
        ctime_ns: 0,
    });
    FileState { id: None, ..state }
}

/// The interpreters of a script that are scripts themselves: the kernel tells of the first
/// script and of the last interpreter alone.
pub(super) fn scripts_between(script: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut interpreter = interpreter_of(script);
    while let Some(path) = interpreter
        && found.len() < MOST_STEPS
    {
        interpreter = interpreter_of(&path);
        if interpreter.is_some() {
            found.push(path);
        }
    }
    found
}

/// The interpreter that a file names in its first line, if it is a script.
fn interpreter_of(path: &Path) -> Option<PathBuf> {
    // Nothing that could make the reader wait.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut first = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FIRST_BYTES).read_to_end(&mut first).ok()?;
    let line = first.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut words = line.split(|b| matches!(b, b' ' | b'\t' | 0));
    let word = words.find(|word| !word.is_empty())?;
    Some(std::ffi::OsString::from_vec(word.to_vec()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("it can be filled");
            path
        };
        let middle = write("middle", "#! /bin/echo one\n".to_owned());
        let outer = write("outer", format!("#!{} two\nrest", middle.display()));
        let plain = write("plain", "no script".to_owned());
        assert_eq!(scripts_between(&outer), std::slice::from_ref(&middle));
        for path in [middle, plain] {
            assert_eq!(scripts_between(&path), [] as [PathBuf; 0]);
        }
    }
}
