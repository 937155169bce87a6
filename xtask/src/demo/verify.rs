//! Compares the record with what the scripts are known to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::project::Project;
use super::{STEPS, Step};
use crate::{console, process};

/// Everything that is wrong with the record; says which tracer made it.
pub(super) fn check(project: &Project) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let dag = project.roar_json(&["dag"])?;
    if dag["total_steps"] != STEPS.len() {
        wrong.push(format!("dag counts {} steps", dag["total_steps"]));
    }
    if dag["stale_count"] != 0 {
        wrong.push(format!("dag calls {} steps stale", dag["stale_count"]));
    }
    for (number, step) in (1..).zip(&STEPS) {
        let job = project.roar_json(&["show", &format!("@{number}")])?;
        if number == 1 {
            let backend = job["completeness"]["backend"].as_str().unwrap_or("none");
            console::line(&format!("tracer: {backend}"));
        }
        wrong.extend(check_job(&project.root, step, &job));
    }
    Ok(wrong)
}

fn check_job(root: &Path, step: &Step, job: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut note = |what: String| wrong.push(format!("{}: {what}", step.script));
    if job["exit_code"] != 0 {
        note(format!("exit code {}", job["exit_code"]));
    }
    if job["completeness"]["complete"] != true {
        note(format!("not complete: {}", job["completeness"]));
    }
    for (side, expected) in [("inputs", step.inputs), ("outputs", step.outputs)] {
        let expected: BTreeSet<String> = expected
            .iter()
            .map(|path| root.join(path).to_string_lossy().into_owned())
            .collect();
        let empty = Vec::new();
        let files = job[side].as_array().unwrap_or(&empty);
        let found: BTreeSet<String> = files
            .iter()
            .filter_map(|file| file["path"].as_str().map(str::to_owned))
            .collect();
        for path in found.difference(&expected) {
            note(format!("{path} is no {side} of it"));
        }
        for path in expected.difference(&found) {
            note(format!("{path} is missing among its {side}"));
        }
        for file in files {
            let path = file["path"].as_str().unwrap_or_default();
            let on_disk = fs::metadata(path).map(|metadata| metadata.len()).ok();
            if file["size"].as_u64() != on_disk {
                note(format!(
                    "{path} has {on_disk:?} bytes, recorded {}",
                    file["size"]
                ));
            }
            match (file["hash"].as_str(), b3sum(path)) {
                (None, _) => note(format!("{path} has no BLAKE3 hash")),
                (Some(hash), Some(sum)) if file["size"].as_u64() == on_disk && hash != sum => {
                    note(format!("{path} was recorded as {hash}, b3sum says {sum}"));
                }
                _ => {}
            }
        }
    }
    wrong
}

/// What an independent program says about the content, where it is installed.
fn b3sum(path: &str) -> Option<String> {
    let program = process::find("b3sum")?;
    let text = process::output(Command::new(program).args(["--no-names", path])).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_record_is_found() {
        fn check(change: impl FnOnce(&mut Value, &Path), expected: &[&str]) {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path();
            for (path, text) in [("in", "four"), ("out", "fifty")] {
                fs::write(root.join(path), text).expect("written");
            }
            let file = |name: &str, size: u64| {
                let path = root.join(name);
                let hash = b3sum(&path.to_string_lossy()).unwrap_or_else(|| "0".repeat(64));
                json!({"path": path, "size": size, "hash": hash})
            };
            let mut job = json!({
                "exit_code": 0,
                "completeness": {"complete": true},
                "inputs": [file("in", 4)],
                "outputs": [file("out", 5)],
            });
            change(&mut job, root);
            let step = Step {
                script: "s.py",
                source: "",
                inputs: &["in"],
                outputs: &["out"],
            };
            let found = check_job(root, &step, &job);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{found} without {expected}");
            }
        }
        check(|_, _| {}, &[]);
        check(|job, _| job["exit_code"] = 1.into(), &["exit code 1"]);
        check(
            |job, _| job["completeness"]["complete"] = false.into(),
            &["not complete"],
        );
        check(
            |job, _| job["inputs"] = json!([]),
            &["in is missing among its inputs"],
        );
        check(
            |job, _| job["outputs"][0]["size"] = 4.into(),
            &["recorded 4"],
        );
        check(
            |job, _| job["inputs"][0]["hash"] = Value::Null,
            &["no BLAKE3"],
        );
        let other = "f".repeat(64);
        let sums = if process::find("b3sum").is_some() {
            &["b3sum says"][..]
        } else {
            &[]
        };
        check(|job, _| job["outputs"][0]["hash"] = other.into(), sums);
        check(
            |job, root| job["inputs"][0]["path"] = json!(root.join("out")),
            &[
                "out is no inputs of it",
                "in is missing",
                "has Some(5) bytes",
            ],
        );
    }
}
