//! qemu: the machine's own or, where it has none, one that is unpacked below the target folder.
//!
//! It is not installed: Debian's qemu packages of different releases exclude each other, and a
//! machine that has a part of one of them keeps it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::architecture::Architecture;
use super::machine::LIMIT;
use super::packages::Packages;
use crate::process;

/// What of the packages running a guest does not ask for.
const LEFT_OUT: [&str; 3] = ["./usr/share/doc", "./usr/share/icons", "./usr/share/man"];

/// A qemu that can run.
pub(super) struct Emulator {
    architecture: Architecture,
    /// Where it is unpacked; none when it is the machine's own.
    root: Option<PathBuf>,
}

impl Emulator {
    /// The emulator of guests of a kind.
    pub(super) fn of(architecture: Architecture) -> Result<Self> {
        let (program, package, _) = architecture.emulated();
        let root = if process::find(program).is_some() {
            None
        } else {
            let host = Architecture::host().context("guests are run on x86-64 and aarch64")?;
            Some(Packages::of(host).root(package, &[package], &LEFT_OUT)?)
        };
        Ok(Self { architecture, root })
    }

    /// qemu with such a machine, emulated: hardware help is not to be had everywhere, and not
    /// always works where it is offered.
    pub(super) fn command(&self) -> Result<Command> {
        let (program, _, machine) = self.architecture.emulated();
        let mut command = Command::new("timeout");
        // In this process group, so that Ctrl-C ends it, too.
        command.args(["--foreground", "--kill-after=5", LIMIT]);
        match &self.root {
            None => command.arg(program),
            // With its own C library, and so started by its own loader.
            Some(root) => {
                let root = root.canonicalize().context("vm-test's folder")?;
                let libraries = libraries(&root)?;
                command
                    .env("QEMU_MODULE_DIR", libraries.join("qemu"))
                    .arg(loader(&libraries)?)
                    .arg("--library-path")
                    .arg(&libraries)
                    .arg(root.join("usr/bin").join(program))
                    .arg("-L")
                    .arg(root.join("usr/share/qemu"))
                    .arg("-L")
                    .arg(root.join("usr/share/seabios"))
            }
        };
        command.args(machine);
        Ok(command)
    }
}

/// The folder of libraries below an unpacked root.
fn libraries(root: &Path) -> Result<PathBuf> {
    let found = entries(&root.join("usr/lib"))?;
    found
        .into_iter()
        .find(|folder| folder.to_string_lossy().ends_with("-linux-gnu"))
        .with_context(|| format!("{} has no folder of libraries", root.display()))
}

/// The loader among the libraries.
fn loader(libraries: &Path) -> Result<PathBuf> {
    let found = entries(libraries)?;
    found
        .into_iter()
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        })
        .with_context(|| format!("{} has no loader", libraries.display()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot list {}", folder.display());
    let entries = fs::read_dir(folder).with_context(failed)?;
    entries
        .map(|entry| Ok(entry.with_context(failed)?.path()))
        .collect()
}
