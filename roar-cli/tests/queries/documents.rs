//! The documents of `dag --json` and `lineage --json` against what their keys mean, in a session
//! with a build, a re-run, what that makes stale, a failure and a kill.

use roar_cli::model::JobKind;
use serde_json::{Value, json};

use crate::project::{
    DAG_KEYS, LINEAGE_JOB_KEYS, NODE_KEYS, TestProject, VERSION_KEYS, digest, keys,
};

/// A build, a preparation that ran twice, two readers of what it made first, one of them by a file
/// that was moved; a failure; a kill.
fn session() -> TestProject {
    let mut project = TestProject::new();
    project.write("raw", "r");
    project.job_with("make", &["raw"], &[("lib", "l")], |job| {
        job.kind = JobKind::Build;
    });
    project.job_with(
        "sh prepare.sh 'a b'",
        &["raw", "lib"],
        &[("a", "a1"), ("aside", "s1")],
        |job| job.name = Some("prepare".to_owned()),
    );
    project.job("sh one.sh", &["a"], &[("one", "1")]);
    project.write("moved", "a1");
    project.job("sh two.sh", &["moved"], &[("two", "2")]);
    project.job("sh join.sh", &["one", "two"], &[("end", "12")]);
    project.job(
        "sh prepare.sh",
        &["raw", "lib"],
        &[("a", "a2"), ("aside", "s1")],
    );
    project.job_with("false", &["raw"], &[("never", "")], |job| {
        job.outcome.exit_code = Some(1);
    });
    project.job_with("sleep", &["raw"], &[("half", "h")], |job| {
        job.outcome.exit_code = None;
        job.outcome.signal = Some(9);
    });
    project
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

/// Of each entry, what one of its keys has.
fn each(entries: &Value, key: &str) -> Value {
    list(entries)
        .iter()
        .map(|entry| entry[key].clone())
        .collect()
}

#[test]
fn dag() {
    let project = session();
    let at = |path: &str| project.root().join(path).display().to_string();
    let dag = project.roar(&["dag", "--json", "--show-artifacts"]).json();
    assert_eq!(keys(&dag), DAG_KEYS);
    let nodes = &dag["nodes"];
    assert_eq!(each(nodes, "step_number"), json!([1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(dag["total_steps"], 7);
    assert_eq!(
        each(nodes, "is_build"),
        json!([true, false, false, false, false, false, false])
    );
    assert_eq!(
        each(nodes, "dependencies"),
        json!([[], [1], [2], [2], [3, 4], [], []])
    );
    // What was moved is no longer what its maker makes, but nobody wrote over it.
    assert_eq!(
        each(nodes, "state"),
        json!([
            "active", "active", "stale", "active", "stale", "active", "active"
        ])
    );
    assert_eq!(each(nodes, "exit_code"), json!([0, 0, 0, 0, 0, 1, null]));
    assert_eq!(dag["stale_count"], 2);
    for node in list(nodes) {
        assert_eq!(keys(node), NODE_KEYS);
        let uid = node["job_uid"].as_str().expect("a text");
        let job = project.roar(&["show", uid, "--json"]).json();
        let count = |key: &str| list(&job[key]).len();
        assert_eq!(node["metrics"]["inputs"], count("inputs"));
        assert_eq!(node["metrics"]["outputs"], count("outputs"));
        for key in ["command", "step_name", "step_number", "exit_code"] {
            assert_eq!(node[key], job[key], "{key} of {uid}");
        }
    }
    let artifacts = list(&dag["artifacts"]);
    for artifact in artifacts {
        assert_eq!(keys(artifact), VERSION_KEYS);
        assert_eq!(artifact["is_stale"], artifact["state"] == "stale");
        // What is in place is on disk.
        let on_disk = std::fs::read(artifact["path"].as_str().expect("a path")).expect("there");
        assert_eq!(artifact["hash"], digest(&on_disk).as_str());
        let id = artifact["artifact_id"].as_str().expect("a text");
        let found = project.roar(&["show", id, "--json"]).json();
        assert_eq!(found["hash"], artifact["hash"]);
    }
    let stale = artifacts.iter().filter(|one| one["is_stale"] == true);
    assert_eq!(dag["stale_artifact_count"], stale.count());
    let ends = project.roar(&["dag", "--json"]).json();
    assert_eq!(
        each(&ends["artifacts"], "path"),
        json!([at("end"), at("never"), at("half")])
    );
    assert_eq!(
        each(&ends["artifacts"], "is_terminal"),
        json!([true, true, true])
    );

    let expanded = project
        .roar(&["dag", "--json", "--expanded", "--show-artifacts"])
        .json();
    assert_eq!(expanded["is_expanded"], true);
    assert_eq!(
        each(&expanded["nodes"], "step_number"),
        json!([1, 2, 2, 3, 4, 5, 6, 7])
    );
    let versions: Vec<&Value> = list(&expanded["artifacts"])
        .iter()
        .filter(|one| one["path"] == at("a"))
        .collect();
    let [old, new] = versions[..] else {
        panic!("two versions: {versions:#?}");
    };
    assert_eq!(old["state"], "superseded");
    assert_eq!(old["superseded_by"], new["artifact_id"]);
    assert_eq!(old["consumer_steps"], json!([3, 4]));
    assert_eq!(new["consumer_steps"], json!([]));
    assert_eq!(expanded["superseded_artifact_count"], 1);
}

#[test]
fn lineage() {
    let project = session();
    let document = project.roar(&["lineage", "end", "--json"]).json();
    assert_eq!(keys(&document), ["artifact", "artifacts", "jobs"]);
    let end = json!({
        "path": project.root().join("end").display().to_string(),
        "hash": digest(b"12").as_str(),
        "size": 2,
    });
    assert_eq!(document["artifact"], end);
    let jobs = &document["jobs"];
    assert_eq!(each(jobs, "step_number"), json!([1, 2, 3, 4, 5]));
    let mut met = vec![end];
    for job in list(jobs) {
        assert_eq!(keys(job), LINEAGE_JOB_KEYS);
        assert_eq!(job["duration_seconds"], 1.5);
        assert!(job["timestamp"].is_f64(), "{job:#}");
        let uid = job["job_uid"].as_str().expect("a text");
        let whole = project.roar(&["show", uid, "--json"]).json();
        assert_eq!(each(&job["inputs"], "path"), each(&whole["inputs"], "path"));
        let written = each(&whole["outputs"], "path");
        for output in list(&job["outputs"]) {
            assert!(list(&written).contains(&output["path"]), "{output:#}");
        }
        met.extend(
            ["inputs", "outputs"]
                .iter()
                .flat_map(|key| list(&job[key]).to_vec()),
        );
    }
    // One content is one artifact.
    let hashes = |files: &[Value]| -> std::collections::BTreeSet<String> {
        files.iter().map(|file| file["hash"].to_string()).collect()
    };
    let artifacts = list(&document["artifacts"]);
    assert_eq!(hashes(artifacts), hashes(&met));
    assert_eq!(artifacts.len(), hashes(&met).len());
    let other_form = project.roar(&["lineage", "end", "-o", "json"]).json();
    assert_eq!(other_form, document);
    let near = project
        .roar(&["lineage", "end", "-d", "1", "--json"])
        .json();
    assert_eq!(each(&near["jobs"], "step_number"), json!([3, 4, 5]));
}
