use std::process::Command;

use roar_cli::model::{RawString, UntrackedFile};

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

/// A repository in the project, and git with an identity.
fn git(project: &TestProject, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A Tester", "-c", "user.email=t@example.org"])
        .args(arguments)
        .current_dir(project.root())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("plain")
}

fn commit(project: &TestProject, paths: &[&str]) -> String {
    git(project, &[&["add"], paths].concat());
    git(project, &["commit", "-q", "-m", "code"]);
    git(project, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// The code between two commits, as git itself counts it.
#[test]
fn the_code_that_differs() {
    let mut project = TestProject::new();
    git(&project, &["init", "-q"]);
    project.write("raw", "1");
    let mut commits = Vec::new();
    for code in ["a\nb\n", "a\nc\nd\n"] {
        project.write("train.py", code);
        let commit = commit(&project, &["train.py"]);
        project.job_with("python train.py", &["raw"], &[("model", code)], |job| {
            let state = job.git.as_mut().expect("it has one");
            state.commit = Some(commit.clone());
            state.dirty = false;
        });
        commits.push(commit);
    }
    let counted = git(&project, &["diff", "--numstat", &commits[0], &commits[1]]);
    let patch = git(&project, &["diff", "--abbrev=7", &commits[0], &commits[1]]);
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
    assert_eq!(told, counted.trim());
    assert_eq!(line["patch"], patch);
    let text = project.roar(&["diff", "00000001", "00000002"]).stdout;
    assert!(text.contains("modified train.py +2 -1"), "{text}");
}

/// Runs from dirty work trees: what differs is what `git diff` shows between the two trees, be
/// it on the way of a commit, of uncommitted changes or of a file that git does not track.
#[test]
fn uncommitted_code_that_differs() {
    let mut project = TestProject::new();
    git(&project, &["init", "-q"]);
    project.write("raw", "1");
    project.write("train.py", "rate = 1\n\tkept\nend\n");
    project.write("lib.py", "same\n");
    project.write("logo.png", "\u{0}1");
    let first = commit(&project, &["train.py", "lib.py", "logo.png"]);
    let blobs = |project: &TestProject| {
        let root = project.root();
        roar_cli::store::Blobs::of(&roar_cli::project::Project { root }).expect("a place")
    };
    let mut trees = Vec::new();
    for (rate, logo, helper) in [(2, "2", None), (3, "3", Some("def help(): pass\n"))] {
        project.write("train.py", &format!("rate = {rate}\n\tkept\nend\n"));
        project.write("logo.png", &format!("\u{0}{logo}"));
        let patch = git(&project, &["diff", "--binary", "--full-index", "HEAD"]);
        let kept = blobs(&project).put(patch.as_bytes()).expect("kept");
        let untracked = helper.map(|code: &str| UntrackedFile {
            path: "helper.py".into(),
            blob: Some(
                blobs(&project)
                    .put(code.as_bytes())
                    .expect("kept")
                    .to_string(),
            ),
            ..UntrackedFile::default()
        });
        project.job_with("python train.py", &["raw"], &[("model", logo)], |job| {
            let state = job.git.as_mut().expect("it has one");
            state.commit = Some(first.clone());
            state.patch_hash = Some(kept.to_string());
            state.untracked = untracked.clone().into_iter().collect();
        });
        if let Some(code) = helper {
            project.write("helper.py", code);
            git(&project, &["add", "helper.py"]);
        }
        git(&project, &["add", "-u"]);
        trees.push(git(&project, &["write-tree"]).trim().to_owned());
    }
    let objects = || git(&project, &["count-objects", "-v"]);
    let before = objects();
    let json = project.roar(&["diff", "00000001", "@1", "--json"]).json();
    assert_eq!(before, objects(), "nothing is written to the repository");
    let code = json["code"].as_array().expect("a list");
    let told: Vec<String> = code
        .iter()
        .map(|file| {
            let count = |key: &str| {
                let lines = file[key].as_u64();
                lines.map_or("-".to_owned(), |lines| lines.to_string())
            };
            format!(
                "{}\t{}\t{}\n",
                count("lines_added"),
                count("lines_removed"),
                file["path"].as_str().expect("a path")
            )
        })
        .collect();
    let counted = git(&project, &["diff", "--numstat", &trees[0], &trees[1]]);
    assert_eq!(told.concat(), counted);
    let patch = git(&project, &["diff", &trees[0], &trees[1], "--", "train.py"]);
    assert_eq!(code[2]["patch"], patch, "{code:#?}");
    insta::assert_snapshot!(project.roar(&["diff", "00000001", "@1"]).whole(), @r"
    a  @1 00000001 python train.py
    b  @1 00000002 python train.py

    The outputs differ. Likely cause: git.

    git
                 a         b
      helper.py  -         073b949c
      patch      563d977b  72ab4b7d
      only b read helper.py +1 -0
        @@ -0,0 +1 @@
        +def help(): pass
      modified logo.png
      modified train.py +1 -1
        @@ -1,3 +1,3 @@
        -rate = 2
        +rate = 3
             kept
         end

    outputs
             a         b
      model  813e9b72  58d6fd3d

    alike: arguments, inputs, hardware, outcome
    --- stderr
    --- status 0
    ");

    // What is no longer there is said, and nothing is made up.
    std::fs::remove_dir_all(project.root().join(".roar/blobs")).expect("removed");
    let answer = project.roar(&["diff", "00000001", "@1", "--json"]);
    assert!(
        answer.stderr.contains("a kept patch is missing"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["code"], serde_json::Value::Null);
}

/// A file that one run read as another job had made it, and the other as somebody had edited it: of
/// the first nothing was kept, so that its lines are not told, and nothing is called deleted.
#[test]
fn of_what_was_not_kept_no_lines_are_told() {
    let mut project = TestProject::new();
    git(&project, &["init", "-q"]);
    project.write("train.py", "code\n");
    let commit = commit(&project, &["train.py"]);
    let root = project.root();
    let blobs = roar_cli::store::Blobs::of(&roar_cli::project::Project { root }).expect("a place");
    for (content, is_kept) in [("made\n", false), ("edited\n", true)] {
        project.write("train.csv", content);
        let kept = blobs.put(content.as_bytes()).expect("kept");
        let top = RawString::from_path(&project.root());
        project.job_with(
            "python train.py",
            &["train.csv"],
            &[("model", content)],
            |job| {
                let state = job.git.as_mut().expect("it has one");
                state.commit = Some(commit.clone());
                state.top = Some(top);
                if is_kept {
                    state.untracked.push(UntrackedFile {
                        path: "train.csv".into(),
                        blob: Some(kept.to_string()),
                        ..UntrackedFile::default()
                    });
                }
            },
        );
    }
    for sides in [["00000001", "00000002"], ["00000002", "00000001"]] {
        let text = project.roar(&["diff", sides[0], sides[1]]).stdout;
        assert!(text.contains("Likely cause: inputs."), "{text}");
        for wrong in ["deleted", "added", "only ", "edited\n"] {
            assert!(!text.contains(wrong), "{wrong}: {text}");
        }
        let json = project.roar(&["diff", sides[0], sides[1], "--json"]).json();
        assert_eq!(json["code"], serde_json::json!([]));
    }
}

/// Many lines are cut for people, and exact for machines.
#[test]
fn much_code_is_cut() {
    let mut project = TestProject::new();
    git(&project, &["init", "-q"]);
    project.write("raw", "1");
    for code in ["a\n", "b\n"] {
        project.write("train.py", &code.repeat(100));
        let commit = commit(&project, &["train.py"]);
        project.job_with("python train.py", &["raw"], &[("model", code)], |job| {
            job.git.as_mut().expect("it has one").commit = Some(commit);
        });
    }
    let lines = |arguments: &[&str]| {
        let text = project.roar(arguments).stdout;
        let is_code = |line: &&str| ["    +b", "    -a"].contains(line);
        (text.lines().filter(is_code).count(), text)
    };
    let (shown, text) = lines(&["diff", "00000001", "@1"]);
    assert_eq!(shown, 39, "{text}");
    assert!(text.contains("and 161 more lines (--all)"), "{text}");
    assert_eq!(lines(&["diff", "00000001", "@1", "--all"]).0, 200);
}

/// Of a data set whose files differ, one line.
#[test]
fn collections_are_one_line() {
    let mut project = TestProject::new();
    let data: Vec<String> = (10..40).map(|n| format!("data/{n}.txt")).collect();
    let paths: Vec<&str> = data.iter().map(String::as_str).collect();
    let mut hashes = Vec::new();
    for (job, command) in ["python make.py 1", "python make.py 2"].iter().enumerate() {
        let contents: Vec<String> = paths.iter().map(|path| format!("{path}{job}")).collect();
        let written: Vec<(&str, &str)> = paths
            .iter()
            .zip(&contents)
            .map(|(path, content)| (*path, content.as_str()))
            .collect();
        project.job(command, &[], &written);
        let id = 2 * job as i64 + 1;
        hashes.push(project.collection(id, "data", true));
        project.job("python train.py", &paths, &[("model", &contents[0])]);
        project.collection(id + 1, "data", false);
    }
    insta::assert_snapshot!(project.roar(&["diff", "00000002", "00000004"]).stdout, @r"
    a  @2 00000002 python train.py
    b  @2 00000004 python train.py

    The outputs differ. Likely cause: inputs.

    inputs
             a         b
      data/  5c425a4e  d86a1257  30 files differ
      why data/ differs: roar diff 00000001 00000003

    outputs
             a         b
      model  939e22f2  f90e2aad

    alike: arguments, git (but for uncommitted changes, which were not kept), hardware, outcome
    ");
    let all = project
        .roar(&["diff", "00000002", "00000004", "--all"])
        .stdout;
    let json = project
        .roar(&["diff", "00000002", "00000004", "--json"])
        .json();
    let changes = json["layers"][1]["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 30);
    assert_eq!(json["a"]["collections"][0]["hash"], hashes[0].as_str());
    for path in &paths {
        assert!(all.contains(path), "{all}");
    }
    // Two versions of the data set, by their hashes.
    let json = project
        .roar(&["diff", hashes[0].as_str(), hashes[1].as_str(), "--json"])
        .json();
    assert_eq!(json["a"]["job_uid"], "00000001");
    assert_eq!(json["b"]["job_uid"], "00000003");
    assert_eq!(json["likely_cause"], "arguments");
    assert_eq!(json["identical"], false);
}

/// A file that was moved, and a copy that a job made of it: each by its own name and maker.
#[test]
fn by_path_the_maker_of_the_file_there() {
    let mut project = pipeline();
    let root = project.root();
    std::fs::rename(root.join("model.pkl"), root.join("kept.pkl")).expect("moved");
    project.job(
        "cp kept.pkl copy.pkl",
        &["kept.pkl"],
        &[("copy.pkl", "model")],
    );
    let json = project
        .roar(&["diff", "kept.pkl", "copy.pkl", "--json"])
        .json();
    assert_eq!(json["a"]["job_uid"], "00000002");
    assert_eq!(json["b"]["job_uid"], "00000004");
    let path = json["a"]["artifact"]["path"].as_str().expect("a path");
    assert!(path.ends_with("/kept.pkl"), "{path}");
    assert_eq!(json["identical"], true);
}
