//! Reproducing pipelines that run Python: its version, the environment, the packages and the
//! system's packages, each as it was recorded or as the user lets it be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roar_tests::project::{PATH, Project};
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;
use roar_tests::users::{Users, can_run};

/// A small package without dependencies, in a version that nobody would take by chance.
const PACKAGE: &str = "idna";
const VERSION: &str = "3.4";

fn can_install() -> bool {
    can_run() && met(&[Need::PackageIndex, Need::PythonModule("venv")])
}

/// What a program of the project writes to its standard output.
fn output(project: &Project, program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let mut command = project.command(project.path(program));
    Transcript::of(command.args(arguments))
        .succeeds()
        .stdout_text()
}

/// A step that runs in a virtual environment of the project and says which versions it met.
fn write_project(users: &Users) {
    let project = &users.project;
    project.write(".gitignore", ".roar/\n.venv/\nmodel.bin\n");
    project.write("raw.txt", "c\na\nb\n");
    project.write(
        "helper.py",
        "def lines(text):\n    return sorted(text.split())\n",
    );
    project.write(
        "train.py",
        "import os, sys, time\nimport idna, helper\n\
         while os.path.exists('../slow'):\n    time.sleep(0.1)\n\
         words = [idna.__version__, sys.version.split()[0], *helper.lines(open('raw.txt').read())]\n\
         open('model.bin', 'w').write('\\n'.join(words))\n",
    );
    users.push();
    project.run("python3", ["-m", "venv", ".venv"]);
    let wanted = format!("{PACKAGE}=={VERSION}");
    output(
        project,
        ".venv/bin/pip",
        &["install", "-q", "--no-deps", &wanted],
    );
}

fn run(users: &Users) -> String {
    let run = ["run", "-q", ".venv/bin/python", "train.py"];
    Transcript::of(&mut users.a(&run)).succeeds();
    users.register().succeeds();
    users.hash()
}

fn reproduce(users: &Users, out: &str, arguments: &[&str]) -> Command {
    let hash = users.hash();
    let mut command = users.b(&["reproduce", &hash, "--run", "-y", "--out", out]);
    // uv trusts the certificates that it comes with; pip those of the system.
    command.args(arguments).env("UV_SYSTEM_CERTS", "1");
    command
}

fn copy(users: &Users, path: &str) -> PathBuf {
    users.project.base().join("elsewhere").join(path)
}

#[test]
fn the_environment_is_made_again() {
    if !can_install() {
        return;
    }
    let users = Users::new();
    write_project(&users);
    let hash = run(&users);
    let version = users.project.read("model.bin");
    let version = String::from_utf8_lossy(&version)
        .lines()
        .nth(1)
        .map(str::to_owned);
    let version = version.expect("the interpreter's version");

    let preview = Transcript::of(&mut users.b(&["reproduce", &hash, "--list-requirements"]));
    let preview = preview.succeeds().stdout_text();
    for part in [&format!("{PACKAGE} {VERSION}"), &version, "system packages"] {
        assert!(preview.contains(part), "{part}: {preview}");
    }
    // The environment's own modules are packages, not code of the project.
    assert!(!preview.contains("untracked"), "{preview}");

    let told = Transcript::of(&mut reproduce(&users, "copy", &[]));
    told.succeeds();
    assert_eq!(
        fs::read(copy(&users, "copy/model.bin")).expect("made"),
        users.project.read("model.bin")
    );
    let python = copy(&users, "copy/.venv/bin/python");
    let listed = output(&users.project, python, &["-m", "pip", "list"]);
    assert!(listed.contains(VERSION), "{listed}");

    // A step that does not come to its end; then it does, in the same folder.
    fs::write(users.project.base().join("elsewhere/slow"), "").expect("written");
    let told = Transcript::of(&mut reproduce(&users, "late", &["--timeout", "1"]));
    told.exits(1).says("took too long");
    fs::remove_file(users.project.base().join("elsewhere/slow")).expect("removed");
    Transcript::of(&mut reproduce(&users, "late", &[])).succeeds();

    // The remote has moved: it is named.
    let (remote, moved) = ("remote.git", "moved.git");
    let at = |name: &str| users.project.base().join(name);
    fs::rename(at(remote), at(moved)).expect("moved");
    let told = Transcript::of(&mut reproduce(&users, "moved", &[]));
    told.exits(1).says("remote.git");
    let moved = at(moved);
    let from = ["--repository", moved.to_str().expect("text")];
    Transcript::of(&mut reproduce(&users, "moved", &from)).succeeds();
}

#[test]
fn a_version_that_is_not_to_be_had() {
    if !can_install() {
        return;
    }
    let users = Users::new();
    write_project(&users);
    // Somebody's own build of it.
    let sites = output(
        &users.project,
        "/usr/bin/find",
        &[".venv", "-name", "idna-*.dist-info"],
    );
    let metadata = users.project.path(sites.trim()).join("METADATA");
    let text = fs::read_to_string(&metadata).expect("metadata");
    let other = text.replace(
        &format!("Version: {VERSION}"),
        &format!("Version: {VERSION}.post99"),
    );
    fs::write(&metadata, other).expect("written");
    run(&users);
    let told = Transcript::of(&mut reproduce(&users, "copy", &[]));
    told.exits(1).says(&format!("{PACKAGE}=={VERSION}.post99"));
    // Another version: it runs, and the difference is named.
    let told = Transcript::of(&mut reproduce(
        &users,
        "copy",
        &["--pip-any-version", "--json"],
    ));
    let answer = told.exits(3).json();
    assert_eq!(answer["verdict"], "differs", "{answer:#}");
    assert_eq!(
        answer["cause"]["difference"]["kind"], "package",
        "{answer:#}"
    );
    told.says("another version is used");
}

#[test]
fn uv_makes_the_environment_where_it_is() {
    if !can_install() {
        return;
    }
    let users = Users::new();
    write_project(&users);
    run(&users);
    let project = &users.project;
    let tools = project.base().join("tools");
    project.run("python3", ["-m", "venv", tools.to_str().expect("text")]);
    let pip = tools.join("bin/pip");
    output(project, pip, &["install", "-q", "uv"]);
    let path = format!("{}:{PATH}", tools.join("bin").display());
    let mut command = reproduce(&users, "copy", &[]);
    Transcript::of(command.env("PATH", path)).succeeds();
    let config = fs::read_to_string(copy(&users, "copy/.venv/pyvenv.cfg")).expect("there");
    assert!(config.contains("uv = "), "{config}");
}

/// A stand-in for apt-get: it writes down what it was asked for, and has no old versions.
#[test]
fn system_packages_are_asked_for_by_version() {
    if !can_run() || !met(&[Need::Root, Need::Program("dpkg-query")]) {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    let hash = users.pipeline();
    users.register().succeeds();
    let folder = users.project.base().join("fakes");
    fs::create_dir(&folder).expect("made");
    let log = folder.join("asked");
    let write = |name: &str, script: &str| {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("set");
    };
    // Here, nothing is installed.
    write("dpkg-query", "exit 0");
    let refuse = "case \"$*\" in *=*) exit 100;; esac";
    write(
        "apt-get",
        &format!("echo \"$*\" >>{}\n{refuse}", log.display()),
    );
    let path = format!("{}:{PATH}", folder.display());
    let reproduce = |out: &str, arguments: &[&str], status: i32| {
        let _ = fs::remove_file(&log);
        let mut command = users.b(&["reproduce", &hash, "--run", "-y", "--out", out]);
        Transcript::of(command.args(arguments).env("PATH", &path)).exits(status);
        fs::read_to_string(&log).unwrap_or_default()
    };
    assert_eq!(reproduce("plain", &[], 0), "");
    let asked = reproduce("synced", &["--package-sync"], 1);
    assert!(
        asked.contains("coreutils=") && asked.contains("dash="),
        "{asked}"
    );
    let asked = reproduce("any", &["--package-sync", "--dpkg-any-version"], 0);
    let last = asked.lines().last().expect("a second try");
    assert!(
        last.contains(" coreutils") && !last.contains('='),
        "{asked}"
    );
}
