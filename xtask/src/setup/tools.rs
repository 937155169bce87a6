//! What tests need that the distribution does not have: fetched once, below `target/tools`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The flowcharts of `roar dag --mermaid` are given to Mermaid's own parser.
const MERMAID: &str = "mermaid@11.17.2";

/// The last accelerate that gets along with the distribution's torch (1.13).
const ACCELERATE: &str = "accelerate==0.29.3";

/// The distribution's Python, which has torch.
const PYTHON: &str = "/usr/bin/python3";

/// Fetches what is missing; returns what had to be left out.
pub(super) fn fetch() -> Result<Vec<String>> {
    let mut skipped = Vec::new();
    if !mermaid()? {
        skipped.push(MERMAID.to_owned());
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

/// Has `target/tools/mermaid` hold Mermaid; false where there is no npm. One package without
/// those it depends on: the file for browsers has them in it.
fn mermaid() -> Result<bool> {
    let folder = workspace::root().join("target/tools/mermaid");
    if folder.join("dist/mermaid.min.js").is_file() {
        return Ok(true);
    }
    if process::find("npm").is_none() {
        return Ok(false);
    }
    std::fs::create_dir_all(&folder).context("cannot make target/tools/mermaid")?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", MERMAID])
        .current_dir(&folder);
    process::run(&mut pack)?;
    let archive = MERMAID.replace('@', "-") + ".tgz";
    let mut unpack = Command::new("tar");
    unpack
        .args(["-xzf", &archive, "--strip-components=1"])
        .arg("package/dist/mermaid.min.js")
        .current_dir(&folder);
    process::run(&mut unpack)?;
    Ok(true)
}
