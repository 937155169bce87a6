//! `roar doctor` against what other programs say of the same machine, and against `roar run`.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use roar_tests::binary;
use roar_tests::mount::Mount;
use roar_tests::project::Project;
use roar_tests::require::{Need, met, require_bpf};
use roar_tests::transcript::Transcript;
use roar_tests::user::OrdinaryUser;
use roar_tests::workload::{Build, program};
use serde_json::{Value, json};

/// What a standard program says, without the newline.
fn told(project: &Project, program: &str, arguments: &[&str]) -> String {
    let told = Transcript::of(project.command(program).args(arguments));
    told.succeeds().stdout_text().trim().to_owned()
}

/// A check of a group, by its name.
#[track_caller]
fn check<'a>(doctor: &'a Value, group: &str, name: &str) -> &'a Value {
    let checks = doctor[group].as_array().expect("a list of checks");
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {group}: {doctor:#}"))
}

/// Whether a tracer is called ready.
#[track_caller]
fn is_ready(doctor: &Value, backend: &str) -> bool {
    let backends = doctor["backends"].as_array().expect("a list of tracers");
    let found = backends.iter().find(|entry| entry["name"] == backend);
    let found = found.unwrap_or_else(|| panic!("no {backend}: {doctor:#}"));
    // What is not ready says what is missing.
    assert_eq!(found["ready"] == false, found["missing"].is_string());
    found["ready"] == true
}

/// What is said to mend a tracer that is not ready.
#[track_caller]
fn mends(doctor: &Value, backend: &str) -> String {
    let backends = doctor["backends"].as_array().expect("a list of tracers");
    let found = backends.iter().find(|entry| entry["name"] == backend);
    found.expect("each tracer is listed")["mend"].to_string()
}

/// What doctor promises of `roar run`, against what it does: for the tracer of the settings,
/// and for each tracer by itself.
#[track_caller]
fn keeps_its_word(roar: impl Fn() -> Command) -> Value {
    let told = Transcript::of(roar().args(["doctor", "--json"]));
    let doctor = told.json();
    let ready = doctor["ready"] == true;
    assert_eq!(told.code(), i32::from(!ready), "{doctor:#}");
    let ran = |arguments: &[&str]| {
        let mut run = roar();
        Transcript::of(run.args(["run", "-q"]).args(arguments).arg("true")).code() == 0
    };
    assert_eq!(ready, ran(&[]), "{doctor:#}");
    if ready {
        for tracer in ["ebpf", "seccomp"] {
            let expected = is_ready(&doctor, tracer);
            assert_eq!(expected, ran(&["--tracer", tracer]), "{tracer}: {doctor:#}");
        }
    }
    doctor
}

#[test]
fn agrees_with_other_programs() {
    let project = Project::new();
    project.write("code.py", "");
    project.commit_all();
    let doctor = keeps_its_word(|| project.roar_command());
    let value = |group: &str, name: &str| check(&doctor, group, name)["value"].clone();

    assert_eq!(
        value("machine", "kernel"),
        told(&project, "uname", &["-r"]).as_str()
    );
    assert_eq!(
        value("machine", "BTF"),
        Path::new("/sys/kernel/btf/vmlinux").exists()
    );
    let status = told(&project, "cat", &["/proc/self/status"]);
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .expect("Linux has capabilities");
    assert_eq!(
        value("machine", "capabilities")["effective"],
        effective.trim()
    );
    if met(&[Need::Program("capsh")]) {
        let decode = format!("--decode={}", effective.trim());
        let decoded = told(&project, "capsh", &[&decode]);
        for (key, name) in [("bpf", "cap_bpf"), ("perfmon", "cap_perfmon")] {
            assert_eq!(
                value("machine", "capabilities")[key],
                decoded.contains(name) || decoded.contains("cap_sys_admin"),
                "{decoded}"
            );
        }
    }
    for name in ["unprivileged_bpf_disabled", "perf_event_paranoid"] {
        let expected = fs::read_to_string(format!("/proc/sys/kernel/{name}"))
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok());
        assert_eq!(value("machine", "sysctl")[name], json!(expected), "{name}");
    }
    let mounted = |kind: &str| {
        let found = Transcript::of(
            project
                .command("findmnt")
                .args(["-n", "-o", "TARGET", "-t", kind]),
        );
        found.stdout_text().lines().next().map(str::to_owned)
    };
    assert_eq!(
        value("machine", "tracefs")["mounted"],
        json!(mounted("tracefs"))
    );
    assert_eq!(
        value("machine", "cgroup")["mounted"],
        json!(mounted("cgroup2"))
    );

    let root = project.root().to_string_lossy().into_owned();
    assert_eq!(value("project", "project"), root.as_str());
    assert_eq!(
        value("project", "file system")["type"],
        told(&project, "findmnt", &["-n", "-o", "FSTYPE", "-T", &root]).as_str()
    );
    let commit = told(&project, "git", &["rev-parse", "HEAD"]);
    assert_eq!(
        value("project", "repository"),
        json!({"commit": commit, "dirty": false})
    );
    assert_eq!(
        value("tools", "git"),
        told(&project, "git", &["--version"]).as_str()
    );
}

/// Each row makes `roar run` impossible in its way; doctor says so beforehand, and how it is mended.
#[test]
fn says_what_is_in_the_way_of_a_run() {
    type Harm = fn(&Project);
    let cases: [(&str, Harm, &str); 5] = [
        (
            "project",
            |project| fs::remove_dir_all(project.path(".roar")).expect("it is there"),
            "roar init",
        ),
        (
            "settings",
            |project| drop(project.write(".roarconfig", "[tracer]\ndefalt = \"auto\"\n")),
            "",
        ),
        (
            "database",
            |project| drop(project.write(".roar/roar.db", "x".repeat(4096))),
            "",
        ),
        (
            "database",
            |project| {
                let script = "import sqlite3; c = sqlite3.connect('.roar/roar.db'); \
                              c.execute('pragma user_version = 9999'); c.commit()";
                project.run("python3", ["-c", script]);
            },
            "",
        ),
        (
            "project",
            |project| {
                fs::remove_dir_all(project.path(".roar")).expect("it is there");
                project.write(".roar", "");
            },
            "roar init",
        ),
    ];
    for (name, harm, mend) in cases {
        let project = Project::new();
        harm(&project);
        let doctor = keeps_its_word(|| project.roar_command());
        assert_eq!(doctor["ready"], false, "{doctor:#}");
        let found = check(&doctor, "project", name);
        assert_eq!(found["state"], "missing", "{doctor:#}");
        let words = found["mend"].as_str().unwrap_or_default();
        assert!(words.contains(mend), "{name}: {found:#}");
        let told = project.roar(["doctor"]);
        let text = told.exits(1).stdout_text();
        assert!(text.contains("will not work here"), "{text}");
    }
}

#[test]
fn a_tracer_that_is_asked_for_must_be_ready() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project
        .roar(["config", "set", "tracer.default", "ebpf"])
        .succeeds();
    let user = OrdinaryUser::of(&project);
    let doctor = keeps_its_word(|| user.roar_command());
    assert_eq!(doctor["ready"], false);
    assert_eq!(doctor["wanted"], "ebpf");
    assert_eq!(doctor["tracer"], Value::Null);
}

/// Ordinary users, under conditions that each take something away.
#[test]
fn keeps_its_word_to_those_with_less() {
    if !met(&[Need::Root, Need::Bpf, Need::Program("setpriv")]) {
        return;
    }
    let project = Project::new();
    let user = OrdinaryUser::of(&project);
    // `OrdinaryUser` sets no_new_privs.
    let doctor = keeps_its_word(|| user.roar_command());
    assert_eq!(doctor["tracer"], "seccomp");
    let capabilities = &check(&doctor, "machine", "capabilities")["value"];
    assert_eq!(capabilities["effective"], "0000000000000000");
    assert_eq!(capabilities["no_new_privileges"], true);
    assert_eq!(capabilities["user_namespace"], false);
    assert!(mends(&doctor, "ebpf").contains("under no_new_privs"));

    let roar = user.within_reach(roar_tests::binary::roar());
    let doctor = keeps_its_word(|| {
        let mut command = user.command("unshare");
        command.args(["--user", "--map-root-user"]).arg(&roar);
        command
    });
    let capabilities = &check(&doctor, "machine", "capabilities")["value"];
    assert_eq!(capabilities["user_namespace"], true);
    assert!(!is_ready(&doctor, "ebpf"), "{doctor:#}");
    assert!(mends(&doctor, "ebpf").contains("run roar outside of it"));

    let doctor = keeps_its_word(|| {
        let mut command = user.roar_command();
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        command
    });
    assert_eq!(doctor["ready"], true);

    // A record that its user may not write.
    std::os::unix::fs::chown(project.path(".roar/roar.db"), Some(0), Some(0)).expect("root may");
    let doctor = keeps_its_word(|| user.roar_command());
    assert_eq!(check(&doctor, "project", "database")["state"], "missing");
}

/// Root with the capabilities that Docker leaves to a container, and with those that
/// `--cap-add BPF --cap-add PERFMON` adds; no_new_privs takes nothing from such a root.
#[test]
fn keeps_its_word_to_the_root_of_a_container() {
    if !met(&[Need::Root, Need::Bpf, Need::Program("setpriv")]) {
        return;
    }
    const DOCKER: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                          +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
    for (added, expected) in [
        ("", "seccomp"),
        (",+bpf", "seccomp"),
        (",+bpf,+perfmon", "ebpf"),
    ] {
        for no_new_privileges in [false, true] {
            let project = Project::new();
            let doctor = keeps_its_word(|| {
                let mut command = project.command("setpriv");
                if no_new_privileges {
                    command.arg("--no-new-privs");
                }
                let bounding = format!("--bounding-set={DOCKER}{added}");
                command.args([&bounding, "--"]).arg(binary::roar());
                command
            });
            assert_eq!(doctor["tracer"], expected, "{added} {no_new_privileges}");
            if expected == "seccomp" {
                assert!(mends(&doctor, "ebpf").contains("--cap-add BPF --cap-add PERFMON"));
            }
        }
    }
}

/// Engines whose seccomp profile refuses bpf(2) whatever the capabilities: asking for these
/// once more would not help.
#[test]
fn names_a_profile_that_refuses() {
    if !met(&[Need::Root, Need::Bpf, Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    let world = || {
        let mut command = project.command(program::path("sandbox", Build::Dynamic));
        command.arg("no-bpf").arg(binary::roar());
        command
    };
    let doctor = keeps_its_word(world);
    assert_eq!(doctor["tracer"], "seccomp");
    assert!(mends(&doctor, "ebpf").contains("seccomp=unconfined"));
    Transcript::of(world().args(["run", "true"]))
        .succeeds()
        .says("through seccomp")
        .says("seccomp=unconfined");
    Transcript::of(world().args(["run", "--tracer", "ebpf", "true"]))
        .exits(125)
        .says("seccomp=unconfined");
}

#[test]
fn knows_the_file_system_under_the_record() {
    for kind in ["tmpfs", "overlay", "btrfs"] {
        if !met(&[Need::FileSystem(kind)]) {
            continue;
        }
        let mount = Mount::new(kind);
        let project = Project::under(&mount.path());
        project.init();
        let doctor = keeps_its_word(|| project.roar_command());
        let found = &check(&doctor, "project", "file system")["value"];
        assert_eq!(
            *found,
            json!({"type": kind, "network": false, "journal": "wal"})
        );
    }
}

/// A file system that a process serves: SQLite's write-ahead log has no place there. What
/// doctor says is what the database's own header tells (bytes 18 and 19: 2 is the log's
/// format, 1 is not).
#[test]
fn does_without_a_log_on_a_served_file_system() {
    let fuse = Need::FileSystem("fuse");
    if !met(&[fuse, Need::Program("bindfs"), Need::Program("umount")]) {
        return;
    }
    let behind = Project::empty();
    let mount = behind.base().join("mount");
    fs::create_dir(&mount).expect("one's own folder can be filled");
    let run = |program: &str, arguments: &[&Path]| {
        Transcript::of(Command::new(program).args(arguments)).succeeds();
    };
    run("bindfs", &[behind.root(), &mount]);
    let project = Project::under(&mount);
    project.init();
    let doctor = keeps_its_word(|| project.roar_command());
    let found = check(&doctor, "project", "file system")["value"].clone();
    let header = project.read(".roar/roar.db");
    drop(project);
    run("umount", &["--lazy".as_ref(), &mount]);
    assert_eq!(
        found,
        json!({"type": "fuse", "network": true, "journal": "truncate"})
    );
    assert_eq!(header[18..20], [1, 1]);
}

#[test]
fn under_sudo_the_project_is_its_users() {
    if !met(&[Need::Root]) {
        return;
    }
    let project = Project::new();
    // `nobody` is in every user database. The folder is root's: not writable then.
    let mut command = project.roar_command();
    command.env("SUDO_UID", "65534").args(["doctor", "--json"]);
    let doctor = Transcript::of(&mut command).exits(1).json();
    assert_eq!(check(&doctor, "project", "database")["state"], "missing");
}
