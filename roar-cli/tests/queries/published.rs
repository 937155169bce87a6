//! The documents of the published tool (`roar-cli` 0.4.7 of PyPI, its ptrace tracer) for three
//! pipelines, and ours for the same files.
//!
//! `published/*.json` has what it answered, by command. Left out are what differs from run to run
//! (uids, times, database ids), its labels and byte ranges; paths are relative to the project,
//! hashes cut to eight digits, and of ids only whether there is one. With `--expanded` it calls
//! everything downstream of a step that ran again superseded, stale or not: not compared.

use serde_json::{Map, Value, json};

use crate::project::TestProject;

#[test]
fn a_chain() {
    check(&chain(), include_str!("published/chain.json"));
}

#[test]
fn a_diamond() {
    let mut project = prepared();
    let one = |name: &str, letter: &str| (format!("sh {name}.sh"), format!("{letter}t1\n"));
    for (name, letter) in [("left", "L"), ("right", "R")] {
        let (command, content) = one(name, letter);
        project.job(
            &command,
            &["train.csv"],
            &[(&format!("{name}.bin"), &content)],
        );
    }
    project.job(
        "sh join.sh",
        &["left.bin", "right.bin", "test.csv"],
        &[("joined.bin", "jLt1\njRt1\nje1\n")],
    );
    check(&project, include_str!("published/diamond.json"));
}

#[test]
fn a_changed_parameter() {
    let mut project = chain();
    project.job(
        "sh train.sh 0.2",
        &["train.csv"],
        &[("model.bin", "m0.2t1\n")],
    );
    check(&project, include_str!("published/changed_parameter.json"));
}

fn prepared() -> TestProject {
    let mut project = TestProject::new();
    project.write("raw.csv", "1\n");
    project.job(
        "sh prep.sh",
        &["raw.csv"],
        &[
            ("train.csv", "t1\n"),
            ("test.csv", "e1\n"),
            ("prep.log", "l1\n"),
        ],
    );
    project
}

fn chain() -> TestProject {
    let mut project = prepared();
    project.job(
        "sh train.sh 0.1",
        &["train.csv"],
        &[("model.bin", "m0.1t1\n")],
    );
    project.job(
        "sh eval.sh",
        &["model.bin", "test.csv"],
        &[("metrics.json", "evm0.1t1\neve1\n")],
    );
    project
}

fn check(project: &TestProject, published: &str) {
    let published: Map<String, Value> = serde_json::from_str(published).expect("JSON");
    for (command, expected) in published {
        let words: Vec<&str> = command.split(' ').collect();
        let ours = comparable(project, project.roar(&words).json());
        assert_eq!(ours, expected, "roar {command}");
    }
}

/// Our document in the form in which the published one is kept.
fn comparable(project: &TestProject, mut document: Value) -> Value {
    let root = format!("{}/", project.root().display());
    simplify(&mut document, &root);
    document
}

fn simplify(value: &mut Value, root: &str) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                simplify(item, root);
            }
            items.sort_by_cached_key(|item| {
                let step = item["producer_step"].as_u64();
                (step, item["path"].as_str().map(str::to_owned))
            });
        }
        Value::Object(fields) => {
            for name in ["job_uid", "job_id", "timestamp", "duration_seconds"] {
                fields.remove(name);
            }
            for (name, field) in fields.iter_mut() {
                match (name.as_str(), field.as_str()) {
                    ("path", Some(path)) => *field = json!(path.trim_start_matches(root)),
                    ("hash", Some(hash)) => *field = json!(hash[..8]),
                    ("artifact_id" | "superseded_by", id) => *field = json!(id.is_some()),
                    _ => simplify(field, root),
                }
            }
        }
        _ => {}
    }
}
