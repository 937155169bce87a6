//! What tests need that the distribution does not have: fetched once, below `target/tools`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// A package of npm's that needs no other.
struct Package {
    name: &'static str,
    version: &'static str,
    /// The file by which it is known to be there.
    file: &'static str,
    /// This file of it, or all.
    only: Option<&'static str>,
}

const PACKAGES: [Package; 3] = [
    // The flowcharts of `roar dag --mermaid` are given to Mermaid's own parser. The file for
    // browsers has those packages in it that it depends on.
    Package {
        name: "mermaid",
        version: "11.17.2",
        file: "dist/mermaid.min.js",
        only: Some("package/dist/mermaid.min.js"),
    },
    // The lineage server's pages are used in a browser, and judged for those who do not see them.
    Package {
        name: "playwright-core",
        version: "1.65.1",
        file: "index.mjs",
        only: None,
    },
    Package {
        name: "axe-core",
        version: "4.14.1",
        file: "axe.min.js",
        only: Some("package/axe.min.js"),
    },
];

/// The last accelerate that gets along with the distribution's torch (1.13).
const ACCELERATE: &str = "accelerate==0.29.3";

/// The distribution's Python, which has torch.
const PYTHON: &str = "/usr/bin/python3";

/// Fetches what is missing; returns what had to be left out.
pub(super) fn fetch() -> Result<Vec<String>> {
    let mut skipped = Vec::new();
    for package in &PACKAGES {
        if !from_npm(package)? {
            skipped.push(format!("{}@{}", package.name, package.version));
        }
    }
    if !accelerate()? {
        skipped.push(ACCELERATE.to_owned());
    }
    Ok(skipped)
}

/// Has `target/tools/accelerate` be an environment with accelerate in it, over the distribution's
/// torch; false where there is no such Python.
fn accelerate() -> Result<bool> {
    let folder = workspace::root().join("target/tools/accelerate");
    let program = folder.join("bin/accelerate");
    if program.is_file() {
        return Ok(true);
    }
    let mut probe = Command::new(PYTHON);
    probe.args(["-c", "import torch, venv, ensurepip"]);
    if !Path::new(PYTHON).is_file() || !process::succeeds(&mut probe) {
        return Ok(false);
    }
    let mut make = Command::new(PYTHON);
    make.args(["-m", "venv", "--clear", "--system-site-packages"])
        .arg(&folder);
    process::run(&mut make)?;
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", ACCELERATE]);
    process::run(&mut install)?;
    Ok(program.is_file())
}

/// Has a folder of `target/tools` hold a package; false where there is no npm.
fn from_npm(package: &Package) -> Result<bool> {
    let folder = workspace::root().join("target/tools").join(package.name);
    if folder.join(package.file).is_file() {
        return Ok(true);
    }
    if process::find("npm").is_none() {
        return Ok(false);
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent"])
        .arg(format!("{}@{}", package.name, package.version))
        .current_dir(&folder);
    process::run(&mut pack)?;
    let mut unpack = Command::new("tar");
    unpack
        .arg("-xzf")
        .arg(format!("{}-{}.tgz", package.name, package.version))
        .arg("--strip-components=1")
        .args(package.only)
        .current_dir(&folder);
    process::run(&mut unpack)?;
    Ok(true)
}
