//! `cargo xtask build-ebpf`: builds the eBPF objects that roar embeds.
//!
//! They are two, `roar-ebpf/roar.bpf.o` and `roar-ebpf/roar-probe.bpf.o` for kernels before 6.2,
//! and committed, so that users need neither LLVM nor a second Rust toolchain. The build is
//! reproducible: the same sources give the same bytes in any folder, under any user. `--check`
//! builds a copy of the sources at another path and compares, which proves both that a committed
//! object is what the sources give and that no path leaks into it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, LLVM, Part};
use crate::{console, process, workspace};

/// Build the eBPF objects that roar embeds
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a committed object is not what the sources give
    #[arg(long)]
    check: bool,
}

impl Args {
    /// What CI asks for.
    pub(crate) fn check() -> Self {
        Self { check: true }
    }
}

/// A committed object.
struct Object {
    /// From the workspace's top folder.
    path: &'static str,
    /// Features of the crate.
    features: &'static str,
}

const OBJECTS: [Object; 2] = [
    Object {
        path: "roar-ebpf/roar.bpf.o",
        features: "",
    },
    Object {
        path: "roar-ebpf/roar-probe.bpf.o",
        features: "probe",
    },
];

/// Everything that the objects are built from, from the workspace's top folder.
const SOURCES: [&str; 3] = ["Cargo.toml", "roar-common", "roar-ebpf"];

/// rustc-web: the only packaged toolchain with a prebuilt `core` for BPF.
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

pub(crate) fn run(args: &Args) -> Result<()> {
    let skipped = setup::ensure(&[Part::Ebpf])?;
    if !skipped.is_empty() {
        bail!(
            "the eBPF object cannot be built without {}",
            skipped.join(", ")
        );
    }
    if args.check {
        check()
    } else {
        build_committed()
    }
}

fn build_committed() -> Result<()> {
    for Object { path, features } in OBJECTS {
        let target = workspace::target().join("ebpf");
        let object = build(workspace::root(), &target, features)?;
        let committed = workspace::root().join(path);
        let length = object.len();
        if fs::read(&committed).is_ok_and(|bytes| bytes == object) {
            console::line(&format!("{path} is unchanged ({length} bytes)"));
            continue;
        }
        fs::write(&committed, &object).with_context(|| format!("cannot write {path}"))?;
        console::line(&format!("{path} written ({length} bytes): commit it"));
    }
    Ok(())
}

fn check() -> Result<()> {
    let elsewhere = tempfile::tempdir().context("cannot make a temporary folder")?;
    let sources = elsewhere.path().join("sources");
    for source in SOURCES {
        copy(&workspace::root().join(source), &sources.join(source))?;
    }
    for Object { path, features } in OBJECTS {
        let object = build(&sources, &elsewhere.path().join("target"), features)?;
        let committed = fs::read(workspace::root().join(path)).with_context(|| {
            format!("cannot read {path}; build it with: cargo xtask build-ebpf")
        })?;
        if let Some(difference) = difference(&committed, &object) {
            let rustc = process::output(Command::new(RUSTC).arg("--version")).unwrap_or_default();
            bail!(
                "{path} is not what the sources give: {difference}\n\
                 run 'cargo xtask build-ebpf' and commit the object\n\
                 (built here with {}; another rustc-web or LLVM gives other bytes)",
                rustc.trim()
            );
        }
        let length = object.len();
        console::line(&format!("{path} is what the sources give ({length} bytes)"));
    }
    Ok(())
}

/// How two objects differ, if they do.
fn difference(committed: &[u8], built: &[u8]) -> Option<String> {
    if committed == built {
        return None;
    }
    let first = committed.iter().zip(built).position(|(a, b)| a != b);
    let first = first.unwrap_or(committed.len().min(built.len()));
    Some(format!(
        "{} bytes are committed, {} were built, the first difference is at byte {first}",
        committed.len(),
        built.len()
    ))
}

/// Builds the sources under `root` and returns the object's bytes.
fn build(root: &Path, target: &Path, features: &str) -> Result<Vec<u8>> {
    let package = root.join("roar-ebpf");
    fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    // First of all the dependencies' sources: the folder that holds them is in the flags below.
    let mut fetch = cargo(&package, target)?;
    process::run(fetch.args(["fetch", "--locked"]))?;
    let mut build = cargo(&package, target)?;
    build
        .args(["build", "--release", "--locked", "--target", TRIPLE])
        .args(["--features", features])
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root)?);
    process::run(&mut build)?;

    let linked = target.join(TRIPLE).join("release/roar-ebpf");
    let stripped = target.join("roar.bpf.o");
    // Relocations of the type information are for debuggers: the loader takes it as it is.
    process::run(
        Command::new(Path::new(LLVM).join("bin/llvm-objcopy"))
            .args(["--strip-debug", "-R", ".rel.BTF", "-R", ".rel.BTF.ext"])
            .args([&linked, &stripped]),
    )?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

const TRIPLE: &str = "bpfel-unknown-none";

/// The packaged cargo, free of everything in the environment that would change what it builds.
fn cargo(package: &Path, target: &Path) -> Result<Command> {
    let linker = setup::bpf_linker().context("bpf-linker is not installed")?;
    let linker_folder = linker.parent().context("bpf-linker has no folder")?;
    let mut command = Command::new(CARGO);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let builds = [
            "CARGO_BUILD_",
            "CARGO_PROFILE_",
            "CARGO_TARGET_",
            "CARGO_UNSTABLE_",
        ];
        if builds.iter().any(|prefix| text.starts_with(prefix)) || text.starts_with("RUST") {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(package)
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC_WRAPPER", wrapper(target)?)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        .env(
            "PATH",
            process::path_with(&[linker_folder, &Path::new(LLVM).join("bin")])?,
        );
    Ok(command)
}

/// Flags that keep this machine's folders out of the object.
fn rust_flags(root: &Path) -> Result<OsString> {
    let mut remapped = vec![(root.to_path_buf(), "/roar".to_owned())];
    let registries = workspace::cargo_home().join("registry/src");
    for registry in fs::read_dir(&registries)
        .with_context(|| format!("cannot read {}", registries.display()))?
    {
        remapped.push((registry?.path(), "/crates".to_owned()));
    }
    let sysroot = process::output(Command::new(RUSTC).args(["--print", "sysroot"]))?;
    remapped.push((PathBuf::from(sysroot.trim()), "/rust".to_owned()));

    let mut flags: OsString = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Clinker=bpf-linker"]
        .join(SEPARATOR)
        .into();
    for (from, to) in remapped {
        flags.push(SEPARATOR);
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// What CARGO_ENCODED_RUSTFLAGS has between its flags.
const SEPARATOR: &str = "\u{1f}";

/// cargo derives the metadata of a crate from where it lies, and symbol names from the metadata;
/// this stands between cargo and rustc and derives it from name and version instead.
const WRAPPER: &str = r#"#!/bin/sh
rustc=$1
shift
left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
    metadata=*) argument=metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION ;;
    esac
    set -- "$@" "$argument"
done
exec "$rustc" "$@"
"#;

fn wrapper(target: &Path) -> Result<PathBuf> {
    let path = target.join("rustc-with-fixed-metadata");
    if !fs::read(&path).is_ok_and(|bytes| bytes == WRAPPER.as_bytes()) {
        fs::write(&path, WRAPPER).with_context(|| format!("cannot write {}", path.display()))?;
    }
    process::quietly(Command::new("chmod").arg("+x").arg(&path))?;
    Ok(path)
}

/// Copies a file or a folder of sources; what a build left there stays behind.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot copy {} to {}", from.display(), to.display());
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        fs::copy(from, to).with_context(failed)?;
        return Ok(());
    }
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_name() != "target" {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_object_is_told_from_the_same() {
        fn check(committed: &[u8], built: &[u8], expected: Option<&str>) {
            let found = difference(committed, built);
            assert_eq!(found.is_some(), expected.is_some());
            assert!(
                found
                    .unwrap_or_default()
                    .ends_with(expected.unwrap_or_default())
            );
        }
        check(b"same", b"same", None);
        check(b"", b"", None);
        check(b"abcd", b"abXd", Some("at byte 2"));
        check(b"ab", b"abc", Some("at byte 2"));
        check(b"", b"abc", Some("at byte 0"));
    }

    #[test]
    fn the_wrapper_replaces_metadata_alone() {
        fn check(arguments: &[&str], expected: &[&str]) {
            let folder = tempfile::tempdir().expect("a folder");
            let wrapper = wrapper(folder.path()).expect("written");
            let output = process::output(
                Command::new(wrapper)
                    .args(["printf", "%s\n"])
                    .args(arguments)
                    .env("CARGO_PKG_NAME", "probe")
                    .env("CARGO_PKG_VERSION", "1.2"),
            );
            let output = output.expect("a shell");
            assert_eq!(output.lines().collect::<Vec<_>>(), expected);
        }
        check(
            &["-C", "metadata=0f3a", "a b", "--x=metadata=1"],
            &["-C", "metadata=probe-1.2", "a b", "--x=metadata=1"],
        );
    }
}
