//! Workloads: small programs that do one documented set of file operations each, and
//! what a tracer must say of them.
//!
//! The programs are C sources in `tests/workloads`, compiled when first needed
//! ([`program`]); [`table`] lists every operation with its inputs and outputs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::mount::Mount;
use crate::oracle::FileSets;
use crate::project::Project;
use crate::require::{self, Need};

pub mod crossing;
pub mod everyday;
pub mod program;
pub mod rare;
pub mod table;
pub mod tools;

pub use program::Build;

/// One operation and what it does.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The name by which tests report it.
    pub name: String,
    /// What runs it.
    pub command: CommandLine,
    /// What it needs of the machine.
    pub needs: Vec<Need>,
    /// The file system it must run on, when not just any.
    pub file_system: Option<&'static str>,
    /// Why strace cannot tell, where it cannot.
    pub unseen_by_strace: Option<&'static str>,
    /// Files of the project that it consumes and produces: all of them.
    pub expected: FileSets,
}

/// What to start.
#[derive(Clone, Debug)]
pub enum CommandLine {
    /// A workload program with arguments.
    Program(&'static str, Build, Vec<OsString>),
    /// A shell script; `$0` is the workload program named, in its ordinary build.
    Shell(&'static str, &'static str),
    /// Any program with arguments, from the project's folder or the path.
    Tool(Vec<OsString>),
}

impl Workload {
    /// A workload that runs a command and touches nothing, until told otherwise.
    pub fn new(name: impl Into<String>, command: CommandLine) -> Self {
        Self {
            name: name.into(),
            command,
            needs: Vec::new(),
            file_system: None,
            unseen_by_strace: None,
            expected: FileSets::default(),
        }
    }

    /// `PROGRAM ARGUMENT…` in the ordinary build.
    pub fn program<A: AsRef<[u8]>>(program: &'static str, arguments: &[A]) -> Self {
        Self::built(program, Build::Dynamic, arguments)
    }

    /// `PROGRAM ARGUMENT…` in a certain build.
    pub fn built<A: AsRef<[u8]>>(program: &'static str, build: Build, arguments: &[A]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(os_string).collect();
        let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        let name = format!("{program} {}", words.join(" "));
        Self::new(name, CommandLine::Program(program, build, arguments))
    }

    /// A shell script, with a workload program as `$0`.
    pub fn shell(program: &'static str, script: &'static str) -> Self {
        Self::new(script, CommandLine::Shell(program, script))
    }

    /// Adds inputs.
    #[must_use]
    pub fn reads<P: AsRef<[u8]>>(mut self, paths: &[P]) -> Self {
        self.expected.inputs.extend(to_paths(paths));
        self
    }

    /// Adds outputs.
    #[must_use]
    pub fn writes<P: AsRef<[u8]>>(mut self, paths: &[P]) -> Self {
        self.expected.outputs.extend(to_paths(paths));
        self
    }

    /// Adds something it needs.
    #[must_use]
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Says that it must run on a certain file system.
    #[must_use]
    pub fn on(mut self, file_system: &'static str) -> Self {
        self.file_system = Some(file_system);
        self.needs(Need::FileSystem(file_system))
            .needs(match file_system {
                "btrfs" => Need::Program("mkfs.btrfs"),
                "xfs" => Need::Program("mkfs.xfs"),
                "ext4" => Need::Program("mkfs.ext4"),
                _ => Need::Root,
            })
    }

    /// Says that strace cannot see it, and why.
    #[must_use]
    pub fn unseen_by_strace(mut self, why: &'static str) -> Self {
        self.unseen_by_strace = Some(why);
        self
    }

    /// The command with everything that it needs built.
    pub fn argv(&self) -> Vec<OsString> {
        match &self.command {
            CommandLine::Program(program, build, arguments) => {
                let mut argv = vec![program::path(program, *build).into_os_string()];
                argv.extend_from_slice(arguments);
                argv
            }
            CommandLine::Shell(program, script) => vec![
                "sh".into(),
                "-c".into(),
                script.into(),
                program::path(program, Build::Dynamic).into_os_string(),
            ],
            CommandLine::Tool(argv) => argv.clone(),
        }
    }
}

/// The files that stand in the project when a workload starts. Sizes are prime, so that
/// none is a multiple of a buffer.
pub fn prepare(project: &Project) {
    for (name, size_bytes) in [
        ("in", 4219),
        ("in2", 1009),
        ("old", 3001),
        ("old2", 2003),
        ("empty", 0),
        ("folder/in3", 577),
        ("folder/inner/in4", 331),
        ("-dash", 101),
        ("with space", 103),
        ("with\nnewline", 107),
        ("with\u{1b}[31mescape", 109),
        ("emoji-\u{1f980}-e\u{301}", 113),
    ] {
        project.write(name, content(name, size_bytes));
    }
    project.write(invalid_name(), content("invalid", 127));
    project.write(long_name(), content("long", 131));
    std::fs::create_dir(project.path("many")).expect("the project's folders can be made");
    std::fs::hard_link(project.path("in2"), project.path("hard"))
        .expect("the file system has hard links");
    for (target, link) in [
        ("in", "link"),
        ("link", "link-to-link"),
        ("folder", "folder-link"),
    ] {
        symlink(target, project.path(link)).expect("the file system has symbolic links");
    }
    project.write_program("script.sh", "#!/bin/sh\ncat in > out\n");
    project.write_program("unread.sh", "#!/bin/true\n");
    project.write_program("nested.sh", "#!./unread.sh\n");
    for (name, build) in [("program", Build::Dynamic), ("static", Build::Static)] {
        let bytes = std::fs::read(program::path("rw", build)).expect("it was just built");
        project.write_program(name, bytes);
    }
}

/// Runs a check on each workload, in a prepared project on the file system it wants, and
/// tells of all that failed at once.
///
/// # Panics
/// A check found something wrong, or something is missing that must not be
/// ([`require::met`]).
#[track_caller]
pub fn check_each(
    workloads: &[Workload],
    needs: &[Need],
    check: impl Fn(&Project, &Workload) -> Result<(), String>,
) {
    if !require::met(needs) {
        return;
    }
    let mut wrong = String::new();
    for workload in workloads {
        if !require::met(&workload.needs) {
            continue;
        }
        // Unmounted after the project in it is gone.
        let mount = workload.file_system.map(Mount::new);
        let project = match &mount {
            Some(mount) => Project::under(&mount.path()),
            None => Project::empty(),
        };
        prepare(&project);
        if let Err(complaint) = check(&project, workload) {
            writeln!(wrong, "{}:\n{complaint}", workload.name).expect("a string takes text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Compares what was seen with what is right.
///
/// # Errors
/// What is missing and what is too much.
pub fn compare(seen: &FileSets, right: &FileSets) -> Result<(), String> {
    if seen == right {
        return Ok(());
    }
    let missing = right.without(seen).describe();
    let surplus = seen.without(right).describe();
    Err(format!(" missing\n{missing} too much\n{surplus}"))
}

/// A name that is not UTF-8.
pub fn invalid_name() -> &'static Path {
    Path::new(OsStr::from_bytes(b"invalid-\xff\xfe-utf8"))
}

/// A name of 255 bytes, the longest there is.
pub fn long_name() -> PathBuf {
    PathBuf::from("n".repeat(255))
}

/// Bytes that differ from file to file.
fn content(seed: &str, size_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; size_bytes];
    blake3::Hasher::new()
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn to_paths<P: AsRef<[u8]>>(paths: &[P]) -> BTreeSet<PathBuf> {
    paths.iter().map(|path| os_string(path).into()).collect()
}

fn os_string(bytes: impl AsRef<[u8]>) -> OsString {
    OsString::from_vec(bytes.as_ref().to_vec())
}
