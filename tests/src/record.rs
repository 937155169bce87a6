//! What roar recorded of a job, read from its `--json` alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::oracle::FileSets;
use crate::project::Project;

/// A job as `roar show --json` tells it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The whole answer.
    pub json: Value,
}

impl Record {
    /// Reads a job by any reference that `roar show` takes.
    #[track_caller]
    pub fn of(project: &Project, reference: &str) -> Self {
        let json = project
            .roar(["show", reference, "--all", "--json"])
            .succeeds()
            .json();
        Self { json }
    }

    /// Reads the job that was recorded last.
    #[track_caller]
    pub fn newest(project: &Project) -> Self {
        let log = project.roar(["log", "--json", "-n", "1"]).succeeds().json();
        let jobs = log.as_array().or_else(|| log["jobs"].as_array());
        let uid = jobs
            .and_then(|jobs| jobs.first())
            .and_then(|job| job["job_uid"].as_str());
        Self::of(project, uid.expect("a job was recorded"))
    }

    /// Inputs and outputs under a folder, relative to it.
    pub fn files_under(&self, folder: &Path) -> FileSets {
        FileSets {
            inputs: self.inputs(),
            outputs: self.outputs(),
        }
        .under(folder)
    }

    /// As [`Self::files_under`], with what was seen inside of git repositories and kept out of
    /// the record for that reason.
    pub fn files_and_repositories_under(&self, folder: &Path) -> FileSets {
        let mut sets = FileSets {
            inputs: self.inputs(),
            outputs: self.outputs(),
        };
        for entry in self
            .list("filtered")
            .iter()
            .filter(|entry| entry["by"] == "git")
        {
            let path = raw_path(&entry["path"]);
            let access = entry["access"].as_str().unwrap_or_default();
            if access.starts_with("read") {
                sets.inputs.insert(path.clone());
            }
            if access.ends_with("write") {
                sets.outputs.insert(path);
            }
        }
        sets.under(folder)
    }

    /// Paths of all inputs.
    pub fn inputs(&self) -> BTreeSet<PathBuf> {
        self.paths("inputs")
    }

    /// Paths of all outputs.
    pub fn outputs(&self) -> BTreeSet<PathBuf> {
        self.paths("outputs")
    }

    /// Paths of all accesses that a filter kept out.
    pub fn filtered(&self) -> BTreeSet<PathBuf> {
        self.paths("filtered")
    }

    /// The entry of a file among `inputs` or `outputs`.
    #[track_caller]
    pub fn entry(&self, list: &str, path: &Path) -> &Value {
        self.list(list)
            .iter()
            .find(|entry| raw_path(&entry["path"]) == path)
            .unwrap_or_else(|| panic!("{} is not among {list}: {:#}", path.display(), self.json))
    }

    /// Whether the record says that nothing was missed.
    pub fn is_complete(&self) -> bool {
        self.json["completeness"]["complete"] == true
    }

    /// What it says of its own completeness.
    pub fn completeness(&self) -> &Value {
        &self.json["completeness"]
    }

    fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().map_or(&[], Vec::as_slice)
    }

    fn paths(&self, list: &str) -> BTreeSet<PathBuf> {
        let entries = self.list(list);
        entries
            .iter()
            .map(|entry| raw_path(&entry["path"]))
            .collect()
    }
}

/// A path of roar's JSON: text, or base64 where the bytes are not UTF-8.
fn raw_path(value: &Value) -> PathBuf {
    let bytes = match value {
        Value::String(text) => text.clone().into_bytes(),
        value => value["base64"]
            .as_str()
            .and_then(|text| BASE64.decode(text).ok())
            .unwrap_or_else(|| panic!("not a path of roar's JSON: {value}")),
    };
    PathBuf::from(OsString::from_vec(bytes))
}
