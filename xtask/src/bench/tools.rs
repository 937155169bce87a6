//! What a workload runs under: nothing, roar, and whatever other tracers the machine has.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::site::{Site, User};
use crate::process;

/// A way to run a command.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    /// Its name in the results.
    pub(super) name: &'static str,
    /// Who runs it.
    pub(super) user: User,
    /// Whether it is so slow that it gets a part of the work only.
    pub(super) is_slow: bool,
    /// Whether the project that it records into was used before: the first run of all looks up the
    /// packages of the system.
    pub(super) knows_project: bool,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Bare,
    Roar(&'static str),
    /// A program and its arguments; `{out}` stands for a path of its own to write to.
    Other(PathBuf, &'static [&'static str]),
}

/// The bare run by the caller; it comes twice in each round.
pub(super) const BARE: &str = "bare";
/// The bare run by an ordinary user.
pub(super) const BARE_USER: &str = "bare, ordinary user";
/// The bare run of the part of the work that slow tracers get.
const BARE_SMALL: &str = "bare, part";
pub(super) const EBPF: &str = "roar, eBPF";
pub(super) const SECCOMP: &str = "roar, seccomp";

/// What strace can do at least.
pub(super) const STRACE_NAMES: &str = "strace -f --seccomp-bpf, names only";

/// Tracers that are measured where they are installed: name, program, arguments.
const OTHERS: [(&str, &str, &[&str]); 4] = [
    ("strace -f", "strace", &["-f", "-qq", "-o", "{out}"]),
    (
        STRACE_NAMES,
        "strace",
        &[
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-e",
            "trace=%file,%process",
            "-o",
            "{out}",
        ],
    ),
    (
        "reprozip",
        "reprozip",
        &[
            "trace",
            "--overwrite",
            "--dont-identify-packages",
            "--dont-find-inputs-outputs",
            "-d",
            "{out}",
        ],
    ),
    ("fsatrace", "fsatrace", &["rwmdqt", "{out}", "--"]),
];

/// All that can be measured here, bare runs first.
pub(super) fn all(can_be_others: bool) -> Vec<Tool> {
    let caller = |name, way| Tool {
        name,
        user: User::Caller,
        is_slow: false,
        knows_project: false,
        way,
    };
    let mut tools = vec![caller(BARE, Way::Bare), caller(EBPF, Way::Roar("ebpf"))];
    if can_be_others {
        let ordinary = |name, way| Tool {
            user: User::Ordinary,
            ..caller(name, way)
        };
        tools.push(ordinary(BARE_USER, Way::Bare));
        tools.push(ordinary(SECCOMP, Way::Roar("seccomp")));
    }
    let slow = |name, way| Tool {
        is_slow: true,
        ..caller(name, way)
    };
    tools.push(slow(BARE_SMALL, Way::Bare));
    for (name, program, arguments) in OTHERS {
        if let Some(program) = process::find(program) {
            tools.push(slow(name, Way::Other(program, arguments)));
        }
    }
    tools
}

/// An ordinary user's: bare, roar through seccomp in a project that was used before, and strace of
/// names, where it is installed.
pub(super) fn of_ordinary_users() -> Vec<Tool> {
    let ordinary = |name, way| Tool {
        name,
        user: User::Ordinary,
        is_slow: false,
        knows_project: true,
        way,
    };
    let mut tools = vec![
        ordinary(BARE_USER, Way::Bare),
        ordinary(SECCOMP, Way::Roar("seccomp")),
    ];
    for (name, program, arguments) in OTHERS {
        if name == STRACE_NAMES
            && let Some(program) = process::find(program)
        {
            tools.push(ordinary(name, Way::Other(program, arguments)));
        }
    }
    tools
}

impl Tool {
    /// Whether it is roar.
    pub(super) fn is_roar(&self) -> bool {
        matches!(self.way, Way::Roar(_))
    }

    /// Whether it is a tracer of somebody else's.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.way, Way::Other(..))
    }

    /// The command line under this tool, in the work folder; roar tells its timings to the file.
    pub(super) fn command(
        &self,
        site: &Site,
        words: &[OsString],
        timings: &Path,
    ) -> std::process::Command {
        match &self.way {
            Way::Bare => {
                let mut command = site.command(self.user, &words[0]);
                command.args(&words[1..]);
                command
            }
            Way::Roar(tracer) => {
                let mut command = site.command(self.user, site.roar());
                command
                    .args(["run", "-q", "--tracer", tracer])
                    .args(words)
                    .env("ROAR_TIMINGS", timings);
                command
            }
            Way::Other(program, arguments) => {
                // Beside the work folder, where an ordinary user may not write.
                let name = format!("by-{}", program.file_name().unwrap_or_default().display());
                let out = match self.user {
                    User::Caller => site.aside(&name),
                    User::Ordinary => site.work().join(name),
                };
                let argument = |word: &&str| match *word {
                    "{out}" => out.as_os_str().to_owned(),
                    word => OsStr::new(word).to_owned(),
                };
                let mut command = site.command(self.user, program);
                command.args(arguments.iter().map(argument));
                command.args(words);
                command
            }
        }
    }
}

/// The bare run that a tool is compared with.
pub(super) fn bare_beside(tool: &str) -> &'static str {
    match tool {
        BARE | EBPF => BARE,
        BARE_USER | SECCOMP => BARE_USER,
        _ => BARE_SMALL,
    }
}
