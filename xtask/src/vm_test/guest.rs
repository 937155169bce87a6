//! What a guest boots: an initramfs with Debian's userland, the kernel's modules, roar, the
//! test executables and the workload programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::architecture::Architecture;
use super::packages::{self, Packages, clear};
use super::steps::TESTS;
use crate::{process, workspace};

/// The first process.
const INIT: &str = include_str!("../../vm/init.sh");

/// Everything of a guest but its kernel and its steps.
pub(super) struct Guest {
    architecture: Architecture,
    /// roar, the test executables and the workload programs.
    programs: PathBuf,
}

impl Guest {
    /// Builds roar, the tests and the workload programs for an architecture.
    pub(super) fn build(architecture: Architecture) -> Result<Self> {
        let programs = architecture.folder().join("programs");
        clear(&programs)?;
        let guest = Self {
            architecture,
            programs,
        };
        // As the tests have it elsewhere: what it takes is built for them anyway.
        guest.add(&["build", "--package", "roar-cli", "--bin", "roar"])?;
        let mut tests = vec!["test", "--no-run", "--package", "roar-tests"];
        for test in TESTS {
            tests.extend(["--test", test]);
        }
        guest.add(&tests)?;
        let mut finish = workspace::cargo();
        finish
            .args(["run", "--quiet", "--package", "roar-tests"])
            .args(["--bin", "finish-workloads", "--"])
            .arg(architecture.tool("gcc"))
            .arg(guest.programs.join("workloads"));
        process::run(&mut finish)?;
        Ok(guest)
    }

    /// Writes the initramfs for a kernel.
    pub(super) fn pack(
        &self,
        packages: &mut Packages,
        modules: &Path,
        steps: &[(&str, &str)],
    ) -> Result<PathBuf> {
        let userland = packages.userland()?;
        let folder = self.architecture.folder();
        let root = folder.join("packed");
        clear(&root)?;
        for source in [&userland, &self.programs] {
            let to = if source == &userland {
                root.clone()
            } else {
                root.join("roar")
            };
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(source.join(".")).arg(&to);
            if !to.exists() {
                fs::create_dir(&to)?;
            }
            process::quietly(&mut copy)?;
        }
        packages::copy_modules(modules, &root)?;
        let lines: Vec<_> = steps
            .iter()
            .map(|(name, command)| format!("{name} {command}\n"))
            .collect();
        fs::write(root.join("roar/steps"), lines.concat())?;
        fs::write(root.join("init"), INIT)?;
        process::quietly(Command::new("chmod").arg("+x").arg(root.join("init")))?;
        let archive = folder.join("initramfs.cpio");
        write_archive(&root, &archive)?;
        Ok(archive)
    }

    /// Runs cargo and keeps the executables that it tells of, without what only debuggers need.
    fn add(&self, arguments: &[&str]) -> Result<()> {
        let mut cargo = workspace::cargo();
        self.architecture.choose(cargo.args(arguments));
        process::show(&cargo);
        let messages = process::output(cargo.arg("--message-format=json-render-diagnostics"))?;
        for (name, executable) in executables(&messages) {
            let mut strip = Command::new(self.architecture.tool("strip"));
            strip.arg("-o").arg(self.programs.join(name));
            process::quietly(strip.arg(executable))?;
        }
        Ok(())
    }
}

/// Names and places of the executables in cargo's messages.
fn executables(messages: &str) -> Vec<(String, String)> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.to_owned()))
        })
        .collect()
}

/// A file system as the kernel takes it, everything in it root's.
fn write_archive(root: &Path, archive: &Path) -> Result<()> {
    let mut find = Command::new("find")
        .args([".", "-print0"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start find")?;
    let names = find.stdout.take().context("its output is piped")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--null", "--format=newc", "--owner=+0:+0"])
        .arg("--quiet")
        .current_dir(root)
        .stdin(names)
        .stdout(File::create(archive).with_context(|| archive.display().to_string())?);
    process::quietly(&mut cpio)?;
    if !find.wait()?.success() {
        bail!("{} cannot be listed", root.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_what_it_built() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"libc"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"roar"},"executable":"/t/roar"}
            {"reason":"build-finished","success":true}"#;
        let expected = [("roar".to_owned(), "/t/roar".to_owned())];
        assert_eq!(executables(messages), expected);
    }
}
