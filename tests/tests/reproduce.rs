//! `roar reproduce` from a project's own record: the truth is the bytes of what it makes again,
//! compared here.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

fn can_run() -> bool {
    met(&[Need::Bpf, Need::Program("git")])
}

/// A project in git with a remote that has everything, and a pipeline of two steps.
fn pipeline() -> Project {
    let project = Project::new();
    project.write(
        "prepare.sh",
        "mkdir -p data; sort raw.txt >data/sorted.txt\n",
    );
    project.write(
        "train.sh",
        ". ./settings.sh; { echo \"$RATE $SEED\"; cat data/sorted.txt; } >model.bin\n",
    );
    project.write("settings.sh", "RATE=0.1\n");
    project.write("raw.txt", "c\na\nb\n");
    project.write(".gitignore", ".roar/\ndata/\nmodel.bin\n");
    project.commit_all();
    let remote = project.base().join("remote.git");
    let remote = remote.to_str().expect("text");
    project.run("git", ["clone", "--quiet", "--bare", ".", remote]);
    project.run("git", ["remote", "add", "origin", remote]);
    project.run("git", ["fetch", "--quiet", "origin"]);
    project
}

fn run_pipeline(project: &Project) {
    for script in ["prepare.sh", "train.sh"] {
        run(project, &["sh", script]);
    }
}

fn run(project: &Project, command: &[&str]) {
    let mut roar = project.roar_command();
    roar.env("SEED", "7").args(["run", "-q"]).args(command);
    Transcript::of(&mut roar).succeeds();
}

/// A reproduction into a folder beside the project, by a user of another home.
fn reproduction(project: &Project, arguments: &[&str]) -> Command {
    let home = project.base().join("other-home");
    fs::create_dir_all(&home).expect("made");
    let mut command = project.roar_command();
    command
        .env("HOME", &home)
        .args(["reproduce", "model.bin", "--run", "-y", "--json", "--out"])
        .arg(copy(project))
        .args(arguments);
    command
}

fn copy(project: &Project) -> PathBuf {
    project.base().join("copy")
}

#[track_caller]
fn verdict(told: &Transcript, status: i32, verdict: &str) -> Value {
    let answer = told.exits(status).json();
    assert_eq!(answer["verdict"], verdict, "{answer:#}");
    answer
}

#[test]
fn what_was_made_is_made_again() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    run_pipeline(&project);
    let preview = project
        .roar(["reproduce", "model.bin"])
        .succeeds()
        .stdout_text();
    for part in [
        "sh prepare.sh",
        "sh train.sh",
        "raw.txt",
        "in the commit",
        "SEED=7",
    ] {
        assert!(preview.contains(part), "{part}: {preview}");
    }
    assert!(!preview.contains("impossible"), "{preview}");
    let told = Transcript::of(&mut reproduction(&project, &[]));
    let answer = verdict(&told, 0, "bit_identical");
    assert_eq!(answer["cause"], Value::Null);
    let made = fs::read(copy(&project).join("model.bin")).expect("made");
    assert_eq!(made, project.read("model.bin"));
    // Again: nothing is left to do.
    let told = Transcript::of(&mut reproduction(&project, &[]));
    verdict(&told, 0, "bit_identical");
    told.says("done before");
}

#[test]
fn uncommitted_code_comes_along() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    project.write("settings.sh", "RATE=0.2\n. ./more.sh\n");
    project.write("more.sh", "RATE=$RATE-more\n");
    run_pipeline(&project);
    // What the work tree has now is something else.
    project.write("settings.sh", "RATE=0.3\n");
    fs::remove_file(project.path("more.sh")).expect("removed");
    let told = Transcript::of(&mut reproduction(&project, &[]));
    verdict(&told, 0, "bit_identical");
    let made = fs::read(copy(&project).join("model.bin")).expect("made");
    assert!(made.starts_with(b"0.2-more 7\n"), "{made:?}");
}

#[test]
fn steps_on_different_commits_run_on_their_own() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    run(&project, &["sh", "prepare.sh"]);
    project.write("prepare.sh", "exit 1\n");
    project.write("settings.sh", "RATE=0.5\n");
    project.commit_all();
    project.run("git", ["push", "--quiet", "origin", "main"]);
    run(&project, &["sh", "train.sh"]);
    let told = Transcript::of(&mut reproduction(&project, &[]));
    verdict(&told, 0, "bit_identical");
}

#[test]
fn chance_is_named() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    project.write("train.sh", "head -c 16 /dev/urandom >model.bin\n");
    project.commit_all();
    project.run("git", ["push", "--quiet", "origin", "main"]);
    run_pipeline(&project);
    let told = Transcript::of(&mut reproduction(&project, &[]));
    let answer = verdict(&told, 3, "differs");
    assert_eq!(answer["cause"]["difference"]["kind"], "not_deterministic");
    assert_eq!(answer["cause"]["command"], "sh train.sh");
}

#[test]
fn inputs_are_found_by_content_and_changed_ones_named() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    let outside = project.base().join("elsewhere/raw.txt");
    fs::create_dir_all(outside.parent().expect("a folder")).expect("made");
    fs::write(&outside, "z\ny\n").expect("written");
    let named = outside.to_str().expect("text");
    project.write(
        "prepare.sh",
        "mkdir -p data; sort \"$1\" >data/sorted.txt\n",
    );
    project.commit_all();
    project.run("git", ["push", "--quiet", "origin", "main"]);
    run(&project, &["sh", "prepare.sh", named]);
    run(&project, &["sh", "train.sh"]);
    // Moved: found in the folder that is named.
    let moved = project.base().join("moved/under/another-name");
    fs::create_dir_all(moved.parent().expect("a folder")).expect("made");
    fs::rename(&outside, &moved).expect("moved");
    let folder = project.base().join("moved");
    let folder = folder.to_str().expect("text");
    let told = Transcript::of(&mut reproduction(&project, &["--inputs", folder]));
    verdict(&told, 0, "bit_identical");
    fs::remove_dir_all(copy(&project)).expect("removed");
    // Gone: named before anything runs.
    let told = Transcript::of(&mut reproduction(&project, &[]));
    told.exits(1).says("elsewhere/raw.txt' is not to be found");
    assert!(!copy(&project).exists());
    // Another content at its place: it runs, and is the cause.
    fs::write(&outside, "z\nx\n").expect("written");
    let told = Transcript::of(&mut reproduction(&project, &[]));
    let answer = verdict(&told, 3, "differs");
    assert_eq!(answer["cause"]["difference"]["kind"], "input");
    assert_eq!(answer["cause"]["difference"]["paths"][0], named);
    assert_eq!(answer["cause"]["step"], 1);
}

#[test]
fn folders_absolute_paths_and_build_steps() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    fs::create_dir_all(project.path("sub")).expect("made");
    project.write("sub/tool.sh", "cat \"$1\" ../lib.txt >\"$2\"\n");
    project.write("build.sh", "echo built >lib.txt\n");
    project.write(".gitignore", ".roar/\nmodel.bin\nlib.txt\n");
    project.commit_all();
    project.run("git", ["push", "--quiet", "origin", "main"]);
    let build = ["build", "-q", "sh", "build.sh"];
    project.roar(build).succeeds();
    let (from, to) = (project.path("raw.txt"), project.path("model.bin"));
    let mut step = project.roar_command();
    step.current_dir(project.path("sub"))
        .args(["run", "-q", "sh", "tool.sh"])
        .args([&from, &to]);
    Transcript::of(&mut step).succeeds();
    let expected = project.read("model.bin");
    let told = Transcript::of(&mut reproduction(&project, &[]));
    let answer = verdict(&told, 0, "bit_identical");
    assert_eq!(
        answer["outputs"].as_array().map(Vec::len),
        Some(2),
        "{answer:#}"
    );
    // The original was not touched: it is the copy's own that was written.
    assert_eq!(
        fs::read(copy(&project).join("model.bin")).expect("made"),
        expected
    );
}

#[test]
fn a_script_does_the_same_without_roar() {
    if !can_run() || !met(&[Need::Program("b3sum")]) {
        return;
    }
    let project = pipeline();
    project.write("settings.sh", "RATE=0.2\n. ./more.sh\n");
    project.write("more.sh", "RATE=\"it's $RATE\"\n");
    run_pipeline(&project);
    let script = project.roar(["reproduce", "model.bin", "--script"]);
    let file = project.base().join("again.sh");
    fs::write(&file, script.succeeds().stdout_text()).expect("written");
    let told = Transcript::of(project.command("sh").arg(&file).arg(copy(&project)));
    assert!(told.succeeds().stdout_text().contains("bit-identical"));
    let made = fs::read(copy(&project).join("model.bin")).expect("made");
    assert_eq!(made, project.read("model.bin"));
}

#[test]
fn what_is_impossible_is_said_before_anything_runs() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    run(&project, &["sh", "prepare.sh"]);
    project.write("local.sh", "cat data/sorted.txt; echo \"$2\" >model.bin\n");
    run(
        &project,
        &[
            "sh",
            "local.sh",
            "--token",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        ],
    );
    let preview = project.roar(["reproduce", "model.bin"]);
    let preview = preview.succeeds().stdout_text();
    assert!(
        preview.contains("impossible: step 2: the value of --token"),
        "{preview}"
    );
    let told = Transcript::of(&mut reproduction(&project, &[]));
    told.exits(1);
    assert!(!copy(&project).exists());
    // Nobody agreed.
    let mut asked = project.roar_command();
    asked.args(["reproduce", "data/sorted.txt", "--run"]);
    let told = Transcript::of(&mut asked);
    told.exits(1).says("-y");
    for (word, part) in [("abcdef", "too short"), ("@1", "")] {
        let told = project.roar(["reproduce", word]);
        told.exits(1).says(part);
    }
}

/// Killed at any moment, with everything it started or alone: the next start goes on, and the end
/// is the same.
#[test]
fn killed_anywhere_it_goes_on() {
    if !can_run() {
        return;
    }
    let project = pipeline();
    // The middle step writes what it reads: the worst to be interrupted in.
    project.write(
        "update.sh",
        "sleep 0.1; echo more >>data/sorted.txt; sleep 0.1\n",
    );
    project.commit_all();
    project.run("git", ["push", "--quiet", "origin", "main"]);
    for script in ["prepare.sh", "update.sh", "train.sh"] {
        run(&project, &["sh", script]);
    }
    // As often as it takes to have been killed in many moments, whatever the machine's speed.
    let mut kills = 0;
    for attempt in 0_u64.. {
        assert!(attempt < 40, "it is hardly ever killed in time: {kills}");
        kills += kill_until_done(&project, attempt);
        let told = Transcript::of(&mut reproduction(&project, &[]));
        verdict(&told, 0, "bit_identical");
        same(&project, "data/sorted.txt");
        same(&project, "model.bin");
        if kills >= 50 {
            break;
        }
        fs::remove_dir_all(copy(&project)).expect("the copy can be removed");
    }
}

/// Starts a reproduction again and again, kills it at a different moment each time until one comes
/// to its end, and returns how many did not.
fn kill_until_done(project: &Project, attempt: u64) -> u64 {
    let said = project.base().join("said");
    for round in 0_u64..60 {
        let mut command = reproduction(project, &[]);
        let mut child = command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).expect("made"))
            .spawn()
            .expect("roar can be started");
        // From the first milliseconds on.
        let moment = 20 + attempt * 13 + round * 37 % 700 + round * round * 2;
        std::thread::sleep(Duration::from_millis(moment));
        let ended = child.try_wait().expect("a child can be waited for");
        if ended.is_some() {
            return round;
        }
        let id = i32::try_from(child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(id).expect("not zero");
        let signal = rustix::process::Signal::KILL;
        if round % 3 == 0 {
            let _ = rustix::process::kill_process(pid, signal);
        } else {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
        child.wait().expect("a child can be waited for");
    }
    panic!(
        "it does not come to an end; at last it said: {}",
        String::from_utf8_lossy(&fs::read(said).unwrap_or_default())
    );
}

#[track_caller]
fn same(project: &Project, path: &str) {
    let made = fs::read(copy(project).join(Path::new(path))).expect("made");
    assert_eq!(made, project.read(path), "{path}");
}
