use std::fs;

use serde_json::{Value, json};

use crate::project::{TestProject, digest, keys, pipeline, roar_in};

fn uids(lineage: &Value) -> Vec<&str> {
    lineage["jobs"]
        .as_array()
        .expect("array")
        .iter()
        .filter_map(|job| job["job_uid"].as_str())
        .collect()
}

#[test]
fn texts() {
    let project = pipeline();
    insta::assert_snapshot!(project.roar(&["lineage", "metrics.json"]).whole(), @r"
    Lineage of metrics.json (6e46dd10, 2 B): 3 jobs, 1 source

    @1 00000001  1970-01-01
        python prepare.py
        read   raw.csv    3 B  d4d4d19b  from outside
        wrote  train.csv  5 B  4164c055
        wrote  test.csv   4 B  4878ca04

    @2 00000002  1970-01-01
        python train.py --lr 0.1
        read   train.csv  5 B  4164c055  from step @1
        wrote  model.pkl  5 B  ccca5379

    @3 00000003  1970-01-01
        python evaluate.py
        read   model.pkl     5 B  ccca5379  from step @2
        read   test.csv      4 B  4878ca04  from step @1
        wrote  metrics.json  2 B  6e46dd10
    --- stderr
    --- status 0
    ");
    insta::assert_snapshot!(project.roar(&["lineage", "metrics.json", "-d", "0"]).stdout, @r"
    Lineage of metrics.json (6e46dd10, 2 B): 1 job
    (there is more above; ask deeper with -d)

    @3 00000003  1970-01-01
        python evaluate.py
        read   model.pkl     5 B  ccca5379
        read   test.csv      4 B  4878ca04
        wrote  metrics.json  2 B  6e46dd10
    ");
    insta::assert_snapshot!(project.roar(&["why", "model.pkl"]).whole(), @r"
    model.pkl (ccca5379, 5 B) was written by step @2 (00000002), 1970-01-01:

        python train.py --lr 0.1

    It read train.csv.

    train.csv was written by step @1 (00000001), 1970-01-01:

        python prepare.py

    It read raw.csv.

    raw.csv came from outside: no recorded job wrote it.

    The code was commit 0123456789ab on main, with uncommitted changes.

    To make it again:

        python prepare.py
        python train.py --lr 0.1
    --- stderr
    --- status 0
    ");
    insta::assert_snapshot!(project.roar(&["why", "raw.csv"]).stdout, @"raw.csv (d4d4d19b, 3 B) came from outside: no recorded job wrote it.");
}

#[test]
fn json_has_the_published_keys() {
    let project = pipeline();
    let lineage = project.roar(&["lineage", "metrics.json", "--json"]).json();
    assert_eq!(keys(&lineage), ["artifact", "artifacts", "jobs"]);
    assert_eq!(keys(&lineage["artifact"]), ["hash", "path", "size"]);
    assert_eq!(
        keys(&lineage["jobs"][0]),
        [
            "command",
            "duration_seconds",
            "exit_code",
            "inputs",
            "job_uid",
            "outputs",
            "step_number",
            "timestamp"
        ]
    );
    assert_eq!(uids(&lineage), ["00000001", "00000002", "00000003"]);
    assert_eq!(lineage["artifacts"].as_array().map(Vec::len), Some(5));
    assert_eq!(lineage["artifact"]["hash"], digest(b"{}").as_str());
    let same = project
        .roar(&["lineage", "metrics.json", "-o", "json"])
        .json();
    assert_eq!(same, lineage);
    for (depth, expected) in [
        ("0", &["00000003"][..]),
        ("1", &["00000001", "00000002", "00000003"]),
        ("2", &["00000001", "00000002", "00000003"]),
    ] {
        let cut = project
            .roar(&["lineage", "metrics.json", "--json", "-d", depth])
            .json();
        assert_eq!(uids(&cut), expected, "{depth}");
    }
}

#[test]
fn follows_content_across_moves_and_sessions() {
    let mut project = pipeline();
    let root = project.root();
    project.store().start_session().expect("a new session");
    fs::rename(root.join("model.pkl"), root.join("best.pkl")).expect("move");
    project.job("deploy", &["best.pkl"], &[("served", "s")]);
    let lineage = project.roar(&["lineage", "served", "--json"]).json();
    assert_eq!(uids(&lineage), ["00000001", "00000002", "00000004"]);
    // By hash, from elsewhere.
    let hash = digest(b"s");
    let by_hash = project
        .roar(&["lineage", &hash.as_str()[..10], "--json"])
        .json();
    assert_eq!(uids(&by_hash), uids(&lineage));
}

#[test]
fn a_copy_does_not_make_the_original() {
    let mut project = TestProject::new();
    project.write("raw", "same");
    project.job("cp raw copy", &["raw"], &[("copy", "same")]);
    project.job("use raw", &["raw"], &[("out", "o")]);
    assert!(uids(&project.roar(&["lineage", "raw", "--json"]).json()).is_empty());
    assert_eq!(
        uids(&project.roar(&["lineage", "out", "--json"]).json()),
        ["00000002"]
    );
    assert_eq!(
        uids(&project.roar(&["lineage", "copy", "--json"]).json()),
        ["00000001"]
    );
    let dag = project.roar(&["dag", "--json"]).json();
    assert_eq!(dag["nodes"][1]["dependencies"], json!([]));
}

#[test]
fn an_edit_by_hand_is_told() {
    let mut project = pipeline();
    project.write("train.csv", "edited");
    project.job("python train.py", &["train.csv"], &[("model.pkl", "other")]);
    let why = project.roar(&["why", "model.pkl"]);
    assert!(
        why.stdout
            .contains("train.csv was written by step @1 (00000001), but had been changed"),
        "{why:?}"
    );
    let json = project.roar(&["why", "model.pkl", "--json"]).json();
    assert_eq!(json["sources"][0]["edited_after"], "00000001");
    assert_eq!(json["commands"], json!(["python train.py"]));
}

#[test]
fn commands_of_why_run_from_where_one_is() {
    let mut project = pipeline();
    fs::create_dir(project.root().join("sub dir")).expect("folder");
    project.job_with(
        "python report.py",
        &["metrics.json"],
        &[("sub dir/r.html", "r")],
        |job| {
            job.cwd = "sub dir".into();
        },
    );
    let below = project.root().join("sub dir");
    let json = roar_in(&below, &["why", "r.html", "--json"], &[]).json();
    let root = project.root().display().to_string();
    assert_eq!(
        json["commands"],
        json!([
            format!("(cd {root} && python prepare.py)"),
            format!("(cd {root} && python train.py --lr 0.1)"),
            format!("(cd {root} && python evaluate.py)"),
            "python report.py"
        ])
    );
}

#[test]
fn wrong_references() {
    let project = pipeline();
    for command in ["lineage", "why"] {
        for reference in ["@2", "nope", "ffffffff", ".", "00000001"] {
            let answer = project.roar(&[command, reference]);
            assert_eq!(answer.status, 1, "{command} {reference}: {answer:?}");
            assert_eq!(answer.stdout, "");
        }
    }
    insta::assert_snapshot!(project.roar(&["why", "@2"]).stderr, @r"
    error: '@2' is no recorded job, no recorded artifact and no file
    hint: see what is recorded with: roar log, roar show
    hint: for the job of a step: roar show @2
    ");
}
