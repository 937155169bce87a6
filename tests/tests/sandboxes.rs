//! The seccomp tracer where others restrict it: containers, namespaces, outer filters, odd homes.
//! It works as it does outside, or says what refuses it.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;
use roar_tests::user::OrdinaryUser;
use roar_tests::workload::{Build, program};

const NEEDS: &[Need] = &[Need::Root, Need::Program("setpriv"), Need::Program("gcc")];

const FILES: &str = "  in  in\n  out out\n";

/// A project with one input; its user.
fn project() -> Project {
    let project = Project::new();
    project.write("in", "input");
    project
}

/// Adds `roar run` of a command to what a sandbox is started with.
fn run(user: &OrdinaryUser<'_>, sandbox: &mut Command, argv: &[&str]) -> Transcript {
    let roar = user.within_reach(binary::roar());
    Transcript::of(sandbox.arg(roar).arg("run").args(argv))
}

fn sandbox(user: &OrdinaryUser<'_>) -> PathBuf {
    user.within_reach(&program::path("sandbox", Build::Dynamic))
}

/// Where it can run, it is what it is outside.
#[test]
fn restricted_worlds() {
    if !met(NEEDS) {
        return;
    }
    let inside = |kind: &'static str| {
        move |user: &OrdinaryUser<'_>| {
            let mut command = user.command(sandbox(user));
            command.arg(kind);
            command
        }
    };
    let with = |program: &'static str, arguments: &'static [&'static str]| {
        move |user: &OrdinaryUser<'_>| {
            let mut command = user.command(program);
            command.args(arguments);
            command
        }
    };
    type World = Box<dyn Fn(&OrdinaryUser<'_>) -> Command>;
    let mut worlds: Vec<(&str, World)> = vec![
        ("without setpriv's own", Box::new(with("env", &[]))),
        (
            "no bounding set",
            Box::new(with("setpriv", &["--no-new-privs"])),
        ),
        ("no process_vm_readv", Box::new(inside("no-vm-readv"))),
        ("no openat2", Box::new(inside("no-openat2"))),
        ("no pidfd_open", Box::new(inside("no-pidfd"))),
        ("before Linux 5.19", Box::new(inside("no-wait-killable"))),
        (
            "a user namespace",
            Box::new(with("unshare", &["--user", "--map-root-user"])),
        ),
        (
            "own process ids",
            Box::new(with(
                "unshare",
                &[
                    "--user",
                    "--map-root-user",
                    "--pid",
                    "--fork",
                    "--mount-proc",
                ],
            )),
        ),
        (
            "a mount namespace",
            Box::new(with("unshare", &["--user", "--map-root-user", "--mount"])),
        ),
        (
            "nothing in the bounding set",
            Box::new(|user: &OrdinaryUser<'_>| {
                user.command_with(&["--bounding-set", "-all"], "env")
            }),
        ),
        ("no home", Box::new(with("env", &["-u", "HOME"]))),
        (
            "a home that is not there",
            Box::new(with("env", &["HOME=/nowhere"])),
        ),
    ];
    if cfg!(target_arch = "x86_64") {
        worlds.push(("Docker's default profile", Box::new(inside("docker"))));
    }
    if met(&[Need::Program("bwrap")]) {
        let bubble = ["--dev-bind", "/", "/", "--unshare-all", "--proc", "/proc"];
        worlds.push((
            "bubblewrap",
            Box::new(move |user: &OrdinaryUser<'_>| {
                let mut command = user.command("bwrap");
                command.args(bubble);
                command
            }),
        ));
    }
    for (name, world) in worlds {
        let project = project();
        let user = OrdinaryUser::of(&project);
        let argv = [
            "-q",
            "--tracer",
            "seccomp",
            "sh",
            "-c",
            "cp in t; mv t out; exit 3",
        ];
        let told = run(&user, &mut world(&user), &argv);
        assert_eq!(told.code(), 3, "{name}: {}", told.snapshot());
        let record = Record::of(&project, "@1");
        let files = record.files_under(project.root()).describe();
        assert_eq!(files, FILES, "{name}");
        assert!(record.is_complete(), "{name}: {:#}", record.completeness());
    }
}

/// One that cannot be written, and one that cannot be entered, as of a user of a container who was
/// left root's `HOME`: no settings are in it.
#[test]
fn the_home_of_another_user() {
    if !met(NEEDS) {
        return;
    }
    for (mode, is_hidden) in [(0o555, false), (0o000, true)] {
        let project = project();
        let user = OrdinaryUser::of(&project);
        fs::set_permissions(project.home(), fs::Permissions::from_mode(mode)).expect("root can");
        let mut env = user.command("env");
        let argv = ["--tracer", "seccomp", "cp", "in", "out"];
        let told = run(&user, &mut env, &argv);
        let said = told.succeeds().stderr_text();
        let is_told = said.contains("/.config/roar/config.toml' is not used");
        assert_eq!(is_told, is_hidden, "{said}");
        let record = Record::of(&project, "@1");
        assert_eq!(record.files_under(project.root()).describe(), FILES);
    }
}

/// Where it cannot run, it is roar's own failure, with the reason; nothing is recorded.
#[test]
fn refusals() {
    if !met(NEEDS) {
        return;
    }
    for (kind, reason) in [
        ("no-listener", "the filter or its listener is not supported"),
        ("no-seccomp", "installing a filter is forbidden"),
    ] {
        for tracer in ["seccomp", "auto"] {
            let project = project();
            let user = OrdinaryUser::of(&project);
            let mut world = user.command(sandbox(&user));
            world.arg(kind);
            let told = run(&user, &mut world, &["--tracer", tracer, "cp", "in", "out"]);
            told.exits(125).says(reason).says("sudo roar");
            assert!(!project.path("out").exists(), "{kind}: it ran");
            let log = project.roar(["log", "--json"]).succeeds().json();
            let jobs = log.as_array().or_else(|| log["jobs"].as_array());
            assert_eq!(jobs.map(Vec::len), Some(0), "{kind}");
        }
    }
}

/// `roar run` in `roar run`: the inner one says why it cannot, the outer one that it was asked.
#[test]
fn nested() {
    if !met(NEEDS) {
        return;
    }
    let project = project();
    let user = OrdinaryUser::of(&project);
    let roar = user.within_reach(binary::roar());
    let script = format!("cp in out; {} run true", roar.display());
    let mut outer = user.command("env");
    let argv = ["--tracer", "seccomp", "sh", "-c", &script];
    let told = run(&user, &mut outer, &argv);
    told.exits(125)
        .says("watched through seccomp")
        .says("a seccomp listener of its own");
    let record = Record::of(&project, "@1");
    let notes = record.completeness()["notes"].to_string();
    assert!(notes.contains("a seccomp listener of its own"), "{notes}");
    assert!(record.is_complete(), "{:#}", record.completeness());
    let files = record.files_under(project.root());
    assert!(
        files.outputs.contains(Path::new("out")),
        "{}",
        files.describe()
    );
}

/// A tracer whose filter asks for calls that roar watches: the kernel tells roar alone, and the
/// record says so. One without such a filter sees all.
#[test]
fn a_tracer_in_the_command() {
    if !met(NEEDS) || !met(&[Need::Program("strace")]) {
        return;
    }
    for (option, note) in [("--seccomp-bpf", 1), ("-qq", 0)] {
        let project = project();
        let user = OrdinaryUser::of(&project);
        let trace = ["-f", "-e", "trace=openat", "-o", "trace", option];
        let mut argv = vec!["--tracer", "seccomp", "strace"];
        argv.extend(trace);
        argv.extend(["cp", "in", "out"]);
        run(&user, &mut user.command("env"), &argv).succeeds();
        let seen = String::from_utf8(project.read("trace")).expect("a trace is text");
        assert_eq!(seen.contains("\"in\""), note == 0, "{seen}");
        let record = Record::of(&project, "@1");
        let notes = record.completeness()["notes"].to_string();
        let told = notes.matches("does not see the calls that roar watches");
        assert_eq!(told.count(), note, "{notes}");
        let files = record.files_under(project.root()).describe();
        assert_eq!(files, "  in  in\n  out out\n  out trace\n");
    }
}

/// What the record says of programs that are more, or less, than the user.
#[test]
fn programs_that_cannot_be_what_they_are() {
    if !met(NEEDS) {
        return;
    }
    let check = |make: &dyn Fn(&Project), script: &str, said: &[&str]| {
        let project = project();
        let user = OrdinaryUser::of(&project);
        make(&project);
        let mut world = user.command_with(&[], "env");
        let told = run(
            &user,
            &mut world,
            &["--tracer", "seccomp", "sh", "-c", script],
        );
        told.succeeds();
        let record = Record::of(&project, "@1");
        assert!(
            !record.is_complete(),
            "{script}: {:#}",
            record.completeness()
        );
        let gaps = record.completeness()["gaps"].to_string();
        for text in said {
            told.says(text);
            assert!(gaps.contains(text), "{script}: {gaps}");
        }
    };
    let program = |project: &Project, mode: u32| {
        let path = project.path("program");
        fs::copy("/bin/cat", &path).expect("a program can be copied");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root can");
    };
    check(
        &|project| program(project, 0o4755),
        "./program in > out",
        &[
            "program ran without the privileges of its file",
            "sudo roar run",
        ],
    );
    // Execute-only: the kernel lets nobody look into it.
    check(
        &|project| program(project, 0o4711),
        "./program in > out",
        &["ran without the privileges"],
    );
    check(
        &|project| program(project, 0o711),
        "./program in > out",
        &["whose memory may not be read"],
    );
}
