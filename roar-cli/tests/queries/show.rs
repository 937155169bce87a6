use std::fs;

use serde_json::json;

use crate::project::{TestProject, digest, keys, pipeline};

#[test]
fn texts() {
    let project = pipeline();
    insta::assert_snapshot!(project.roar(&["show"]).stdout, @r"
    Session 1: 3 steps, 3 jobs, started 1970-01-01

    step  state   last job  runs  started     took  status  command
    @1    active  00000001     1  1970-01-01  1.5s  ok      python prepare.py
    @2    active  00000002     1  1970-01-01  1.5s  ok      python train.py --lr 0.1
    @3    active  00000003     1  1970-01-01  1.5s  ok      python evaluate.py
    ");
    insta::assert_snapshot!(project.roar(&["show", "@3"]).stdout, @r"
    Job 00000003, step @3, session 1, active
      command    python evaluate.py
      folder     .
      started    1970-01-01 00:00:03 +00:00
      duration   1.5s
      ended      ok
      git        0123456789ab on main, with uncommitted changes (not kept), https://example.org/p.git
      machine    box, 2 CPUs
      record     complete (replay)

    Inputs (2)
      model.pkl  5 B  ccca5379  read
      test.csv   4 B  4878ca04  read

    Outputs (1)
      metrics.json  2 B  6e46dd10

    Filtered (1)
      1 file by filters.ignore_system_reads
      list them with: --all
    ");
    insta::assert_snapshot!(project.roar(&["show", "@3", "--all"]).stdout.lines().last().unwrap_or_default(), @"  /usr/lib/libc.so  read  filters.ignore_system_reads");
    insta::assert_snapshot!(project.roar(&["show", "model.pkl"]).stdout, @r"
    Artifact ccca5379
      path       model.pkl
      blake3     ccca53791b024d98ee5d8c126d923e16f6cede945beb0b93c9abca301ed453e7
      size       5 B
      met first  1970-01-01 00:00:02 +00:00
      known as   model.pkl

    Produced by
      00000002  @2  1970-01-01  python train.py --lr 0.1  as model.pkl

    Consumed by
      00000003  @3  1970-01-01  python evaluate.py  as model.pkl
    ");
}

#[test]
fn a_job_in_json_has_the_published_keys() {
    let mut project = pipeline();
    let job = project.roar(&["show", "@2", "--json"]).json();
    assert_eq!(
        keys(&job),
        [
            "argv",
            "command",
            "completeness",
            "cwd",
            "duration_seconds",
            "environment",
            "exit_code",
            "git",
            "inputs",
            "interrupted",
            "job_type",
            "job_uid",
            "network",
            "outputs",
            "packages",
            "redactions",
            "runtime",
            "signal",
            "started_at",
            "step_name",
            "step_number"
        ]
    );
    assert_eq!(
        keys(&job["inputs"][0]),
        ["basis", "hash", "hashes", "path", "size"]
    );
    assert_eq!(keys(&job["outputs"][0]), ["hash", "hashes", "path", "size"]);
    assert_eq!(
        keys(&job["completeness"]),
        [
            "backend",
            "complete",
            "gaps",
            "lost_events",
            "notes",
            "truncated_paths"
        ]
    );
    assert_eq!(keys(&job["git"]), ["branch", "commit", "dirty", "remote"]);
    assert_eq!(job["argv"], json!(["python", "train.py", "--lr", "0.1"]));
    assert_eq!(job["command"], "python train.py --lr 0.1");
    assert_eq!(job["cwd"], project.root().display().to_string());
    assert_eq!(job["started_at"], "1970-01-01T00:00:02Z");
    assert_eq!(job["duration_seconds"], 1.5);
    assert_eq!(
        job["inputs"][0]["path"],
        project.root().join("train.csv").display().to_string()
    );
    assert_eq!(job["inputs"][0]["hash"], digest(b"train").as_str());
    assert_eq!(
        job["inputs"][0]["hashes"]["blake3"],
        digest(b"train").as_str()
    );
    assert_eq!(job["inputs"][0]["size"], 5);
    let all = project.roar(&["show", "@2", "--all", "--json"]).json();
    assert_eq!(
        all["filtered"],
        json!([{"path": "/usr/lib/libc.so", "access": "read", "by": "filters.ignore_system_reads"}])
    );
    project.job_with("x", &["raw.csv"], &[], |job| {
        job.inputs[0].note = Some("changed while it was hashed".to_owned());
        job.git = None;
        job.cwd = "sub".into();
    });
    let job = project.roar(&["show", "@4", "--json"]).json();
    assert_eq!(job["inputs"][0]["note"], "changed while it was hashed");
    assert_eq!(job["git"], json!(null));
    assert_eq!(job["cwd"], project.root().join("sub").display().to_string());
}

#[test]
fn a_file_is_recognised_by_its_content() {
    let project = pipeline();
    let root = project.root();
    fs::create_dir(root.join("sub")).expect("folder");
    fs::rename(root.join("model.pkl"), root.join("sub/best model")).expect("move");
    let found = project.roar(&["show", "sub/best model", "--json"]).json();
    assert_eq!(found["hash"], digest(b"model").as_str());
    assert_eq!(found["produced_by"][0]["job_uid"], "00000002");
    assert_eq!(found["consumed_by"][0]["job_uid"], "00000003");
    assert_eq!(found["current_hash"], digest(b"model").as_str());
    // From a folder below, and by way of a link.
    let below = crate::project::roar_in(&root.join("sub"), &["show", "best model", "--json"], &[]);
    assert_eq!(below.json()["hash"], digest(b"model").as_str());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("sub/best model", root.join("link")).expect("link");
        let linked = project.roar(&["show", "link", "--json"]).json();
        assert_eq!(linked["hash"], digest(b"model").as_str());
    }
    // Where it was, its record is still found, and said to be gone.
    let gone = project.roar(&["show", "model.pkl", "--json"]);
    assert_eq!(gone.json()["current_hash"], json!(null));
    assert!(gone.stderr.contains("cannot be read any more"), "{gone:?}");
    // Changed: the last record, and a warning.
    project.write("metrics.json", "by hand");
    let changed = project.roar(&["show", "metrics.json", "--json"]);
    assert_eq!(changed.json()["hash"], digest(b"{}").as_str());
    assert_eq!(changed.json()["current_hash"], digest(b"by hand").as_str());
    assert!(changed.stderr.contains("is not recorded"), "{changed:?}");
}

#[test]
fn prefixes() {
    let mut project = pipeline();
    let model = digest(b"model");
    for reference in [
        &model.as_str()[..8],
        model.as_str(),
        &model.as_str().to_uppercase(),
    ] {
        let found = project.roar(&["show", reference, "--json"]).json();
        assert_eq!(found["hash"], model.as_str(), "{reference}");
        assert_eq!(found["path"], json!(null));
    }
    assert_eq!(
        project.roar(&["show", "00000002", "--json"]).json()["step_number"],
        2
    );
    insta::assert_snapshot!(project.roar(&["show", "0000"]).whole(), @r"
    --- stderr
    error: '0000' is ambiguous
    hint: job      00000003  python evaluate.py
    hint: job      00000002  python train.py --lr 0.1
    hint: job      00000001  python prepare.py
    --- status 1
    ");
    // A uid that a hash also begins with: the whole uid means the job.
    let uid = &model.as_str()[..8];
    project.job_with("x", &["raw.csv"], &[], |job| {
        job.uid = uid.parse().expect("hex");
    });
    assert_eq!(
        project.roar(&["show", uid, "--json"]).json()["job_uid"],
        uid
    );
    assert_eq!(project.roar(&["show", &uid[..6], "--json"]).status, 1);
}

#[test]
fn wrong_references() {
    let mut project = pipeline();
    project.job_with("make", &[], &[("tool", "t")], |job| {
        job.kind = roar_cli::model::JobKind::Build;
    });
    assert_eq!(
        project.roar(&["show", "@B4", "--json"]).json()["job_type"],
        "build"
    );
    assert_eq!(
        project.roar(&["show", "@4", "--json"]).json()["job_type"],
        "build"
    );
    for reference in [
        "@0",
        "@9",
        "@999999",
        "@99999999999999",
        "@B0",
        "@B1",
        "@",
        "@x",
        "abc",
        "ffffffff",
        "nope",
        "..",
        "",
    ] {
        let answer = project.roar(&["show", reference]);
        assert_eq!(answer.status, 1, "{reference}: {answer:?}");
        assert_eq!(answer.stdout, "", "{reference}");
        assert!(
            answer.stderr.starts_with("error: "),
            "{reference}: {answer:?}"
        );
    }
    insta::assert_snapshot!(project.roar(&["show", "@9"]).stderr, @r"
    error: there is no step @9
    hint: the session has the steps @1, @2, @3, @B4
    ");
    insta::assert_snapshot!(project.roar(&["show", "@B1"]).stderr, @r"
    error: step 1 is not a build step
    hint: did you mean @1?
    ");
    insta::assert_snapshot!(project.roar(&["show", "abc"]).stderr, @r"
    error: 'abc' is no recorded job, no recorded artifact and no file
    hint: a job uid or hash needs at least 4 digits
    ");
    insta::assert_snapshot!(project.roar(&["show", "nope"]).stderr, @r"
    error: 'nope' is no recorded job, no recorded artifact and no file
    hint: see what is recorded with: roar log, roar show
    ");
    project.write("unknown", "never met");
    insta::assert_snapshot!(project.roar(&["show", "unknown"]).stderr, @r"
    error: 'unknown' (58882214) is not known: no recorded job read or wrote this content
    hint: only files that a `roar run` command met are recorded; see: roar log
    ");
}

#[test]
fn nothing_recorded_yet() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.roar(&["show"]).whole(), @r"
    Nothing is recorded yet. Begin with: roar run COMMAND
    --- stderr
    --- status 0
    ");
    assert_eq!(project.roar(&["show", "--json"]).json(), json!(null));
    insta::assert_snapshot!(project.roar(&["show", "@1"]).whole(), @r"
    --- stderr
    error: there is no step @1
    hint: nothing is recorded yet; begin with: roar run COMMAND
    --- status 1
    ");
}
