use crate::project::{Answer, TestProject, pipeline};

fn uids(answer: &Answer) -> Vec<String> {
    answer
        .json()
        .as_array()
        .expect("an array")
        .iter()
        .map(|job| job["job_uid"].as_str().expect("text").to_owned())
        .collect()
}

fn history() -> TestProject {
    let mut project = pipeline();
    project.job_with("python Broken.py", &["raw.csv"], &[], |job| {
        job.outcome.exit_code = Some(3);
    });
    project.job_with("sleep 100", &[], &[], |job| {
        job.outcome.exit_code = None;
        job.outcome.signal = Some(15);
        job.outcome.interrupted = true;
        job.completeness.complete = false;
    });
    project
}

#[test]
fn text() {
    let project = history();
    insta::assert_snapshot!(project.roar(&["log"]).whole(), @r"
    job       step  started     status                            command
    00000005  @5    1970-01-01  interrupted, SIGTERM, incomplete  sleep 100
    00000004  @4    1970-01-01  exit 3                            python Broken.py
    00000003  @3    1970-01-01  ok                                python evaluate.py
    00000002  @2    1970-01-01  ok                                python train.py -…
    00000001  @1    1970-01-01  ok                                python prepare.py
    --- stderr
    --- status 0
    ");
}

#[test]
fn selections() {
    let mut project = history();
    for (arguments, expected) in [
        (
            &[][..],
            &["00000005", "00000004", "00000003", "00000002", "00000001"][..],
        ),
        (&["-n", "2"], &["00000005", "00000004"]),
        (&["-n", "0"], &[]),
        (&["--failed"], &["00000005", "00000004"]),
        (&["--grep", "broken"], &["00000004"]),
        (&["--grep", "python", "-n", "1"], &["00000004"]),
        (&["--since", "1h"], &[]),
        (
            &["--since", "1970-01-01T00:00:04Z"],
            &["00000005", "00000004"],
        ),
        (
            &["--since", "1970-01-01"],
            &["00000005", "00000004", "00000003", "00000002", "00000001"],
        ),
    ] {
        let mut all = vec!["log", "--json"];
        all.extend(arguments);
        assert_eq!(uids(&project.roar(&all)), expected, "{arguments:?}");
    }
    project.store().start_session().expect("a new session");
    assert!(uids(&project.roar(&["log", "--json"])).is_empty());
    project.job("true", &[], &[]);
    assert_eq!(uids(&project.roar(&["log", "--json"])), ["00000006"]);
    assert_eq!(uids(&project.roar(&["log", "--json", "--all"])).len(), 6);
    assert_eq!(
        uids(&project.roar(&["log", "--json", "--session", "1"])).len(),
        5
    );
    assert_eq!(project.roar(&["log", "--since", "yesterday"]).status, 1);
    assert_eq!(project.roar(&["log", "--session", "7"]).status, 1);
}

#[test]
fn people_get_the_newest_and_a_hint() {
    let mut project = TestProject::new();
    for _ in 0..25 {
        project.job("true", &[], &[]);
    }
    let answer = project.roar(&["log"]);
    assert_eq!(answer.stdout.lines().count(), 21, "{answer:?}");
    assert!(answer.stderr.contains("newest 20 jobs"), "{answer:?}");
    assert_eq!(uids(&project.roar(&["log", "--json"])).len(), 25);
    assert_eq!(
        project.roar(&["log", "-n", "25"]).stdout.lines().count(),
        26
    );
}

#[test]
fn outside_a_project() {
    let folder = crate::project::folder();
    let answer = crate::project::roar_in(folder.path(), &["log"], &[]);
    assert_eq!(answer.status, 1);
    assert!(answer.stderr.contains("roar init"), "{answer:?}");
}

/// A reader that stops early is no error.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_quiet() {
    use std::process::{Command, Stdio};
    let mut project = TestProject::new();
    for _ in 0..5 {
        project.job("true", &[], &[]);
    }
    for arguments in [
        &["log"][..],
        &["log", "--json"],
        &["dag"],
        &["status"],
        &["show", "@1"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_roar"))
            .args(arguments)
            .current_dir(project.root())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert!(output.status.success(), "{arguments:?}");
    }
}

/// Options are what commands are looked for by.
#[test]
fn a_text_that_begins_like_an_option_is_looked_for() {
    let project = pipeline();
    let found = project.roar(&["log", "--grep", "--lr", "--json"]).json();
    let uids: Vec<&str> = found
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|job| job["job_uid"].as_str())
        .collect();
    assert_eq!(uids, ["00000002"]);
}
