//! What a command really did to files, by strace's word.
//!
//! Independent of roar: strace prints every call with the paths of its descriptors
//! ([`line`](mod@line) reads that), and [`fold`] concludes by its own rules what was an input and
//! what an output. strace cannot see what io_uring does, nor the kernel's own mapping of
//! the program loader; a test that needs those has the workload table's word only.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;
use crate::transcript::Transcript;

pub mod before;
pub mod fold;
pub mod line;

/// The files that a command consumed and produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSets {
    /// Files whose content from before was read, mapped, executed, kept under a change, or moved.
    pub inputs: BTreeSet<PathBuf>,
    /// Files that were made or changed, or came into their place, and still have it.
    pub outputs: BTreeSet<PathBuf>,
}

impl FileSets {
    /// Those under a folder, relative to it, without roar's and git's own folders.
    #[must_use]
    pub fn under(&self, folder: &Path) -> Self {
        let keep = |paths: &BTreeSet<PathBuf>| {
            paths
                .iter()
                .filter_map(|path| path.strip_prefix(folder).ok())
                .filter(|path| !path.starts_with(".roar") && !path.starts_with(".git"))
                .map(Path::to_path_buf)
                .collect()
        };
        Self {
            inputs: keep(&self.inputs),
            outputs: keep(&self.outputs),
        }
    }

    /// Those that are not in any repository's `.git` folder.
    #[must_use]
    pub fn without_git(mut self) -> Self {
        let is_git = |path: &PathBuf| path.components().any(|part| part.as_os_str() == ".git");
        self.inputs.retain(|path| !is_git(path));
        self.outputs.retain(|path| !is_git(path));
        self
    }

    /// Those that are not in the other sets.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            inputs: &self.inputs - &other.inputs,
            outputs: &self.outputs - &other.outputs,
        }
    }

    /// One line a file, for a reader to compare.
    pub fn describe(&self) -> String {
        let inputs = self.inputs.iter().map(|path| ("in ", path));
        let outputs = self.outputs.iter().map(|path| ("out", path));
        let mut lines = String::new();
        for (mark, path) in inputs.chain(outputs) {
            let path = path.as_os_str().as_bytes().escape_ascii();
            writeln!(lines, "  {mark} {path}").expect("a string takes text");
        }
        lines
    }
}

/// The calls that can tell about files; `?` lets a strace that does not know one pass over it.
const CALLS: &str = "trace=read,pread64,readv,preadv,?preadv2,write,pwrite64,writev,pwritev,?pwritev2,\
    ?open,openat,?openat2,?creat,?open_by_handle_at,truncate,?truncate64,ftruncate,?ftruncate64,fallocate,\
    mmap,?mmap2,mprotect,munmap,sendfile,?sendfile64,splice,copy_file_range,ioctl,\
    ?rename,renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,\
    chdir,fchdir,chroot,execve,execveat,?fork,?vfork,clone,?clone3";

/// Runs a command of the project under strace and concludes what it did. Needs
/// [`crate::require::Need::Strace`].
pub fn observe(project: &Project, argv: &[OsString]) -> (Transcript, FileSets) {
    observe_from(project, argv, project.root(), |_| {})
}

/// [`observe`] in another folder, with a hand on the command (its stdin, say).
pub fn observe_from(
    project: &Project,
    argv: &[OsString],
    cwd: &Path,
    adjust: impl FnOnce(&mut Command),
) -> (Transcript, FileSets) {
    let log = project.base().join("strace.log");
    let before = before::Before::look(project.root());
    let mut command = project.command("strace");
    command
        .current_dir(cwd)
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "0",
            "--quiet=attach,personality",
            "-e",
            CALLS,
            "-o",
        ])
        .arg(&log)
        .arg(OsStr::new("--"))
        .args(argv);
    adjust(&mut command);
    let transcript = Transcript::of(&mut command);
    let text = fs::read_to_string(&log).expect("strace writes its log, in ASCII");
    let calls = line::parse(&text);
    (transcript, fold::conclude(&calls, before, cwd))
}
