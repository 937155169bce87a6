//! The command line from outside, where no tracer is needed: projects, refusals, streams.
#![cfg(unix)]

use std::fs;
use std::process::Stdio;

use roar_tests::project::Project;
use roar_tests::require::{Need, met};
use roar_tests::terminal::Terminal;
use roar_tests::transcript::Transcript;

/// Commands that read a project.
const READERS: [&[&str]; 4] = [&["log"], &["status"], &["dag"], &["show", "@1"]];

#[test]
fn init_makes_a_project_once() {
    let project = Project::empty();
    project.roar(["init", "-n"]).succeeds();
    assert!(project.path(".roar/roar.db").is_file());
    let config = String::from_utf8(project.read(".roar/config.toml")).expect("it is text");
    assert!(
        config
            .lines()
            .any(|line| line.trim() == "ignore_tmp_files = true"),
        "the defaults are there to be edited:\n{config}"
    );
    fs::write(project.path(".roar/config.toml"), "# mine\n").expect("it can be edited");
    let database = project.read(".roar/roar.db");
    project.roar(["init", "-n"]).succeeds();
    assert_eq!(
        project.read(".roar/config.toml"),
        b"# mine\n",
        "an edited file is kept"
    );
    assert_eq!(project.read(".roar/roar.db"), database);
    assert!(!project.path(".gitignore").exists(), "-n leaves it alone");
}

#[test]
fn init_offers_gitignore() {
    let ignored = |arguments: &[&str]| {
        let project = Project::empty();
        project.run("git", ["init", "--quiet"]);
        project.write(".gitignore", "target/");
        project.roar(arguments).succeeds();
        project.roar(arguments).succeeds();
        String::from_utf8(project.read(".gitignore")).expect("it is text")
    };
    assert_eq!(ignored(&["init", "-y"]), "target/\n.roar/\n");
    assert_eq!(ignored(&["init", "-n"]), "target/");
    assert_eq!(
        ignored(&["init"]),
        "target/",
        "no question without a terminal"
    );
}

#[test]
fn without_a_project_everything_names_init() {
    let project = Project::empty();
    for arguments in READERS {
        project.roar(arguments).exits(1).says("roar init");
    }
    let marker = project.path("marker");
    let refused = project.roar(["run", "touch", "marker"]);
    refused.exits(125).says("roar init");
    assert!(!marker.exists(), "nothing runs that could not be recorded");
}

/// A database that cannot be used is refused with advice and left as it is.
#[test]
fn a_foreign_database_is_left_untouched() {
    let project = Project::new();
    let good = project.read(".roar/roar.db");
    let mut newer = good.clone();
    // The schema version that SQLite keeps for its users: big-endian, at offset 60.
    newer[60..64].copy_from_slice(&0x0fff_ffff_u32.to_be_bytes());
    let cases: [(&str, Vec<u8>, &str); 3] = [
        (
            "garbage",
            b"this is no database at all\n".repeat(400),
            "roar.db",
        ),
        ("cut short", good[..good.len() / 2].to_vec(), "roar.db"),
        ("newer", newer, "newer"),
    ];
    for (name, bytes, word) in cases {
        fs::write(project.path(".roar/roar.db"), &bytes).expect("it can be overwritten");
        let refused = project.roar(["run", "touch", "marker"]);
        refused.exits(125).says(word);
        assert!(!project.path("marker").exists(), "{name}: the command ran");
        if name != "newer" {
            let read = project.roar(["log"]);
            read.exits(1).says(word);
        }
        assert_eq!(project.read(".roar/roar.db"), bytes, "{name}: touched");
    }
    fs::write(project.path(".roar/roar.db"), &good).expect("it can be overwritten");
    project.roar(["log"]).succeeds();
}

#[test]
fn a_project_folder_that_is_none_is_refused() {
    let project = Project::empty();
    project.write(".roar", "a file");
    for arguments in READERS {
        project.roar(arguments).exits(1).says("not a directory");
    }
    assert_eq!(project.read(".roar"), b"a file");
}

#[test]
fn help_and_version_are_everywhere() {
    let project = Project::empty();
    for command in ["", "init", "run", "build", "log", "show", "status", "dag"] {
        for flag in ["--help", "--version"] {
            let arguments = [command, flag].into_iter().filter(|word| !word.is_empty());
            let told = project.roar(arguments);
            told.succeeds();
            assert!(
                !told.stdout.is_empty() && told.stderr.is_empty(),
                "{}",
                told.snapshot()
            );
        }
    }
}

#[test]
fn listings_of_an_empty_project_are_json() {
    let project = Project::new();
    for arguments in [["log", "--json"], ["dag", "--json"], ["status", "--json"]] {
        project.roar(arguments).succeeds().json();
    }
    assert_eq!(project.roar(["dag", "--json"]).json()["total_steps"], 0);
}

#[test]
fn wrong_references_say_so() {
    let project = Project::new();
    for reference in [
        "@1",
        "@B1",
        "@0",
        "@999999",
        "deadbeef",
        "no-such-file",
        "@",
        "@x",
    ] {
        let told = project.roar(["show", reference]);
        told.exits(1);
        assert!(
            told.stdout.is_empty() && !told.stderr.is_empty(),
            "{}",
            told.snapshot()
        );
    }
}

/// Nobody reads any more: no panic, no complaint.
#[test]
fn a_closed_pipe_is_no_error() {
    let project = Project::new();
    for arguments in [&["log"][..], &["dag", "--json"], &["--help"]] {
        let mut command = project.roar_command();
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        drop(child.stdout.take());
        let told = Transcript::from(child.wait_with_output().expect("a child can be waited for"));
        let complaint = told.stderr_text();
        assert!(
            !complaint.contains("panicked"),
            "{arguments:?}: {complaint}"
        );
    }
}

/// A disk that is full: what a script asked for is not all there, and its status says so.
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let project = Project::new();
    for arguments in [&["man"][..], &["dag", "--json"], &["completion", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = project.roar_command();
        let child = command
            .args(arguments)
            .stdout(full.expect("every Linux has it"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        let output = child.wait_with_output();
        Transcript::from(output.expect("a child can be waited for"))
            .exits(1)
            .says("cannot write to stdout");
    }
}

/// Colours and questions are for terminals; JSON has none even there.
#[test]
fn json_on_a_terminal_is_plain() {
    let project = Project::new();
    let mut command = project.roar_command();
    command.args(["dag", "--json"]);
    let (status, shown) = Terminal::start(&command).finish();
    assert!(status.success(), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON");
}

/// bash itself loads the completion and completes with it.
#[test]
fn bash_completes_commands_and_options() {
    let project = Project::empty();
    let script = project
        .roar(["completion", "bash"])
        .succeeds()
        .stdout_text();
    project.write("roar.bash", &script);
    let complete = |words: &str, word: &str, before: &str| {
        let ask = format!(
            "set -u; source roar.bash; complete -p roar >&2
             COMP_WORDS=({words} '{word}'); COMP_CWORD=$(({length}))
             _roar roar '{word}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            length = words.split(' ').count(),
        );
        let answer = Transcript::of(project.command("bash").args(["-c", &ask]));
        let answer = answer.succeeds().stdout_text();
        answer.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("roar", "stat", "roar"), ["status"]);
    assert_eq!(complete("roar", "co", "roar"), ["config", "completion"]);
    assert_eq!(
        complete("roar dag", "--s", "dag"),
        ["--show-artifacts", "--stale-only", "--session", "--svg"]
    );
    for shell in ["zsh", "fish"] {
        project.roar(["completion", shell]).succeeds();
    }
    project.roar(["completion", "sh"]).exits(2);
}

/// groff finds nothing to warn of in any manual page.
#[test]
fn manual_pages() {
    if !met(&[Need::Program("groff")]) {
        return;
    }
    let project = Project::empty();
    project.roar(["man", "--out", "pages"]).succeeds();
    let pages: Vec<_> = fs::read_dir(project.path("pages"))
        .expect("they were written")
        .map(|page| page.expect("readable").path())
        .collect();
    for name in ["roar.1", "roar-dag.1", "roar-config-set.1"] {
        assert!(
            pages.contains(&project.path("pages").join(name)),
            "{pages:?}"
        );
    }
    for page in pages {
        let page = page.to_str().expect("text");
        let check = ["-c", "groff -man -ww -z -Tutf8 \"$0\" 2>&1", page];
        let told = Transcript::of(project.command("sh").args(check));
        assert_eq!(told.succeeds().stdout_text(), "", "{page}");
    }
    let one = project
        .roar(["man", "config", "set"])
        .succeeds()
        .stdout_text();
    let same = project.read("pages/roar-config-set.1");
    assert_eq!(one, String::from_utf8(same).expect("text"));
    project.roar(["man", "nothing"]).exits(1);
}
