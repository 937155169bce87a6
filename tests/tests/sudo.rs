//! `sudo roar run` by the real sudo: the rights of whoever typed it, and nothing of root's for
//! the command, for the project, or for what lies in wait in it.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// `nobody`, who is in every user database: sudo asks it.
const USER: u32 = 65_534;

/// In a mount namespace of its own, where `nobody` may use sudo for everything.
const AS_USER: &str = "mount --bind \"$1\" /etc/sudoers && shift && \
     exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- \"$@\"";

fn needs() -> bool {
    let programs = ["sudo", "setpriv", "unshare", "git"].map(Need::Program);
    met(&[Need::Bpf, Need::Root]) && met(&programs)
}

/// A project of the user's, with what lets the user in.
struct Desk {
    project: Project,
    sudoers: PathBuf,
    roar: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let project = Project::new();
        let sudoers = project.base().join("sudoers");
        let rules = "Defaults !lecture, !requiretty\nnobody ALL=(root) NOPASSWD: SETENV: ALL\n";
        fs::write(&sudoers, rules).expect("a file can be written");
        fs::set_permissions(&sudoers, fs::Permissions::from_mode(0o440)).expect("one's own file");
        // The target folder may be in root's home.
        let roar = project.base().join("roar");
        fs::copy(binary::roar(), &roar).expect("a program can be copied");
        let desk = Self {
            project,
            sudoers,
            roar,
        };
        Self::give(&desk.project.home());
        Self::give(desk.project.root());
        desk
    }

    /// Gives a file, or a folder and all in it, to the user.
    fn give(path: &Path) {
        for path in walk(path) {
            std::os::unix::fs::lchown(path, Some(USER), Some(USER)).expect("root can give");
        }
    }

    /// What the user types, by way of sudo.
    fn sudo(&self, words: &[&str]) -> Transcript {
        let mut command: Command = self.project.command("unshare");
        command
            .args(["--mount", "sh", "-c", AS_USER, "sh"])
            .arg(&self.sudoers)
            .args(["sudo", "-n"])
            .args(words);
        Transcript::of(&mut command)
    }

    /// `sudo roar run -q …`.
    fn run(&self, words: &[&str]) -> Transcript {
        let roar = self.roar.to_string_lossy();
        self.sudo(&[&[&*roar, "run", "-q"], words].concat())
    }

    /// Everything in the project and in the home is the user's.
    fn check_owners(&self) {
        for folder in [self.project.root().to_path_buf(), self.project.home()] {
            for path in walk(&folder) {
                let metadata = path.symlink_metadata().expect("it was just listed");
                assert_eq!(metadata.uid(), USER, "{}", path.display());
                assert_eq!(metadata.gid(), USER, "{}", path.display());
            }
        }
    }
}

fn walk(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("root can list folders") {
            found.extend(walk(&entry.expect("root can list folders").path()));
        }
    }
    found
}

#[test]
fn the_command_has_the_rights_of_who_typed_it() {
    if !needs() {
        return;
    }
    let desk = Desk::new();
    desk.project.write("in", "input");
    Desk::give(desk.project.root());
    let script = "id -u; id -G; echo $HOME $USER $LOGNAME; cat in > out; \
         ls /proc/self/fd | tr '\\n' ' '; echo; \
         setpriv --reuid 0 true 2> /dev/null || echo for good; \
         ls /proc/$PPID/fd 2> /dev/null || echo closed; \
         env | grep -E '^SUDO_(UID|GID|USER|COMMAND)=' || echo not by sudo; \
         grep -h 'CapPrm\\|CapEff\\|CapInh' /proc/self/status /proc/$PPID/status | uniq -f 1";
    let told = desk.run(&["sh", "-c", script]);
    // The listing's own descriptor is the fourth.
    assert_eq!(
        told.succeeds().stdout_text(),
        "65534\n65534\n/nonexistent nobody nobody\n0 1 2 3 \nfor good\nclosed\n\
         not by sudo\nCapInh:\t0000000000000000\n"
    );
    desk.check_owners();
    let record = Record::of(&desk.project, "@1");
    assert_eq!(record.completeness()["backend"], "ebpf");
    assert!(record.is_complete(), "{:#}", record.completeness());
    let files = record.files_under(desk.project.root());
    assert_eq!(files.describe(), "  in  in\n  out out\n");

    let kept = desk.run(&["--as-root", "id", "-u"]);
    assert_eq!(kept.succeeds().stdout_text(), "0\n");
}

/// What sudo says is believed strictly, and only where it lowers rights.
#[test]
fn a_forged_user() {
    if !needs() {
        return;
    }
    let desk = Desk::new();
    let roar = desk.roar.to_string_lossy();
    for forged in ["", "-1", "4294967295", "1000x", " 0", "0x0"] {
        let variable = format!("SUDO_UID={forged}");
        let told = desk.sudo(&["env", &variable, &roar, "run", "touch", "made"]);
        told.exits(125).says("SUDO_UID");
        assert!(!desk.project.path("made").exists(), "{forged}");
    }
    // Groups and home are those of the user database, whatever the variables say.
    let forged = ["env", "SUDO_GID=0", "SUDO_USER=root", "SUDO_HOME=/root"];
    let run = [&*roar, "run", "-q", "sh", "-c", "id -g; id -G; echo $HOME"];
    let told = desk.sudo(&[&forged[..], &run[..]].concat());
    assert_eq!(
        told.succeeds().stdout_text(),
        "65534\n65534\n/nonexistent\n"
    );
    // Without sudo the variables say nothing.
    let mut command = desk.project.command("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg("--inh-caps=-all")
        .env("SUDO_UID", "0")
        .arg(&desk.roar)
        .args(["run", "-q", "--tracer", "seccomp", "id", "-u"]);
    let told = Transcript::of(&mut command);
    assert_eq!(told.succeeds().stdout_text(), "65534\n");
}

/// Whatever lies in wait in the project, in its repository or on the search path: it runs as the
/// user, or not at all.
#[test]
fn nothing_runs_as_root() {
    if !needs() {
        return;
    }
    let desk = Desk::new();
    let project = &desk.project;
    let seen = project.base().join("seen");
    fs::create_dir(&seen).expect("a folder can be made");
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o777)).expect("one's own folder");
    let trap = |name: &str| {
        let note = seen.display();
        let text = format!("#!/bin/sh\nid -u >> {note}/{name}.$(id -u)\nexit 1\n");
        project.write_program(format!("traps/{name}"), text)
    };
    let hook = trap("hook").display().to_string();
    for name in [
        "git",
        "pip",
        "python3",
        "dpkg-query",
        "nvidia-smi",
        "conda",
        "sudo",
        "ldd",
    ] {
        trap(name);
    }
    let git = |words: &[&str]| {
        let owned = [&["-c", "safe.directory=*"], words].concat();
        Transcript::of(project.command("git").args(owned)).succeeds();
    };
    git(&["init", "-q"]);
    for key in [
        "fsmonitor",
        "pager",
        "sshCommand",
        "editor",
        "askPass",
        "hooksPath",
    ] {
        git(&["config", &format!("core.{key}"), &hook]);
    }
    git(&["config", "alias.status", &format!("!{hook}")]);
    git(&["config", "diff.external", &hook]);
    git(&["config", "filter.x.clean", &hook]);
    project.write(".gitattributes", "* filter=x diff=x\n");
    git(&["config", "diff.x.textconv", &hook]);
    Desk::give(project.root());

    let roar = desk.roar.to_string_lossy();
    let path = format!(
        "PATH={}:{}",
        project.path("traps").display(),
        roar_tests::project::PATH
    );
    desk.sudo(&[
        "env",
        &path,
        &roar,
        "run",
        "-q",
        "/bin/cp",
        "/etc/hostname",
        "out",
    ])
    .succeeds();
    let found: Vec<_> = fs::read_dir(&seen).expect("a folder").flatten().collect();
    for entry in found {
        let name = entry.file_name();
        assert!(
            name.to_string_lossy().ends_with(".65534"),
            "{name:?} ran as root"
        );
    }
    desk.check_owners();
}

/// git does not trust a repository of somebody else's, and roar does as git does.
#[test]
fn a_repository_of_somebody_else() {
    if !needs() {
        return;
    }
    let desk = Desk::new();
    let owned = |owner: u32| {
        for path in walk(&desk.project.path(".git")) {
            chown(path, Some(owner), Some(owner)).expect("root can give files away");
        }
    };
    let commit = || {
        let told = desk.run(&["true"]);
        told.succeeds();
        let record = Record::newest(&desk.project);
        (record.json["git"]["commit"].is_string(), told.stderr_text())
    };
    let git = "git init -q && git -c user.name=n -c user.email=e commit -q --allow-empty -m one";
    chown(desk.project.root(), Some(0), Some(0)).expect("root can take");
    Transcript::of(desk.project.command("sh").args(["-c", git])).succeeds();
    Desk::give(desk.project.root());
    assert_eq!(commit(), (true, String::new()));
    owned(0);
    let (is_known, said) = commit();
    assert!(!is_known && said.contains("safe.directory"), "{said}");
}

/// A symbolic link where the database, or its folder, should be does not lead roar to what is
/// root's; and what roar makes nobody else can read, whatever the mask.
#[test]
fn links_that_lead_to_what_is_roots() {
    if !needs() {
        return;
    }
    let desk = Desk::new();
    let target = desk.project.base().join("of-root");
    fs::write(&target, "untouched").expect("a file can be written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("one's own file");
    let database = desk.project.path(".roar/roar.db");
    for name in ["roar.db", "roar.db-wal", "roar.db-shm"] {
        let _ = fs::remove_file(desk.project.path(".roar").join(name));
    }
    symlink(&target, &database).expect("a link can be made");
    Desk::give(desk.project.root());
    desk.run(&["true"]);
    assert_eq!(fs::read(&target).expect("it is there"), b"untouched");
    assert_eq!(target.metadata().expect("it is there").uid(), 0);

    fs::remove_file(&database).expect("the link can be removed");
    let roar = desk.roar.to_string_lossy();
    let script = format!("umask 0; exec {roar} run -q true");
    desk.sudo(&["sh", "-c", &script]).succeeds();
    let mode = |path: &Path| path.metadata().expect("it was made").mode() & 0o777;
    assert_eq!(mode(&database), 0o600);
    assert_eq!(mode(&desk.project.path(".roar")), 0o700);
    desk.check_owners();
}
