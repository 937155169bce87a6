//! What a test needs of the machine: met, skipped with a word, or, with
//! `ROAR_REQUIRE_BPF=1`, a failure.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::workload::program;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to load and attach eBPF programs, and a kernel that describes itself (BTF).
    Bpf,
    /// The superuser.
    Root,
    /// strace, and the right to trace a child.
    Strace,
    /// A program on the path of [`crate::project::PATH`].
    Program(&'static str),
    /// A module of the system's Python.
    PythonModule(&'static str),
    /// A package index that the system's pip can install from.
    PackageIndex,
    /// accelerate over the system's torch: see [`accelerate`].
    Accelerate,
    /// Mermaid's own code, for a browser: see [`mermaid`].
    Mermaid,
    /// What drives a browser and judges pages: see [`tool`].
    BrowserDriver,
    /// A file system that the kernel knows, and the right to mount it.
    FileSystem(&'static str),
    /// Workload programs: finished ones, or a compiler for them.
    Workloads,
    /// Workload programs in Go: finished ones, or its compiler.
    Go,
    /// A kernel that takes io_uring.
    IoUring,
    /// A kernel that is at least of this version.
    Kernel(u32, u32),
    /// PostgreSQL's own programs, where Debian keeps them.
    Postgres,
}

/// Says whether a test can run here. When it cannot, says on stderr why (past the test
/// runner's capture, so that a skipped test is never a silent one).
///
/// # Panics
/// Something is missing and `ROAR_REQUIRE_BPF=1` is set: then nothing may be skipped.
pub fn met(needs: &[Need]) -> bool {
    for need in needs {
        let Some(missing) = missing(*need) else {
            continue;
        };
        assert!(
            std::env::var_os("ROAR_REQUIRE_BPF").is_none_or(|value| value != "1"),
            "ROAR_REQUIRE_BPF=1, but {missing}"
        );
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Without a stderr there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "skipped {test}: {missing}");
        return false;
    }
    true
}

/// Whether tests that need eBPF can run; see [`met`].
pub fn require_bpf() -> bool {
    met(&[Need::Bpf])
}

/// What is missing, in words.
fn missing(need: Need) -> Option<String> {
    match need {
        Need::Bpf => missing_bpf(),
        Need::Root => (!rustix::process::geteuid().is_root()).then(|| "not run as root".to_owned()),
        Need::Strace => missing(Need::Program("strace")).or_else(missing_ptrace),
        Need::Mermaid => {
            (!mermaid().is_file()).then(|| format!("there is no {}", mermaid().display()))
        }
        Need::Accelerate => missing(Need::PythonModule("torch.distributed")).or_else(|| {
            (!accelerate().is_file()).then(|| format!("there is no {}", accelerate().display()))
        }),
        Need::BrowserDriver => ["playwright-core/index.mjs", "axe-core/axe.min.js"]
            .map(tool)
            .into_iter()
            .find(|file| !file.is_file())
            .map(|file| format!("there is no {}", file.display())),
        Need::Program(name) => {
            (!has_program(name)).then(|| format!("there is no '{name}' program"))
        }
        Need::PythonModule(name) => (!has_python_module(name))
            .then(|| format!("the system's python3 has no module '{name}'")),
        Need::PackageIndex => {
            (!has_package_index()).then(|| "the system's pip reaches no package index".to_owned())
        }
        Need::FileSystem(name) => missing(Need::Root).or_else(|| {
            (!has_file_system(name)).then(|| format!("the kernel has no {name} file system"))
        }),
        Need::Workloads => match std::env::var_os(program::FINISHED) {
            Some(_) => None,
            None => missing(Need::Program("gcc")),
        },
        Need::Go => match std::env::var_os(program::FINISHED) {
            Some(_) => None,
            None => missing(Need::Program("go")),
        },
        Need::Postgres => missing_postgres(),
        Need::IoUring => {
            // The setting is there since Linux 6.6.
            let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
            setting
                .is_ok_and(|text| text.trim() != "0")
                .then(|| "the kernel refuses io_uring (kernel.io_uring_disabled)".to_owned())
        }
        Need::Kernel(major, minor) => (kernel() < (major, minor))
            .then(|| format!("the kernel is older than Linux {major}.{minor}")),
    }
}

/// The running kernel's version.
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether a program is on the hermetic path.
pub fn has_program(name: &str) -> bool {
    crate::project::PATH
        .split(':')
        .any(|folder| Path::new(folder).join(name).exists())
}

fn has_python_module(name: &str) -> bool {
    Command::new("python3")
        .env("PATH", crate::project::PATH)
        .args(["-c", &format!("import {name}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether pip can download a small package (it has no dependency).
fn has_package_index() -> bool {
    let Ok(folder) = tempfile::tempdir() else {
        return false;
    };
    Command::new("python3")
        .env("PATH", crate::project::PATH)
        .args(["-m", "pip", "download", "-q", "--no-deps", "-d"])
        .arg(folder.path())
        .arg("six")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where `cargo xtask setup` puts accelerate's program.
pub fn accelerate() -> std::path::PathBuf {
    tool("accelerate/bin/accelerate")
}

/// Where `cargo xtask setup` puts Mermaid.
pub fn mermaid() -> std::path::PathBuf {
    tool("mermaid/dist/mermaid.min.js")
}

/// A file of the tools that `cargo xtask setup` fetches.
pub fn tool(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools")
        .join(file)
}

fn has_file_system(name: &str) -> bool {
    fs::read_to_string("/proc/filesystems")
        .is_ok_and(|text| text.split_whitespace().any(|word| word == name))
}

const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

fn missing_bpf() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("eBPF exists on Linux only".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no BTF (/sys/kernel/btf/vmlinux)".to_owned());
    }
    if has_capability(CAP_SYS_ADMIN) {
        return None;
    }
    let lacking: Vec<_> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(capability, _)| !has_capability(*capability))
        .map(|(_, name)| name)
        .collect();
    (!lacking.is_empty()).then(|| format!("the capability {} is missing", lacking.join(", ")))
}

fn missing_postgres() -> Option<String> {
    let found = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .any(|version| version.path().join("bin/initdb").exists());
    (!found).then(|| "there is no PostgreSQL (/usr/lib/postgresql)".to_owned())
}

fn missing_ptrace() -> Option<String> {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let refused = match scope.trim() {
        "3" => true,
        "2" => !has_capability(CAP_SYS_PTRACE),
        _ => false,
    };
    refused.then(|| "ptrace is refused (kernel.yama.ptrace_scope)".to_owned())
}

/// Whether this process has a capability in effect.
fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> number & 1 == 1)
}
