//! Running recorded steps again, and taking one back: `run @N`, `rerun`, `pop`. What ran is judged by
//! the files it wrote.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::require_bpf;
use roar_tests::terminal::Terminal;

/// A program that writes its arguments down, one a line, each between angle brackets.
const TELL: &str = "#!/bin/sh\nfor word in \"$@\"; do printf '<%s>\\n' \"$word\"; done > told\n";

fn told(project: &Project, path: &str) -> String {
    String::from_utf8(project.read(path)).expect("it is text")
}

#[test]
fn arguments_come_back_one_by_one() {
    if !require_bpf() {
        return;
    }
    // What was recorded, what is given, what the program must be told.
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (
            &["two words", "it's", "$HOME", "", "*"],
            &[],
            &["two words", "it's", "$HOME", "", "*"],
        ),
        (
            &["--lr=1", "--data", "a b", "x"],
            &["--lr", "2 3", "--data=c"],
            &["--lr=2 3", "--data", "c", "x"],
        ),
        (&["--lr-decay=1"], &["--lr=2"], &["--lr-decay=1", "--lr=2"]),
        (&["a"], &["b", "-v"], &["a", "b", "-v"]),
        (&["--n", "-1"], &["--n=-2"], &["--n", "-2"]),
        (&["--", "--lr=1"], &["--lr=2"], &["--", "--lr=2"]),
    ];
    for (recorded, given, expected) in cases {
        let project = Project::new();
        project.write_program("tell.sh", TELL);
        project
            .roar([&["run", "./tell.sh"], recorded].concat())
            .succeeds();
        fs::remove_file(project.path("told")).expect("it was written");
        project.roar([&["run", "@1"], given].concat()).succeeds();
        let lines = format!("<{}>\n", expected.join(">\n<"));
        assert_eq!(told(&project, "told"), lines, "{recorded:?} with {given:?}");
        let argv = Record::of(&project, "@1").json["argv"].clone();
        let words: Vec<&str> = [&["./tell.sh"], expected].concat();
        assert_eq!(argv, serde_json::json!(words));
    }
}

#[test]
fn what_differs_from_the_record_is_said() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write_program("copy.sh", "#!/bin/sh\necho 1 > \"$1\"\n");
    project.roar(["run", "./copy.sh", "a"]).succeeds();
    project.write_program("copy.sh", "#!/bin/sh\necho 1 > \"$1$2\"\n");
    let run = project.roar(["run", "@1", "--fast"]);
    run.succeeds()
        .says("--fast is no option of the recorded command")
        .says("recorded as @2, not @1");
}

#[test]
fn a_step_runs_where_it_ran() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("sub/in", "1");
    project.write("other/in", "2");
    let run = |folder: &str, arguments: &[&str]| {
        let mut command = project.roar_command();
        command.current_dir(project.path(folder)).args(arguments);
        roar_tests::transcript::Transcript::of(&mut command)
    };
    run(
        "sub",
        &["run", "sh", "-c", "cat in > out; echo $PWD >> out"],
    )
    .succeeds();
    fs::remove_file(project.path("sub/out")).expect("it was written");
    run("other", &["run", "@1"]).succeeds().says("@1: sh -c");
    let sub = project.path("sub");
    assert_eq!(told(&project, "sub/out"), format!("1{}\n", sub.display()));
    assert!(!project.path("other/out").exists());
    assert_eq!(
        project.roar(["dag", "--json"]).json()["total_steps"],
        1,
        "the same step"
    );

    fs::remove_dir_all(&sub).expect("it can be removed");
    run("other", &["run", "@1"]).exits(125).says("'sub'");
}

#[test]
fn wrong_references_are_answered_with_what_exists() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project
        .roar(["run", "@1"])
        .exits(1)
        .says("nothing is recorded yet");
    project.roar(["run", "sh", "-c", "echo > a"]).succeeds();
    project
        .roar(["build", "sh", "-c", "echo > tool"])
        .succeeds();
    for wrong in [
        "@0",
        "@3",
        "@999999",
        "@99999999999",
        "@B0",
        "@B3",
        "@x",
        "@",
    ] {
        for verb in ["run", "build"] {
            project.roar([verb, wrong]).exits(1).says("@1, @B2");
        }
    }
    project.roar(["build", "@1"]).exits(1).says("roar run @1");
    project.roar(["run", "@B1"]).exits(1).says("@1");

    fs::remove_file(project.path("tool")).expect("it was written");
    project.roar(["build", "@B2"]).succeeds();
    assert!(project.path("tool").exists());
    let dag = project.roar(["dag", "--json"]).json();
    assert_eq!(dag["total_steps"], 2);
    assert_eq!(dag["nodes"][1]["is_build"], true);
}

/// A build that finds all up to date is one more execution of its step, which stays what it was.
#[test]
fn what_had_nothing_to_do_is_its_step() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("in", "1");
    project.write("make.sh", "test -f out && exit 0\ncat in > out\n");
    project.roar(["build", "sh", "make.sh"]).succeeds();
    project.roar(["run", "cp", "out", "final"]).succeeds();
    for again in [
        ["build", "sh", "make.sh"].as_slice(),
        &["run", "@B1"],
        &["build", "sh", "make.sh"],
    ] {
        let told = project.roar(again);
        told.succeeds().says("step @B1");
    }
    let dag = project.roar(["dag", "--json"]).json();
    assert_eq!(dag["total_steps"], 2);
    let made = &dag["nodes"][0];
    assert_eq!(made["state"], "active");
    assert_eq!(made["metrics"]["outputs"], 1, "{made}");
    assert_eq!(dag["nodes"][1]["state"], "active");
    assert_eq!(dag["nodes"][1]["dependencies"][0], 1);
    let all = project.roar(["dag", "--json", "--expanded"]).json();
    assert_eq!(all["nodes"].as_array().map(Vec::len), Some(5));
    std::fs::remove_file(project.path("out")).expect("it was made");
    for question in [["status"].as_slice(), &["verify"]] {
        let told = project.roar(question);
        assert!(
            told.stdout_text().contains("made by @B1"),
            "{}",
            told.snapshot()
        );
    }
    // It does its work again: still the same step.
    project.roar(["run", "@B1"]).succeeds().says("step @B1");
    assert_eq!(told(&project, "out"), "1");
}

/// raw → @1 → a → @2 → b → @3 → c; @2 drops blanks, so that its output may stay the same.
fn chain() -> Project {
    let project = Project::new();
    // A log that is appended to would be an input from the second run on.
    project
        .roar(["config", "set", "filters.ignore_paths", "[\"log*\"]"])
        .succeeds();
    project.write("raw", "1\n");
    for script in [
        "cat raw > a; echo 1 >> log1",
        "tr -d ' ' < a > b; echo 2 >> log2",
        "cat b > c; echo 3 >> log3",
    ] {
        project.roar(["run", "sh", "-c", script]).succeeds();
    }
    project
}

/// How often each of the three steps ran.
fn runs(project: &Project) -> [usize; 3] {
    ["log1", "log2", "log3"].map(|log| told(project, log).lines().count())
}

#[test]
fn a_run_tells_what_it_means_for_others() {
    if !require_bpf() {
        return;
    }
    let project = chain();
    project.write("raw", "2\n");
    project
        .roar(["run", "@1"])
        .succeeds()
        .says("now stale: @2 @3");
    // Without a terminal: a warning, and it runs.
    let run = project.roar(["run", "@3"]);
    run.succeeds()
        .says("reads b, which the stale step @2 made")
        .says("read b, which the stale step @2 made");
    assert_eq!(runs(&project), [2, 1, 2]);

    let ask = |answer: &str, words: &[&str]| {
        let mut command = project.roar_command();
        command.args(words);
        let mut terminal = Terminal::start(&command);
        if !answer.is_empty() {
            terminal.wait_for("Run it all the same? [y/N]");
            terminal.type_in(answer);
        }
        terminal.finish().0.code()
    };
    assert_eq!(ask("\n", &["run", "@3"]), Some(1));
    assert_eq!(ask("\u{3}", &["run", "@3"]), None, "interrupted");
    assert_eq!(runs(&project), [2, 1, 2], "nothing ran");
    assert_eq!(ask("y\n", &["run", "@3"]), Some(0));
    assert_eq!(ask("", &["run", "-y", "@3"]), Some(0));
    assert_eq!(runs(&project), [2, 1, 4]);
}

#[test]
fn rerun_runs_the_stale_steps_and_no_other() {
    if !require_bpf() {
        return;
    }
    let project = chain();
    project
        .roar(["rerun", "--stale", "-y"])
        .succeeds()
        .says("no step is stale");
    project.write("raw", "2\n");
    project.roar(["run", "@1"]).succeeds();

    let preview = project.roar(["rerun", "--stale", "-n"]);
    let listed = preview.succeeds().stdout_text();
    let steps: Vec<&str> = listed
        .lines()
        .filter_map(|l| l.split("  ").next())
        .collect();
    assert_eq!(steps, ["@2", "@3"]);
    project
        .roar(["rerun", "--stale"])
        .exits(1)
        .says("roar rerun --stale -y");
    assert_eq!(
        runs(&project),
        [2, 1, 1],
        "a preview and a refusal run nothing"
    );

    project
        .roar(["rerun", "--stale", "-y"])
        .succeeds()
        .says("[1/2] @2")
        .says("[2/2] @3")
        .says("nothing is stale now");
    assert_eq!(runs(&project), [2, 2, 2]);
    assert_eq!(told(&project, "c"), "2\n");

    // What comes out of @2 is the same: @3 has nothing new to do.
    project.write("raw", "2 \n");
    project.roar(["run", "@1"]).succeeds();
    project.roar(["rerun", "--stale", "-y"]).succeeds();
    assert_eq!(runs(&project), [3, 3, 2]);
    assert_eq!(project.roar(["dag", "--json"]).json()["stale_count"], 0);
}

#[test]
fn rerun_stops_at_the_first_failure() {
    if !require_bpf() {
        return;
    }
    let project = chain();
    project.write("raw", "2\n");
    project.roar(["run", "@1"]).succeeds();
    // Its log cannot be opened any more.
    fs::remove_file(project.path("log3")).expect("it was written");
    fs::create_dir(project.path("log3")).expect("nothing is there");
    let rerun = project.roar(["rerun", "--stale", "-y"]);
    rerun.exits(2).says("@3 failed with status 2");
    let dag = project.roar(["dag", "--json"]).json();
    assert_eq!(dag["nodes"][2]["exit_code"], 2, "the failure is on record");
}

/// The signals that roar takes itself for the first command must reach the second one.
#[test]
fn every_step_of_a_rerun_gets_its_signals() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("raw", "1");
    let masks = "grep -E 'SigBlk|SigIgn' /proc/self/status";
    for (from, to) in [("raw", "a"), ("a", "b"), ("b", "c")] {
        let script = format!("cat {from} > {to}; {masks} > mask-{to}");
        project.roar(["run", "sh", "-c", &script]).succeeds();
    }
    project.write("raw", "2");
    project.roar(["run", "@1"]).succeeds();
    let before = told(&project, "mask-c");
    project.roar(["rerun", "--stale", "-y"]).succeeds();
    assert_eq!(told(&project, "c"), "2");
    assert_eq!(told(&project, "mask-b"), before);
    assert_eq!(told(&project, "mask-c"), before);
}

#[test]
fn nothing_is_popped_while_a_job_runs() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.roar(["run", "sh", "-c", "echo 1 > a"]).succeeds();
    let mut child = project
        .roar_command()
        .args(["run", "sh", "-c", "cat a; read line; echo 2 > b"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("roar can be started");
    let mut line = String::new();
    let mut shown = BufReader::new(child.stdout.take().expect("it is piped"));
    shown.read_line(&mut line).expect("the command runs");
    project.roar(["pop", "-y"]).exits(1).says("is running");
    assert!(project.path("a").exists());
    drop(child.stdin.take());
    assert!(child.wait().expect("a child can be waited for").success());

    project.roar(["pop", "-y"]).succeeds().says("deleted  b");
    project.roar(["pop", "-y"]).succeeds().says("deleted  a");
    assert!(!project.path("a").exists() && !project.path("b").exists());
}
