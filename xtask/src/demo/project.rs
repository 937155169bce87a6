//! The demo's project: a folder, a virtual environment, a git repository.
//!
//! Touches nothing of the user's: git runs without their configuration, pip keeps its cache in
//! the target folder, and a folder that the demo did not make is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::STEPS;
use crate::setup::{self, Part};
use crate::{console, process, python, workspace};

/// A project, ready for `roar run`.
pub(super) struct Project {
    /// Its folder, symlinks resolved.
    pub(super) root: PathBuf,
    roar: PathBuf,
}

/// What the scripts import. Wheels only: a compiler must not be needed.
const REQUIREMENT: &str = "scikit-learn>=1.5,<2";

/// Marks a folder as one that the demo made and may make anew.
const MARKER: &str = ".roar-demo";

/// The virtual environment, kept between runs.
const ENVIRONMENT: &str = ".venv";

/// The status of a roar that failed before it started the command.
const BEFORE_COMMAND: i32 = 125;

const IGNORED: &str = "/.roar-demo\n/.venv/\n/data/\n/metrics.json\n/model/\n__pycache__/\n";

impl Project {
    /// Makes the project in `folder`, anew when the demo made that folder before.
    pub(super) fn create(folder: &Path, roar: &Path) -> Result<Self> {
        console::heading("a project");
        clear(folder)?;
        let failed = || format!("cannot write to {}", folder.display());
        fs::create_dir_all(folder).with_context(failed)?;
        fs::write(folder.join(MARKER), "").with_context(failed)?;
        let root = folder.canonicalize().with_context(failed)?;
        let project = Self {
            root,
            roar: roar.to_path_buf(),
        };
        project.make_environment()?;
        for step in STEPS {
            fs::write(project.root.join(step.script), step.source).with_context(failed)?;
        }
        fs::write(project.root.join(".gitignore"), IGNORED).with_context(failed)?;
        console::line(&format!("$ cd {}", project.root.display()));
        process::run(&mut project.git(&["init", "--quiet", "--initial-branch=main"]))?;
        project.roar(&["init", "-y"])?;
        process::run(&mut project.git(&["add", "."]))?;
        let commit = [
            "commit",
            "--quiet",
            "-m",
            "a pipeline on handwritten digits",
        ];
        process::run(&mut project.git(&commit))?;
        Ok(project)
    }

    /// Runs roar in the project, shown as typed.
    pub(super) fn roar(&self, words: &[&str]) -> Result<()> {
        console::line("");
        process::run(&mut self.roar_command(words)?)
    }

    /// Runs a step of the pipeline under roar.
    ///
    /// # Errors
    /// The step failed, or roar could not trace it.
    pub(super) fn step(&self, script: &str) -> Result<()> {
        console::line("");
        let mut command = self.roar_command(&["run", "python", script])?;
        process::show(&command);
        // A log that xtask's output is sent to would be an output of every step.
        match process::relayed(&mut command)?.code() {
            Some(0) => Ok(()),
            Some(BEFORE_COMMAND) => bail!(
                "roar could not trace {script}; its message above says why. eBPF needs root, or \
                 CAP_BPF and CAP_PERFMON: sudo env PATH=\"$PATH\" cargo xtask demo"
            ),
            Some(status) => bail!("the step {script} failed with status {status}"),
            None => bail!("roar was killed during the step {script}"),
        }
    }

    /// What roar says about `words` in JSON.
    pub(super) fn roar_json(&self, words: &[&str]) -> Result<serde_json::Value> {
        let text = process::output(self.roar_command(words)?.arg("--json"))?;
        serde_json::from_str(&text).with_context(|| format!("roar {}: not JSON", words.join(" ")))
    }

    /// Whether this roar has the command.
    pub(super) fn has_command(&self, command: &str) -> bool {
        process::succeeds(Command::new(&self.roar).args([command, "--help"]))
    }

    fn roar_command(&self, words: &[&str]) -> Result<Command> {
        let environment = self.root.join(ENVIRONMENT);
        let mut command = Command::new(&self.roar);
        command
            .args(words)
            .current_dir(&self.root)
            .env("PATH", process::path_with(&[&environment.join("bin")])?)
            .env("VIRTUAL_ENV", &environment)
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    /// git, deaf to the user's configuration and to a repository around the caller.
    fn git(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(&name);
            }
        }
        command
            .args(words)
            .current_dir(&self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "roar demo")
                .env(format!("GIT_{role}_EMAIL"), "demo@roar.invalid");
        }
        command
    }

    fn make_environment(&self) -> Result<()> {
        let environment = self.root.join(ENVIRONMENT);
        let python = environment.join("bin/python");
        if process::succeeds(Command::new(&python).args(["-c", "import sklearn"])) {
            console::line("the virtual environment of the last time still works");
            return Ok(());
        }
        setup::ensure(&[Part::Python])?;
        let system_python = python::find()
            .context("the demo needs Python 3.10 or newer with venv (Debian: python3-venv)")?;
        process::run(
            Command::new(system_python)
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )?;
        process::run(
            Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(["--only-binary", ":all:", REQUIREMENT])
                .env("PIP_CACHE_DIR", workspace::target().join("pip-cache")),
        )
        .context("pip could not install scikit-learn")
    }
}

/// Empties a folder that the demo made, but for the virtual environment.
fn clear(folder: &Path) -> Result<()> {
    let failed = || format!("cannot clear {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries
            .collect::<Result<Vec<_>, _>>()
            .with_context(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(failed),
    };
    if entries.is_empty() {
        return Ok(());
    }
    if !folder.join(MARKER).is_file() {
        bail!(
            "{} is not empty and was not made by the demo: give another --dir",
            folder.display()
        );
    }
    for entry in entries {
        let name = entry.file_name();
        if name == ENVIRONMENT || name == MARKER {
            continue;
        }
        if entry.file_type().with_context(failed)?.is_dir() {
            fs::remove_dir_all(entry.path()).with_context(failed)?;
        } else {
            fs::remove_file(entry.path()).with_context(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_demos_own_folder_is_cleared() {
        fn check(files: &[&str], expected: Option<&[&str]>) {
            let folder = tempfile::tempdir().expect("a folder");
            for file in files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, "").expect("written");
            }
            let result = clear(folder.path());
            assert_eq!(result.is_ok(), expected.is_some(), "{files:?}");
            let mut left: Vec<_> = fs::read_dir(folder.path())
                .expect("listed")
                .map(|entry| {
                    entry
                        .expect("an entry")
                        .file_name()
                        .into_string()
                        .expect("UTF-8")
                })
                .collect();
            left.sort();
            let mut unchanged: Vec<_> = files.iter().filter_map(|f| f.split('/').next()).collect();
            unchanged.sort_unstable();
            assert_eq!(left, expected.unwrap_or(&unchanged));
        }
        check(&[], Some(&[]));
        check(&["thesis.tex", "data/a"], None);
        check(
            &[".roar-demo", ".venv/bin/python", "data/a", "train.py"],
            Some(&[".roar-demo", ".venv"]),
        );
    }
}
