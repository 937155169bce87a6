//! `roar run` as an ordinary user: seccomp where eBPF is not to be had, and `sudo roar run`.
#![cfg(target_os = "linux")]

use std::os::unix::fs::MetadataExt as _;

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met, require_bpf};
use roar_tests::transcript::Transcript;
use roar_tests::user::OrdinaryUser;
use roar_tests::workload::{Build, program};

#[test]
fn an_ordinary_user_is_observed_through_seccomp() {
    // Root is needed to become somebody else.
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let user = OrdinaryUser::of(&project);
    let script = "cat in > temporary && mv temporary out";
    let mut run = user.roar_command();
    Transcript::of(run.args(["run", "sh", "-c", script]))
        .succeeds()
        .says("through seccomp");
    let record = Record::of(&project, "@1");
    assert_eq!(record.completeness()["backend"], "seccomp");
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out out\n");
    let expected = blake3::hash(b"input").to_hex();
    assert_eq!(
        record.entry("outputs", &project.path("out"))["hash"],
        expected.as_str()
    );

    let mut forced = user.roar_command();
    Transcript::of(forced.args(["run", "--tracer", "ebpf", "true"]))
        .exits(125)
        .says("CAP_BPF");
    let mut status = user.roar_command();
    Transcript::of(status.args(["run", "-q", "sh", "-c", "exit 3"])).exits(3);
    let mut missing = user.roar_command();
    Transcript::of(missing.args(["run", "no-such-program"])).exits(127);
}

/// What a command reads and empties, replaces or removes right afterwards keeps the hash that it had:
/// there is no moment between in which anybody else could take it.
#[test]
fn what_is_read_and_gone_is_hashed_before() {
    // Root is needed to become somebody else.
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let user = OrdinaryUser::of(&project);
    for (size, script) in [
        (5, "cat in > out; : > in"),
        (200_000, "cat in > out; echo other > in"),
        (300, "cat in > out; printf other 1<> in"),
        (400_000, "cat in > out; rm in"),
        (1_000, "tr x y < in > out; mv out in"),
    ] {
        let content = "x".repeat(size);
        project.write("original", &content);
        // A file of the user's own, last changed so long ago that another change would show.
        let settled = "rm -f in; cp original in
            while [ $(($(date +%s%N) - $(date -r in +%s%N))) -lt 20000000 ]; do :; done";
        Transcript::of(user.command("sh").args(["-c", settled])).succeeds();
        let expected = blake3::hash(content.as_bytes()).to_hex();
        let mut run = user.roar_command();
        Transcript::of(run.args(["run", "--tracer", "seccomp", "sh", "-c", script])).succeeds();
        let record = Record::newest(&project);
        let input = record.entry("inputs", &project.path("in"));
        assert_eq!(input["hash"], expected.as_str(), "{script}");
    }
}

/// A file that somebody else made a moment before, so that its times need not tell another change.
#[test]
fn what_is_hardly_there_is_hashed() {
    // Root is needed to become somebody else.
    if !require_bpf() {
        return;
    }
    for script in [
        ": > ask; : < answer; read -r x < in; : > in",
        ": > ask; : < answer; read -r x < in; rm in",
    ] {
        let project = Project::new();
        let user = OrdinaryUser::of(&project);
        Transcript::of(user.command("mkfifo").args(["ask", "answer"])).succeeds();
        let make = "cat ask; echo content > in; : > answer";
        let mut maker = user
            .command("sh")
            .args(["-c", make])
            .spawn()
            .expect("sh starts");
        let mut run = user.roar_command();
        Transcript::of(run.args(["run", "--tracer", "seccomp", "sh", "-c", script])).succeeds();
        assert!(maker.wait().expect("it ends").success());
        let record = Record::newest(&project);
        let input = record.entry("inputs", &project.path("in"));
        let expected = blake3::hash(b"content\n").to_hex();
        assert_eq!(input["hash"], expected.as_str(), "{script}");
    }
}

/// The same commands through both tracers: the same files, the same hashes.
#[test]
fn both_tracers_agree() {
    if !require_bpf() {
        return;
    }
    for script in [
        "cat in > out",
        "cp in out",
        "cat in > temporary; mv temporary out",
        "echo text > out; cat out > /dev/null",
        "touch temporary; rm temporary; cat in",
        "ln in out",
        "mkdir folder; cp in folder/out; mv folder moved",
        "stat in; ls; test -e in",
    ] {
        let sets = ["ebpf", "seccomp"].map(|tracer| {
            let project = Project::new();
            project.write("in", "input");
            project
                .roar(["run", "-q", "--tracer", tracer, "sh", "-c", script])
                .succeeds();
            let record = Record::of(&project, "@1");
            assert!(
                record.is_complete(),
                "{tracer}: {script}: {:#}",
                record.json
            );
            record.files_under(project.root()).describe()
        });
        assert_eq!(sets[0], sets[1], "{script}");
    }
}

/// Under sudo the command runs as the user who typed it, and everything made is that user's.
#[test]
fn sudo_lowers_rights() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    // `nobody` is in every user database.
    let (uid, gid) = (65534, 65534);
    for path in [project.base(), project.home(), project.root().to_path_buf()] {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root can give files away");
    }
    for entry in walk(&project.path(".roar")) {
        std::os::unix::fs::chown(entry, Some(uid), Some(gid)).expect("root can give files away");
    }
    let sudo = |sudo_uid: &str, arguments: &[&str]| {
        let mut command = project.roar_command();
        command
            .env("SUDO_UID", sudo_uid)
            .env("SUDO_GID", "0")
            .env("SUDO_USER", "root");
        Transcript::of(command.arg("run").args(arguments))
    };
    let seen = sudo(
        "65534",
        &[
            "-q",
            "sh",
            "-c",
            "id -u; id -g; grep CapEff /proc/self/status; echo x > made",
        ],
    );
    seen.succeeds();
    assert_eq!(
        seen.stdout_text(),
        "65534\n65534\nCapEff:\t0000000000000000\n"
    );
    for path in walk(project.root()) {
        let metadata = path.symlink_metadata().expect("it was just listed");
        assert_eq!(metadata.uid(), uid, "{}", path.display());
    }
    for forged in ["", "-1", "4294967295", "1000x", " 0"] {
        sudo(forged, &["true"]).exits(125).says("SUDO_UID");
    }
    let kept = sudo("65534", &["-q", "--as-root", "id", "-u"]);
    assert_eq!(kept.succeeds().stdout_text(), "0\n");
}

/// What root was refused is told as root's reason, though roar is the user by then.
#[test]
fn under_sudo_the_reason_is_that_of_root() {
    if !require_bpf() || !met(&[Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    for path in walk(&project.base()) {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("root can give files away");
    }
    for (arguments, status) in [
        (&["-v", "true"][..], 0),
        (&["-v", "--tracer", "ebpf", "true"], 125),
    ] {
        // A seccomp profile that refuses bpf(2), whatever the rights.
        let mut command = project.command(program::path("sandbox", Build::Dynamic));
        command.arg("no-bpf").arg(binary::roar());
        command.env("SUDO_UID", "65534").arg("run").args(arguments);
        let told = Transcript::of(&mut command);
        told.exits(status).says("seccomp=unconfined");
        let said = told.stderr_text();
        assert!(!said.contains("roar setup"), "{said}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![folder.to_path_buf()];
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
