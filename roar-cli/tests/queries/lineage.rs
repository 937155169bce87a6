use std::fs;

use serde_json::{Value, json};

use crate::project::{LINEAGE_JOB_KEYS, TestProject, digest, keys, pipeline, roar_in};

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
    assert_eq!(keys(&lineage["jobs"][0]), LINEAGE_JOB_KEYS);
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

/// A data set of 12 files that is cut into 11 shards, of which a model is made from two.
fn with_collections() -> (TestProject, String, String) {
    let mut project = TestProject::new();
    let data: Vec<String> = (10..22).map(|n| format!("data/{n}.txt")).collect();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    for (at, path) in data.iter().enumerate() {
        project.write(path, &format!("{at:09}"));
    }
    let shards: Vec<String> = (10..21).map(|n| format!("shards/{n}")).collect();
    let contents: Vec<(&str, &str)> = shards.iter().map(|s| (s.as_str(), s.as_str())).collect();
    project.job("python cut.py", &data, &contents);
    let read = project.collection(1, "data", false).to_string();
    let written = project.collection(1, "shards", true).to_string();
    project.job(
        "python train.py",
        &["shards/10", "shards/13"],
        &[("model", "m")],
    );
    (project, read, written)
}

#[test]
fn a_collection_is_one_line() {
    let (project, ..) = with_collections();
    insta::assert_snapshot!(project.roar(&["lineage", "model"]).whole(), @r"
    Lineage of model (83d9dab0, 1 B): 2 jobs, 12 sources

    @1 00000001  1970-01-01
        python cut.py
        read   data/    108 B  0ea5235f  12 files from outside
        wrote  shards/   99 B  d48b6f57  2 of 11 files

    @2 00000002  1970-01-01
        python train.py
        read   shards/10  9 B  38d6fb2f  from step @1
        read   shards/13  9 B  65ad750f  from step @1
        wrote  model      1 B  83d9dab0
    --- stderr
    --- status 0
    ");
    insta::assert_snapshot!(project.roar(&["why", "model"]).stdout, @r"
    model (83d9dab0, 1 B) was written by step @2 (00000002), 1970-01-01:

        python train.py

    It read shards/10 and shards/13.

    shards/ (2 of 11 files) were written by step @1 (00000001), 1970-01-01:

        python cut.py

    It read data/ (12 files).

    data/ (12 files) came from outside: no recorded job wrote them.

    The code was commit 0123456789ab on main, with uncommitted changes.

    To make it again:

        python cut.py
        python train.py
    ");
    // Each by name where that is asked for, and always for machines.
    for command in ["lineage", "why"] {
        let all = project.roar(&[command, "model", "--all"]).stdout;
        let json = project.roar(&[command, "model", "--json"]).stdout;
        for member in 10..22 {
            let name = format!("data/{member}.txt");
            assert!(all.contains(&name), "{all}");
            assert!(json.contains(&name), "{json}");
        }
    }
    let json = project.roar(&["lineage", "model", "--json"]).json();
    let inputs = json["jobs"][0]["inputs"].as_array().expect("a list");
    assert_eq!(inputs.len(), 12);
    let collections = json["jobs"][0]["collections"].as_array().expect("a list");
    assert_eq!(collections.len(), 2, "{collections:?}");
    assert_eq!(collections[0]["role"], "input");
    assert!(json["jobs"][1].get("collections").is_none());
}

#[test]
fn the_lineage_of_a_collection() {
    let (project, data, shards) = with_collections();
    let json = project.roar(&["lineage", &shards[..8], "--json"]).json();
    assert_eq!(json["artifact"]["hash"], shards);
    assert_eq!(json["jobs"][0]["job_uid"], "00000001");
    assert_eq!(json["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        json["jobs"][0]["outputs"].as_array().map(Vec::len),
        Some(11)
    );
    insta::assert_snapshot!(project.roar(&["why", &shards]).stdout, @r"
    shards/ (d48b6f57, 99 B, 11 files) was written by step @1 (00000001), 1970-01-01:

        python cut.py

    It read data/ (12 files).

    data/ (12 files) came from outside: no recorded job wrote them.

    The code was commit 0123456789ab on main, with uncommitted changes.

    To make it again:

        python cut.py
    ");
    insta::assert_snapshot!(project.roar(&["why", &data]).stdout, @r"
    data/ (0ea5235f, 108 B, 12 files) came from outside: no recorded job wrote it.
    ");
}

/// A program that reads a dozen files of its own does not hide what the chain is made of.
#[test]
fn what_tells_most_comes_first() {
    let mut project = pipeline();
    let own: Vec<String> = (10..30).map(|n| format!("/opt/tool/{n}.sh")).collect();
    project.write("extra.csv", "e");
    project.job_with("train", &["extra.csv", "train.csv"], &[("m", "m")], |job| {
        let mut inputs: Vec<_> = own
            .iter()
            .map(|path| roar_cli::model::FileRecord {
                path: path.as_str().into(),
                ..job.inputs[0].clone()
            })
            .collect();
        inputs.append(&mut job.inputs);
        job.inputs = inputs;
    });
    let text = project.roar(&["lineage", "m"]).stdout;
    let read: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("@4"))
        .filter(|line| line.contains("read "))
        .collect();
    assert!(
        read[0].contains("train.csv") && read[0].contains("from step @1"),
        "{text}"
    );
    assert!(read[1].contains("extra.csv"), "{text}");
    let why = project.roar(&["why", "m"]).stdout;
    assert!(
        why.contains("It read train.csv, extra.csv, /opt/tool/10.sh"),
        "{why}"
    );
    let outside: Vec<&str> = why
        .lines()
        .filter(|line| line.contains("came from outside"))
        .collect();
    assert_eq!(outside.len(), 1, "{why}");
    assert!(outside[0].contains("more came from outside"), "{why}");
}

/// A model that was moved by hand, and read there.
#[test]
fn a_move_by_hand_is_told() {
    let mut project = pipeline();
    let root = project.root();
    fs::create_dir(root.join("best")).expect("made");
    fs::rename(root.join("model.pkl"), root.join("best/kept.pkl")).expect("moved");
    insta::assert_snapshot!(project.roar(&["why", "best/kept.pkl"]).stdout, @r"
    best/kept.pkl (ccca5379, 5 B) was written, as model.pkl, by step @2 (00000002), 1970-01-01:

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
        mkdir -p -- best && cp -- model.pkl best/kept.pkl
    ");
    project.job("python deploy.py", &["best/kept.pkl"], &[("served", "s")]);
    insta::assert_snapshot!(project.roar(&["lineage", "served"]).stdout, @r"
    Lineage of served (3d1d9223, 1 B): 3 jobs, 1 source

    @1 00000001  1970-01-01
        python prepare.py
        read   raw.csv      3 B  d4d4d19b  from outside
        wrote  train.csv    5 B  4164c055
        wrote  1 more file

    @2 00000002  1970-01-01
        python train.py --lr 0.1
        read   train.csv  5 B  4164c055  from step @1
        wrote  model.pkl  5 B  ccca5379

    @4 00000004  1970-01-01
        python deploy.py
        read   best/kept.pkl  5 B  ccca5379  from step @2, as model.pkl
        wrote  served         1 B  3d1d9223
    ");
    let why = project.roar(&["why", "served"]).stdout;
    let told = "best/kept.pkl holds what was written as model.pkl: something that was not recorded";
    assert!(why.contains(told), "{why}");
    let json = project.roar(&["why", "served", "--json"]).json();
    assert_eq!(
        json["commands"],
        json!([
            "python prepare.py",
            "python train.py --lr 0.1",
            "mkdir -p -- best && cp -- model.pkl best/kept.pkl",
            "python deploy.py"
        ])
    );
}

/// Of a file that was edited by hand, where it is asked for itself.
#[test]
fn the_lineage_of_an_edit_by_hand() {
    let mut project = pipeline();
    project.write("train.csv", "edited");
    project.job("python train.py", &["train.csv"], &[("model.pkl", "other")]);
    insta::assert_snapshot!(project.roar(&["why", "train.csv"]).stdout, @r"
    train.csv (69da6dbe, 6 B) was written by step @1 (00000001), but has been changed since by something that was not recorded.
    ");
    let lineage = project.roar(&["lineage", "model.pkl"]).stdout;
    assert!(lineage.contains("edited after step @1"), "{lineage}");
    // What was there before a job wrote over it was no edit.
    let raw = project.file("raw.csv");
    project.job("python clean.py", &["raw.csv"], &[("raw.csv", "clean")]);
    let why = project
        .roar(&["why", raw.hash().expect("hashed").as_str()])
        .stdout;
    assert!(why.contains("came from outside"), "{why}");
}
