//! `cargo xtask demo`: roar at work on a small real pipeline, from nothing.
//!
//! Makes a project (git repository, virtual environment, three Python scripts on scikit-learn's
//! own digits), runs each step under `roar run` and shows what roar knows afterwards. It needs no
//! root and no LLVM. The task is truthful: it fails when a step fails, and when the record is not
//! what the scripts are known to read and write.

mod project;
mod verify;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use self::project::Project;
use crate::{console, process, workspace};

/// Show roar at work on a small machine-learning project
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Where to make the project; made anew each time [default: target/demo]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = build_roar()?;
    let folder = match &args.dir {
        Some(folder) => std::path::absolute(folder).context("the current folder is gone")?,
        None => workspace::target().join("demo"),
    };
    let project = Project::create(&folder, &binary)?;

    console::heading("each step under roar");
    for step in STEPS {
        project.step(step.script)?;
    }

    console::heading("what roar knows");
    project.roar(&["dag"])?;
    project.roar(&["show", MODEL])?;
    console::heading(&format!("where {MODEL} came from"));
    if project.has_command("lineage") {
        project.roar(&["lineage", MODEL])?;
    } else {
        project.roar(&["show", "@1"])?;
        project.roar(&["show", "@2"])?;
    }

    console::heading("is it true?");
    let wrong = verify::check(&project)?;
    if !wrong.is_empty() {
        bail!(
            "the record is not what the scripts do:\n{}",
            wrong.join("\n")
        );
    }
    console::line(&format!(
        "yes: three steps; each step's recorded inputs and outputs are the files its script reads \
         and writes; sizes (and hashes, where b3sum is installed) are those on disk\n\
         the project is in {}; look around there with: {} log",
        folder.display(),
        binary.display()
    ));
    Ok(())
}

/// A step of the pipeline, and the data files that its script reads and writes.
struct Step {
    script: &'static str,
    source: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
}

const MODEL: &str = "model/model.joblib";

const STEPS: [Step; 3] = [
    Step {
        script: "prepare.py",
        source: include_str!("../demo/prepare.py"),
        inputs: &[],
        outputs: &["data/test.csv", "data/train.csv"],
    },
    Step {
        script: "train.py",
        source: include_str!("../demo/train.py"),
        inputs: &["data/train.csv"],
        outputs: &[MODEL],
    },
    Step {
        script: "evaluate.py",
        source: include_str!("../demo/evaluate.py"),
        inputs: &["data/test.csv", MODEL],
        outputs: &["metrics.json"],
    },
];

pub(crate) fn build_roar() -> Result<PathBuf> {
    console::heading("roar");
    let arguments = [
        "build",
        "--release",
        "--package",
        "roar-cli",
        "--bin",
        "roar",
    ];
    process::run(workspace::cargo().args(arguments))?;
    Ok(workspace::target().join("release/roar"))
}
