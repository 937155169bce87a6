use std::process::Command;

use crate::project::{TestProject, pipeline};

/// train with two learning rates on the same data, then on other data.
fn trainings() -> TestProject {
    let mut project = pipeline();
    project.job(
        "python train.py --lr 0.2",
        &["train.csv"],
        &[("model.pkl", "model 2")],
    );
    project.job(
        "python prepare.py --all",
        &["raw.csv"],
        &[("train.csv", "train 2"), ("test.csv", "test")],
    );
    project.job(
        "python train.py --lr 0.2",
        &["train.csv"],
        &[("model.pkl", "model 3")],
    );
    project
}

#[test]
fn names_the_likely_cause_first() {
    let project = trainings();
    insta::assert_snapshot!(project.roar(&["diff", "00000002", "00000004"]).whole(), @r"
    a  @2 00000002 python train.py --lr 0.1
    b  @2 00000004 python train.py --lr 0.2

    The outputs differ. Likely cause: arguments.

    arguments
            a    b
      --lr  0.1  0.2

    outputs
                 a         b
      model.pkl  ccca5379  9d15c5b9

    alike: inputs, git (but for uncommitted changes, which were not kept), hardware, outcome
    --- stderr
    --- status 0
    ");
    insta::assert_snapshot!(project.roar(&["diff", "00000004", "@2"]).whole(), @r"
    a  @2 00000004 python train.py --lr 0.2
    b  @2 00000006 python train.py --lr 0.2

    The outputs differ. Likely cause: inputs.

    inputs
                 a         b
      train.csv  4164c055  11aae42a
      why train.csv differs: roar diff 00000001 00000005

    outputs
                 a         b
      model.pkl  9d15c5b9  299af9f2

    alike: arguments, git (but for uncommitted changes, which were not kept), hardware, outcome
    --- stderr
    --- status 0
    ");
    let json = project.roar(&["diff", "00000002", "@2", "--json"]).json();
    assert_eq!(json["identical"], false);
    assert_eq!(json["likely_cause"], "arguments");
    let layers: Vec<&str> = json["layers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|layer| layer["layer"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        layers,
        [
            "arguments",
            "inputs",
            "git",
            "hardware",
            "outcome",
            "outputs"
        ]
    );
    assert_eq!(json["input_producers"][0]["a"], "00000001");
    assert_eq!(json["input_producers"][0]["b"], "00000005");
}

#[test]
fn artifacts_by_hash_and_by_path() {
    let project = trainings();
    let by = |content: &str| crate::project::digest(content.as_bytes()).to_string();
    let json = project
        .roar(&["diff", &by("model")[..10], "model.pkl", "--json"])
        .json();
    assert_eq!(json["a"]["job_uid"], "00000002");
    assert_eq!(json["b"]["job_uid"], "00000006");
    let same = project.roar(&["diff", &by("model"), &by("model")]);
    assert!(same.stdout.contains("identical"), "{same:?}");
    let raw = project.roar(&["diff", "raw.csv", "model.pkl"]);
    assert!(raw.stdout.contains("No recorded job made both"), "{raw:?}");
    for wrong in [["@9", "@1"], ["@1", "nothing"]] {
        assert_eq!(project.roar(&["diff", wrong[0], wrong[1]]).status, 1);
    }
}

#[test]
fn what_nothing_explains_is_said() {
    let mut project = pipeline();
    project.job(
        "python train.py --lr 0.1",
        &["train.csv"],
        &[("model.pkl", "other")],
    );
    let answer = project.roar(&["diff", "00000002", "@2"]);
    assert!(
        answer.stdout.contains("nothing recorded explains it"),
        "{answer:?}"
    );
    project.job(
        "python train.py --lr 0.1",
        &["train.csv"],
        &[("model.pkl", "other")],
    );
    let answer = project.roar(&["diff", "00000004", "@2"]);
    assert!(
        answer.stdout.contains("The outputs are identical."),
        "{answer:?}"
    );
}

/// The code between two commits, as git itself counts it.
#[test]
fn the_code_that_differs() {
    let mut project = TestProject::new();
    let git = |project: &TestProject, arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=A Tester", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(project.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .expect("plain")
            .trim()
            .to_owned()
    };
    git(&project, &["init", "-q"]);
    project.write("raw", "1");
    let mut commits = Vec::new();
    for code in ["a\nb\n", "a\nc\nd\n"] {
        project.write("train.py", code);
        git(&project, &["add", "train.py"]);
        git(&project, &["commit", "-q", "-m", "code"]);
        let commit = git(&project, &["rev-parse", "HEAD"]);
        project.job_with("python train.py", &["raw"], &[("model", code)], |job| {
            let state = job.git.as_mut().expect("it has one");
            state.commit = Some(commit.clone());
            state.dirty = false;
        });
        commits.push(commit);
    }
    let counted = git(&project, &["diff", "--numstat", &commits[0], &commits[1]]);
    let json = project
        .roar(&["diff", "00000001", "00000002", "--json"])
        .json();
    assert_eq!(json["likely_cause"], "git");
    let line = &json["code"][0];
    let told = format!(
        "{}\t{}\t{}",
        line["lines_added"],
        line["lines_removed"],
        line["path"].as_str().expect("a path")
    );
    assert_eq!(told, counted);
    let text = project.roar(&["diff", "00000001", "00000002"]).stdout;
    assert!(text.contains("modified train.py +2 -1"), "{text}");
}
