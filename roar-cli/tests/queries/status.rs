use std::fs;

use serde_json::json;

use crate::project::{TestProject, digest, keys, pipeline};

#[test]
fn the_session_against_the_disk() {
    let mut project = pipeline();
    let status = project.roar(&["status", "--json"]).json();
    assert_eq!(
        keys(&status),
        [
            "artifacts",
            "git",
            "session_id",
            "stale_steps",
            "started_at",
            "total_jobs",
            "total_steps"
        ]
    );
    assert_eq!(status["artifacts"]["present"], 4);
    assert_eq!(status["git"], json!(null));
    project.job(
        "python prepare.py",
        &["raw.csv"],
        &[("train.csv", "2"), ("test.csv", "test")],
    );
    project.write("model.pkl", "by hand");
    fs::remove_file(project.root().join("metrics.json")).expect("it was there");
    fs::remove_file(project.root().join("test.csv")).expect("it was there");
    fs::create_dir(project.root().join("test.csv")).expect("folder");
    let status = project.roar(&["status", "--json"]).json();
    let artifacts = &status["artifacts"];
    assert_eq!(artifacts["present"], 1);
    assert_eq!(artifacts["changed"], 1);
    assert_eq!(artifacts["missing"], 1);
    assert_eq!(artifacts["unverified"], 1);
    let changed = artifacts["files"]
        .as_array()
        .expect("array")
        .iter()
        .find(|file| file["state"] == "changed")
        .expect("the model");
    assert_eq!(changed["hash"], digest(b"model").as_str());
    assert_eq!(changed["found"], digest(b"by hand").as_str());
    assert_eq!(status["stale_steps"][0]["step_number"], 2);
    assert_eq!(status["stale_steps"][0]["inputs"][0]["by_step"], 1);
    assert_eq!(status["stale_steps"][1]["inputs"], json!([]));
    insta::assert_snapshot!(project.roar(&["status"]).whole(), @r"
    Session 1: 3 steps, 4 jobs, started 1970-01-01, 2 stale
      git        not in a git repository
      artifacts  1 present, 1 changed, 1 missing, 1 unverified

      unverified  test.csv      made by @1
      changed     model.pkl     made by @2
      missing     metrics.json  made by @3

    Stale steps
      @2*  python train.py --lr 0.1
           @1 has since produced train.csv anew
      @3*  python evaluate.py
           a step it depends on is stale
    --- stderr
    --- status 0
    ");
}

#[test]
fn nothing_recorded_yet() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.roar(&["status"]).whole(), @r"
    Nothing is recorded yet. Begin with: roar run COMMAND
    --- stderr
    --- status 0
    ");
}

#[test]
fn steps_that_failed_last_are_counted() {
    let mut project = pipeline();
    project.job_with("python prepare.py", &["raw.csv"], &[], |job| {
        job.outcome.exit_code = Some(3);
    });
    for command in ["status", "show"] {
        let text = project.roar(&[command]).stdout;
        let first = text.lines().next().expect("a heading");
        assert!(first.ends_with(", 1 failed"), "{first}");
    }
}
