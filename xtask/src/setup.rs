//! `cargo xtask setup`: installs what this machine lacks for building and testing roar.
//!
//! Packages come from the distribution (Debian and its descendants), as root or through
//! `sudo -n`; without either, the task names what it skipped and goes on. A machine that has
//! everything is recognised without asking any network.

mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{console, process, python, workspace};

/// Install what this machine lacks for building and testing roar
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this part (may be repeated); all parts when left out
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

/// What a machine may be set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Rebuilding the eBPF object
    Ebpf,
    /// Every test: oracles, compilers of workloads, file systems
    Test,
    /// The demo: a Python with venv
    Python,
    /// Tracers to compare roar with
    Bench,
    /// Guests with other kernels
    Vm,
    /// Guests of the other architecture, and programs for them
    VmAarch64,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Ebpf,
        Self::Test,
        Self::Python,
        Self::Bench,
        Self::Vm,
        Self::VmAarch64,
    ];

    fn wants(self) -> &'static [Want] {
        match self {
            Self::Ebpf => EBPF,
            Self::Test => TEST,
            Self::Python => PYTHON,
            Self::Bench => BENCH,
            Self::Vm => VM,
            Self::VmAarch64 => VM_AARCH64,
        }
    }
}

/// A package, and how to see that it is not needed.
struct Want {
    package: &'static str,
    proof: Proof,
}

enum Proof {
    /// The distribution knows the package as installed.
    Package,
    /// The program is there, whoever installed it.
    Program(&'static str),
    /// A Python that can make virtual environments is there.
    Python,
}

const fn package(package: &'static str) -> Want {
    let proof = Proof::Package;
    Want { package, proof }
}

const fn program(package: &'static str, program: &'static str) -> Want {
    let proof = Proof::Program(program);
    Want { package, proof }
}

/// `rustc-web` brings LLVM 22 bit code; bpf-linker must be built against the same LLVM.
const EBPF: &[Want] = &[
    package("rustc-web"),
    package("cargo-web"),
    package("libstd-rust-web-dev-bpf"),
    package("llvm-22"),
    package("llvm-22-dev"),
    package("libpolly-22-dev"),
    program("g++", "g++"),
];

/// 32-bit workloads need no library, so that gcc-multilib is not wanted: it and cross compilers
/// exclude each other.
const TEST: &[Want] = &[
    program("git", "git"),
    program("openssh-client", "ssh-keygen"),
    program("gcc", "gcc"),
    program("make", "make"),
    program("tar", "tar"),
    program("strace", "strace"),
    program("b3sum", "b3sum"),
    program("bpftool", "bpftool"),
    program("coreutils", "sha256sum"),
    program("util-linux", "setpriv"),
    program("sudo", "sudo"),
    program("iproute2", "ip"),
    program("btrfs-progs", "mkfs.btrfs"),
    program("xfsprogs", "mkfs.xfs"),
    program("e2fsprogs", "mkfs.ext4"),
    program("golang-go", "go"),
    program("bubblewrap", "bwrap"),
    program("bindfs", "bindfs"),
    program("graphviz", "dot"),
    program("libxml2-utils", "xmllint"),
    program("chromium", "chromium"),
    program("npm", "npm"),
    program("nodejs", "node"),
    package("python3"),
    package("python3-numpy"),
    // What the everyday command lines of the tests are made of.
    program("bzip2", "bzip2"),
    program("cpio", "cpio"),
    program("curl", "curl"),
    program("ed", "ed"),
    program("openssl", "openssl"),
    program("patch", "patch"),
    program("perl", "perl"),
    program("rsync", "rsync"),
    program("sqlite3", "sqlite3"),
    program("unzip", "unzip"),
    program("vim", "vim"),
    program("xz-utils", "xz"),
    program("zip", "zip"),
    program("openmpi-bin", "mpirun"),
    // Databases of rpm are made by rpm.
    program("rpm", "rpm"),
    program("db5.3-util", "db5.3_load"),
    package("python3-torch"),
    // The lineage server's tests: users sign with ssh-keygen.
    program("openssh-client", "ssh-keygen"),
    package("postgresql"),
];

const PYTHON: &[Want] = &[Want {
    package: "python3-venv",
    proof: Proof::Python,
}];

const BENCH: &[Want] = &[
    program("strace", "strace"),
    program("git", "git"),
    program("make", "make"),
    program("reprozip", "reprozip"),
];

const VM: &[Want] = &[
    program("gcc", "gcc"),
    program("binutils", "strip"),
    program("cpio", "cpio"),
    program("tar", "tar"),
    program("dpkg", "dpkg-deb"),
    program("coreutils", "timeout"),
    package("debian-archive-keyring"),
    #[cfg(not(target_arch = "x86_64"))]
    program("gcc-x86-64-linux-gnu", "x86_64-linux-gnu-gcc"),
    #[cfg(not(target_arch = "x86_64"))]
    package("libc6-dev-amd64-cross"),
];

const VM_AARCH64: &[Want] = &[
    #[cfg(not(target_arch = "aarch64"))]
    program("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    #[cfg(not(target_arch = "aarch64"))]
    package("libc6-dev-arm64-cross"),
];

/// A package that Debian does not install beside the other.
const EXCLUDED: (&str, &str) = ("gcc-aarch64-linux-gnu", "gcc-multilib");

/// The version that works with rustc-web 1.96 and LLVM 22.
const BPF_LINKER_VERSION: &str = "0.13.0";

pub(crate) fn run(args: &Args) -> Result<()> {
    let parts = if args.only.is_empty() {
        &Part::ALL[..]
    } else {
        &args.only[..]
    };
    let skipped = ensure(parts)?;
    if skipped.is_empty() {
        console::line("set up: nothing is missing");
    }
    Ok(())
}

/// Installs what is missing and returns what had to be skipped, already named on stdout.
///
/// # Errors
/// An installation was tried and failed.
pub(crate) fn ensure(parts: &[Part]) -> Result<Vec<String>> {
    let mut missing = missing_packages(parts)?;
    let mut skipped = Vec::new();
    let (wanted, there) = EXCLUDED;
    if missing.contains(&wanted) && !installed_packages(&[there])?.is_empty() {
        missing.retain(|package| *package != wanted);
        skipped.push(format!(
            "{wanted} ({there}, which is installed, excludes it)"
        ));
    }
    if !missing.is_empty() {
        match apt_get() {
            Some(apt_get) => install_packages(&apt_get, &missing)?,
            None => skipped.extend(missing.iter().map(|&package| package.to_owned())),
        }
    }
    if parts.contains(&Part::Ebpf) && bpf_linker().is_none() {
        if Path::new(LLVM).is_dir() {
            install_bpf_linker()?;
        } else {
            skipped.push(format!("bpf-linker {BPF_LINKER_VERSION}"));
        }
    }
    for (part, triple) in TARGETS {
        if parts.contains(&part) && !has_target(triple) && !add_target(triple) {
            skipped.push(format!("Rust's standard library for {triple}"));
        }
    }
    if parts.contains(&Part::Test) {
        skipped.extend(tools::fetch()?);
    }
    if !skipped.is_empty() {
        console::line(&format!(
            "skipped (needs root and a Debian-like system): {}\n\
             as root, 'cargo xtask setup' installs it",
            skipped.join(" ")
        ));
    }
    Ok(skipped)
}

/// Where Debian keeps LLVM 22.
pub(crate) const LLVM: &str = "/usr/lib/llvm-22";

/// The bpf-linker of the right version.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let installed = workspace::cargo_home().join("bin/bpf-linker");
    [Some(installed), process::find("bpf-linker")]
        .into_iter()
        .flatten()
        .find(|program| {
            Command::new(program)
                .arg("--version")
                .output()
                .is_ok_and(|output| {
                    String::from_utf8_lossy(&output.stdout)
                        .split_whitespace()
                        .any(|word| word == BPF_LINKER_VERSION)
                })
        })
}

fn missing_packages(parts: &[Part]) -> Result<Vec<&'static str>> {
    let wants: Vec<&Want> = parts.iter().flat_map(|part| part.wants()).collect();
    let by_package: Vec<&str> = wants
        .iter()
        .filter(|want| matches!(want.proof, Proof::Package))
        .map(|want| want.package)
        .collect();
    let installed = installed_packages(&by_package)?;
    Ok(wants
        .iter()
        .filter(|want| match want.proof {
            Proof::Package => !installed.iter().any(|package| package == want.package),
            Proof::Program(program) => process::find(program).is_none(),
            Proof::Python => python::find().is_none(),
        })
        .map(|want| want.package)
        .collect())
}

/// Those of the packages that dpkg knows as installed; none where there is no dpkg.
fn installed_packages(packages: &[&str]) -> Result<Vec<String>> {
    if packages.is_empty() || process::find("dpkg-query").is_none() {
        return Ok(Vec::new());
    }
    // A package that dpkg never heard of makes it fail, which is an answer, too.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status} ${Package}\n"])
        .args(packages)
        .output()
        .context("cannot start dpkg-query")?;
    Ok(installed_in(&String::from_utf8_lossy(&output.stdout)))
}

fn installed_in(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect()
}

/// The start of an apt-get command line that may install, if this user has one.
fn apt_get() -> Option<Vec<&'static str>> {
    process::find("apt-get")?;
    let is_root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        Some(vec!["apt-get"])
    } else if process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(vec!["sudo", "-n", "apt-get"])
    } else {
        None
    }
}

fn install_packages(apt_get: &[&str], packages: &[&str]) -> Result<()> {
    let command = |rest: &[&str]| {
        let mut command = Command::new(apt_get[0]);
        command
            .args(&apt_get[1..])
            .args(rest)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(&mut command(&["update", "-qq"]))?;
    // Nothing that is there is to go.
    let install = [
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "--no-remove",
    ];
    process::run(&mut command(&[&install[..], packages].concat()))
        .context("the distribution could not install the packages (tested: Debian 12)")
}

fn install_bpf_linker() -> Result<()> {
    let path = process::path_with(&[&Path::new(LLVM).join("bin")])?;
    process::run(
        workspace::cargo()
            .args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION])
            .args(["--no-default-features", "--features", "llvm-22"])
            .args(["--locked", "--force"])
            .env("LLVM_PREFIX", LLVM)
            .env("PATH", path)
            .env_remove("CARGO_TARGET_DIR"),
    )?;
    if bpf_linker().is_none() {
        bail!("bpf-linker was installed, but does not run as version {BPF_LINKER_VERSION}");
    }
    Ok(())
}

/// Parts that build for a machine of that kind.
const TARGETS: [(Part, &str); 2] = [
    (Part::Vm, "x86_64-unknown-linux-gnu"),
    (Part::VmAarch64, "aarch64-unknown-linux-gnu"),
];

/// Whether Rust programs can be built for the target.
fn has_target(triple: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", triple]);
    process::output(rustc.current_dir(workspace::root()))
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn add_target(triple: &str) -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", triple]);
    process::run(rustup.current_dir(workspace::root())).is_ok() && has_target(triple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dpkg_calls_installed_counts() {
        fn check(listing: &str, expected: &[&str]) {
            assert_eq!(installed_in(listing), expected);
        }
        check("", &[]);
        check("installed gcc\ninstalled strace\n", &["gcc", "strace"]);
        check("config-files gcc\nnot-installed strace\n", &[]);
        check("half-installed gcc\ninstalled make\n", &["make"]);
    }
}
