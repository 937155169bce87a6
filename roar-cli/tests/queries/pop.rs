use std::fs;

use roar_cli::model::{FileRecord, RawString};

use crate::project::{TestProject, digest, folder, pipeline, roar_in};

#[test]
fn takes_back_the_newest_job_only() {
    let project = pipeline();
    let refused = project.roar(&["pop"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("roar pop -y"), "{refused:?}");
    insta::assert_snapshot!(project.roar(&["pop", "--dry-run"]).whole(), @r"
    remove job 00000003 of @3: python evaluate.py
      delete   metrics.json
    --- stderr
    --- status 0
    ");
    let plan = project.roar(&["pop", "--dry-run", "--json"]).json();
    let metrics = project.root().join("metrics.json");
    let output = serde_json::json!({"path": metrics, "hash": digest(b"{}"), "fate": "delete"});
    let expected = serde_json::json!({
        "job_uid": "00000003", "step_number": 3, "job_type": "run", "command": "python evaluate.py",
        "removed": false, "outputs": [output],
    });
    assert_eq!(plan, expected);
    assert_eq!(project.roar(&["dag", "--json"]).json()["total_steps"], 3);
    assert!(metrics.exists());

    insta::assert_snapshot!(project.roar(&["pop", "-y"]).whole(), @r"
    --- stderr
    roar: removed job 00000003 of @3: python evaluate.py
    roar:   deleted  metrics.json
    --- status 0
    ");
    assert!(!project.root().join("metrics.json").exists());
    for kept in ["raw.csv", "train.csv", "test.csv", "model.pkl"] {
        assert!(project.root().join(kept).exists(), "{kept}");
    }
    // As if it had never been: its step, its content, and the next number.
    assert_eq!(project.roar(&["dag", "--json"]).json()["total_steps"], 2);
    assert_eq!(project.roar(&["show", "@3"]).status, 1);
    let hash = digest(b"{}");
    assert_eq!(project.roar(&["show", hash.as_str()]).status, 1);
    for _ in 0..2 {
        let popped = project.roar(&["pop", "-y", "--json"]).json();
        assert_eq!(popped["removed"], true);
    }
    assert_eq!(project.roar(&["pop", "-y"]).status, 1);
    assert!(project.root().join("raw.csv").exists(), "an input stays");
}

#[test]
fn an_older_execution_is_the_latest_again() {
    let mut project = pipeline();
    project.job(
        "python evaluate.py --all",
        &["model.pkl", "test.csv"],
        &[("metrics.json", "{2}")],
    );
    let answer = project.roar(&["pop", "-y"]);
    assert!(
        answer.stderr.contains("already met a file there"),
        "{answer:?}"
    );
    let step = project.roar(&["show", "@3", "--json"]).json();
    assert_eq!(step["command"], "python evaluate.py");
}

/// What may not be deleted, whatever the record says. Each case makes the newest job's output
/// `out` into something else.
#[test]
fn never_deletes_what_the_job_did_not_make_as_it_is() {
    type Disturb = fn(&TestProject);
    let cases: [(&str, Disturb); 6] = [
        ("has been changed since", |p| p.write("d/out", "other")),
        ("is a symbolic link", |p| {
            p.write("target", "made");
            fs::remove_file(p.root().join("d/out")).expect("it is there");
            std::os::unix::fs::symlink(p.root().join("target"), p.root().join("d/out"))
                .expect("a link");
        }),
        ("lies behind a symbolic link", |p| {
            fs::rename(p.root().join("d"), p.root().join("e")).expect("a folder");
            std::os::unix::fs::symlink(p.root().join("e"), p.root().join("d")).expect("a link");
        }),
        ("is a directory", |p| {
            fs::remove_file(p.root().join("d/out")).expect("it is there");
            p.write("d/out/inside", "made");
        }),
        ("no longer exists", |p| {
            fs::remove_dir_all(p.root().join("d")).expect("it is there");
        }),
        ("git tracks it", |p| {
            for arguments in [&["init", "-q"][..], &["add", "d/out"]] {
                let status = std::process::Command::new("git")
                    .args(arguments)
                    .current_dir(p.root())
                    .status();
                assert!(status.expect("git is there").success());
            }
        }),
    ];
    for (reason, disturb) in cases {
        let mut project = TestProject::new();
        project.job("make", &[], &[("d/out", "made")]);
        disturb(&project);
        let before = everything(&project);
        let answer = project.roar(&["pop", "-y"]);
        assert_eq!(answer.status, 0, "{reason}: {answer:?}");
        assert!(answer.stderr.contains(reason), "{reason}: {answer:?}");
        assert_eq!(everything(&project), before, "{reason}");
        assert_eq!(project.roar(&["dag", "--json"]).json()["total_steps"], 0);
    }
}

/// Every file below the project but roar's and git's, links as links.
fn everything(project: &TestProject) -> String {
    let listing = std::process::Command::new("find")
        .args([
            ".", "-name", ".roar", "-prune", "-o", "-name", ".git", "-prune",
        ])
        .args(["-o", "-printf", "%p %y %s %l\\n"])
        .current_dir(project.root())
        .output()
        .expect("find is there");
    let text = String::from_utf8(listing.stdout).expect("plain names");
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(". "))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn never_deletes_elsewhere_or_what_was_there_before() {
    let elsewhere = folder();
    let outside = elsewhere
        .path()
        .canonicalize()
        .expect("it exists")
        .join("out");
    let record = |path: &RawString, project: &TestProject| FileRecord {
        path: path.clone(),
        ..project.file("template")
    };
    let mut project = TestProject::new();
    project.write("template", "same");
    fs::write(&outside, "same").expect("write");
    let at = |name: &str| RawString::from_path(&project.root().join(name));
    let mut escape = at("d").as_bytes().to_vec();
    escape.extend_from_slice(b"/../template");
    let outputs: Vec<FileRecord> = [
        RawString::from_path(&outside),
        at(".roar/config.toml"),
        RawString::new(escape),
    ]
    .iter()
    .map(|path| record(path, &project))
    .collect();
    project.job_with("make", &[], &[], |job| job.outputs = outputs);
    let answer = project.roar(&["pop", "-y"]);
    for reason in ["is outside the project", "belongs to roar"] {
        assert!(answer.stderr.contains(reason), "{reason}: {answer:?}");
    }
    assert!(!answer.stderr.contains("deleted"), "{answer:?}");
    assert!(outside.exists() && project.root().join("template").exists());
    assert!(project.root().join(".roar/config.toml").exists());

    // Read by an earlier job, in whatever session; updated in place by this one.
    project.write("mine", "1");
    project.job("read", &["mine"], &[]);
    project.roar(&["reset", "-y"]);
    project.job("make", &[], &[("mine", "2")]);
    let answer = project.roar(&["pop", "-y"]);
    assert!(
        answer.stderr.contains("already met a file there"),
        "{answer:?}"
    );
    project.write("new", "1");
    project.job("update", &["new"], &[("new", "2")]);
    let answer = project.roar(&["pop", "-y"]);
    assert!(answer.stderr.contains("updated it in place"), "{answer:?}");
    assert!(project.root().join("mine").exists() && project.root().join("new").exists());
    // The earlier session's job is not the active one's to take.
    assert_eq!(project.roar(&["pop", "-y"]).status, 1);
    assert_eq!(roar_in(elsewhere.path(), &["pop", "-y"], &[]).status, 1);
}

/// An earlier content of which a copy was kept comes back, unless the file was changed since.
#[test]
fn restores_the_earlier_version_where_a_copy_is_kept() {
    use roar_cli::store::Blobs;

    for (edited, expected) in [(false, "1"), (true, "edited")] {
        let mut project = TestProject::new();
        let blobs = Blobs::of(&roar_cli::project::Project {
            root: project.root(),
        });
        blobs.expect("a place").put(b"1").expect("is kept");
        project.job("make", &[], &[("d/out", "1")]);
        let script = project.root().join("d/out");
        let mode = |mode: u32| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&script, mode(0o750)).expect("it is there");
        project.job("make again", &[], &[("d/out", "2")]);
        if edited {
            project.write("d/out", "edited");
        }
        let plan = project.roar(&["pop", "--dry-run"]);
        assert_eq!(plan.stdout.contains("restore  d/out"), !edited, "{plan:?}");
        assert_eq!(project.roar(&["pop", "-y"]).status, 0);
        assert_eq!(fs::read_to_string(&script).expect("there"), expected);
        let kept = fs::metadata(&script).expect("there").permissions();
        let kept = std::os::unix::fs::PermissionsExt::mode(&kept);
        assert_eq!(kept & 0o777, 0o750);
        // Nothing is left beside it.
        let names = fs::read_dir(project.root().join("d")).expect("a folder");
        assert_eq!(names.count(), 1);
        assert_eq!(
            project.roar(&["show", "@1", "--json"]).json()["command"],
            "make"
        );
    }
}
