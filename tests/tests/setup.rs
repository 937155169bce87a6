//! `roar setup`: ordinary users trace with eBPF through the loader, and no more than that.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use roar_tests::binary::{roar, workspace};
use roar_tests::mount::Mount;
use roar_tests::programs;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;
use roar_tests::user::{ORDINARY_USER, OrdinaryUser};
use tempfile::TempDir;

const NEEDS: [Need; 3] = [Need::Root, Need::Bpf, Need::Program("setpriv")];

/// The loader, installed in a folder of root's own.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roar-loader-")
            .tempdir_in("/var/tmp")
            .expect("a temporary folder can be made");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let installed = Self { folder };
        installed.setup(options).succeeds().says("eBPF works");
        installed
    }

    /// `roar setup`, as root.
    fn setup(&self, options: &[&str]) -> Transcript {
        let project = Project::empty();
        let mut command = project.roar_command();
        command.arg("setup").arg("--to").arg(self.folder.path());
        Transcript::of(command.args(options))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("roar-bpf")
    }

    /// roar as a user who finds this loader.
    fn roar(&self, user: &OrdinaryUser<'_>) -> Command {
        let mut command = user.roar_command();
        command.env("ROAR_LOADER", self.path());
        command
    }
}

/// A project with an input, of an ordinary user.
fn project() -> Project {
    let project = Project::new();
    project.write("in", "input");
    project
}

#[test]
fn an_ordinary_user_traces_with_ebpf() {
    if !met(&NEEDS) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    // What the command is given, and what it is given without roar.
    let given = "printenv LD_LIBRARY_PATH; grep -E '^(Cap|NoNewPrivs|Uid|Groups)' /proc/self/status; \
                 ls /proc/self/fd";
    let with_path = |mut command: Command| {
        command.env("LD_LIBRARY_PATH", "/no/such/folder");
        command
    };
    let bare = Transcript::of(with_path(user.command("sh")).args(["-c", given]));
    let bare = bare.succeeds().stdout_text();
    assert!(bare.starts_with("/no/such/folder\n"), "{bare}");
    assert!(bare.contains("CapEff:\t0000000000000000\n"), "{bare}");
    let script = format!("{given}; cat in > temporary; mv temporary out");
    let told = Transcript::of(with_path(installed.roar(&user)).args(["run", "sh", "-c", &script]));
    assert_eq!(told.succeeds().stdout_text(), bare);
    assert!(
        !told.stderr_text().contains("seccomp"),
        "{}",
        told.snapshot()
    );
    let record = Record::of(&project, "@1");
    assert_eq!(record.completeness()["backend"], "ebpf");
    assert!(record.is_complete(), "{:#}", record.json);
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out out\n");

    let mut doctor = installed.roar(&user);
    let doctor = Transcript::of(doctor.args(["doctor", "--json"]));
    let doctor = doctor.succeeds().json();
    assert_eq!(doctor["tracer"], "ebpf", "{doctor:#}");
    assert_eq!(doctor["backends"][0]["through"], "the installed loader");
    let machine = doctor["machine"].as_array().expect("a list of checks");
    let loader = machine.iter().find(|check| check["name"] == "loader");
    let place = installed.path().display().to_string();
    assert_eq!(loader.expect("it is named")["value"], place.as_str());

    // Inside of the command: both are observed, and the inner one's loader is no gap.
    // A file of its own: links that other tests make would change it meanwhile.
    let inner = project.base().join("inner-roar");
    fs::copy(roar(), &inner).expect("root may");
    let mut run = installed.roar(&user);
    run.args(["run", "-q"]).arg(inner);
    Transcript::of(run.args(["run", "-q", "--tracer", "ebpf", "cp", "in", "inner"])).succeeds();
    let record = Record::of(&project, "@3");
    assert!(record.is_complete(), "{:#}", record.json);
    let copy = project.path("inner");
    assert!(record.outputs().contains(&copy), "{:#}", record.json);
    assert_eq!(Record::of(&project, "@2").outputs(), [copy].into());

    // The loader has no capabilities to give under no_new_privs.
    let user = OrdinaryUser::of(&project);
    let mut run = installed.roar(&user);
    Transcript::of(run.args(["run", "-v", "true"]))
        .succeeds()
        .says("through seccomp")
        .says("no_new_privs");
}

/// A loader client of another user's, and of root's, with the right cookie: nothing is traced.
#[test]
fn processes_of_others_are_not_traced() {
    if !met(&NEEDS) || !met(&[Need::Program("python3")]) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let client = project.base().join("client.py");
    fs::copy(
        workspace().join("tests/workloads/loader_client.py"),
        &client,
    )
    .expect("it is there");
    let (digest, cookie) = (digest_of_objects(), "1234567890123456789");
    let mut tracer = user
        .command("python3")
        .arg(&client)
        .arg("trace")
        .arg(installed.path())
        .args([digest.as_str(), cookie])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut answers = BufReader::new(tracer.stdout.take().expect("piped")).lines();
    let mut answer = || answers.next().expect("it answers").expect("a line");
    let mut ask = |question: &str| {
        let input = tracer.stdin.as_mut().expect("piped");
        writeln!(input, "{question}").expect("the client listens");
    };
    // A ring buffer, the per-CPU counters of loss, the programs that report: no table that decides
    // what is traced.
    assert_eq!(answer(), "27 6 3 frozen");
    for other in ["64124", "0"] {
        let mut touch = project.command("setpriv");
        touch.args([
            "--reuid",
            other,
            "--regid",
            other,
            "--clear-groups",
            "python3",
        ]);
        touch.arg(&client).args(["touch", cookie, "/etc/passwd"]);
        Transcript::of(&mut touch).succeeds();
        ask("");
        assert_eq!(answer(), "0", "user {other}");
    }
    // The same from one's own process is traced, or the rest would prove nothing.
    ask("touch /etc/passwd");
    let seen: u64 = answer().parse().expect("a number");
    assert!(seen > 0);
    drop(tracer.stdin.take());
    assert!(tracer.wait().expect("a child").success());
}

/// The loader ends at once and leaves everything to roar; when that is killed, nothing stays
/// in the kernel.
#[test]
fn nothing_stays_in_the_kernel() {
    if !met(&NEEDS) || !met(&[Need::Program("bpftool")]) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let mut roar = installed
        .roar(&user)
        .args(["run", "-q", "--tracer", "ebpf"])
        .args(["sh", "-c", "echo started; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("roar starts");
    // Kept open until the end: the command waits for it.
    let input = roar.stdin.take().expect("piped");
    let mut started = String::new();
    BufReader::new(roar.stdout.as_mut().expect("piped"))
        .read_line(&mut started)
        .expect("the command speaks");
    assert_eq!(started, "started\n");
    let programs = programs::held_by(roar.id());
    assert!(programs.len() >= 4, "{programs:?}");
    assert!(programs.iter().all(|id| programs::is_loaded(id)));
    let children = format!("/proc/{0}/task/{0}/children", roar.id());
    let children = fs::read_to_string(children).expect("it lives");
    let loaders = children.split_whitespace().filter(|child| {
        let name = fs::read_to_string(format!("/proc/{child}/comm"));
        name.is_ok_and(|name| name.trim() == "roar-bpf")
    });
    assert_eq!(loaders.count(), 0, "the loader has ended");
    roar.kill().expect("it lives");
    roar.wait().expect("a child");
    programs::wait_until_gone(&programs);
    drop(input);
}

#[test]
fn requests_of_no_roar_are_refused() {
    if !met(&NEEDS) || !met(&[Need::Program("python3")]) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let client = workspace().join("tests/workloads/loader_client.py");
    let copy = project.base().join("client.py");
    fs::copy(client, &copy).expect("it is there");
    let mut other_programs = user.command("python3");
    other_programs.arg(&copy).arg("trace").arg(installed.path());
    Transcript::of(other_programs.args([&"00".repeat(32), "1"]))
        .exits(1)
        .says("refused");
    // Started by hand: standard input is no socket.
    Transcript::of(&mut user.command(installed.path())).exits(1);
}

/// Programs with rights that their user has not: which files they open is none of the user's
/// business, nor is what their children do. The record names the gap.
#[test]
fn what_privileged_programs_open_is_not_told() {
    if !met(&NEEDS) || !met(&[Need::Program("setcap")]) {
        return;
    }
    type Prepare = fn(&Path);
    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("root may");
    }
    let cases: [(&str, Prepare, bool); 5] = [
        ("set-user-ID", |path| mode(path, 0o4755), false),
        (
            "set-group-ID",
            |path| {
                chown(path, Some(0), Some(0)).expect("root may");
                mode(path, 0o2755);
            },
            false,
        ),
        (
            "capabilities",
            |path| {
                let mut setcap = Command::new("setcap");
                Transcript::of(setcap.arg("cap_dac_read_search=ep").arg(path)).succeeds();
            },
            false,
        ),
        ("unreadable", |path| mode(path, 0o711), false),
        ("ordinary", |path| mode(path, 0o755), true),
    ];
    let installed = Installed::new();
    for (kind, prepare, is_followed) in cases {
        let project = project();
        let user = OrdinaryUser::of(&project).who_may_gain_rights();
        let program = project.base().join("program");
        fs::copy("/bin/cat", &program).expect("root may");
        chown(&program, Some(0), Some(0)).expect("root may");
        prepare(&program);
        let mut run = installed.roar(&user);
        run.args(["run", "-q", "--tracer", "ebpf", "sh", "-c"]);
        run.arg(format!("{} in > out; cat out > copy", program.display()));
        Transcript::of(&mut run).succeeds();
        let record = Record::of(&project, "@1");
        // `out` is opened by the shell; that it was written was the program's doing.
        let inputs = record.files_under(project.root()).inputs;
        assert_eq!(
            inputs.contains(Path::new("in")),
            is_followed,
            "{kind}: {:#}",
            record.json
        );
        assert!(record.outputs().contains(&project.path("copy")), "{kind}");
        assert_eq!(record.is_complete(), is_followed, "{kind}");
        let gaps = record.completeness()["gaps"].to_string();
        let name = program.display().to_string();
        assert_eq!(
            gaps.contains("privileged") && gaps.contains(&name),
            !is_followed,
            "{kind}: {gaps}"
        );
        // Root's own tracer follows them all.
        let mut run = project.roar_command();
        run.args(["run", "-q", "sh", "-c"]);
        run.arg(format!("{} in > out2", program.display()));
        Transcript::of(&mut run).succeeds();
        let record = Record::of(&project, "@2");
        let files = record.files_under(project.root()).describe();
        assert_eq!(files, "  in  in\n  out out2\n", "{kind}");
    }
}

/// Whatever is wrong with the loader is said in one line, and seccomp does it instead.
#[test]
fn a_loader_that_is_not_right_is_not_used() {
    if !met(&NEEDS) || !met(&[Need::Program("setcap")]) {
        return;
    }
    type Harm = fn(&Path);
    let cases: [(Harm, &str); 6] = [
        (
            |path| chown(path, Some(ORDINARY_USER), None).expect("root may"),
            "does not belong to root",
        ),
        (
            |path| fs::set_permissions(path, Permissions::from_mode(0o757)).expect("root may"),
            "others than root may write it",
        ),
        (
            |path| {
                let other = path.with_file_name("other");
                fs::rename(path, &other).expect("root may");
                symlink(other, path).expect("root may");
            },
            "not a regular file",
        ),
        (
            |path| {
                Transcript::of(Command::new("setcap").arg("-r").arg(path)).succeeds();
            },
            "file capabilities are gone",
        ),
        (other_version, "of another version of roar"),
        (
            |path| fs::set_permissions(path, Permissions::from_mode(0o750)).expect("root may"),
            "may not be used by this user",
        ),
    ];
    for (harm, words) in cases {
        let (installed, project) = (Installed::new(), project());
        harm(&installed.path());
        let user = OrdinaryUser::of(&project).who_may_gain_rights();
        let mut run = installed.roar(&user);
        Transcript::of(run.args(["run", "true"]))
            .succeeds()
            .says("through seccomp")
            .says(words);
        let mut forced = installed.roar(&user);
        Transcript::of(forced.args(["run", "--tracer", "ebpf", "true"]))
            .exits(125)
            .says(words)
            .says("hint: ");
        let mut doctor = installed.roar(&user);
        let doctor = Transcript::of(doctor.args(["doctor", "--json"]));
        let ebpf = doctor.succeeds().json()["backends"][0].clone();
        let missing = ebpf["missing"].as_str().unwrap_or_default();
        assert!(missing.contains(words), "{ebpf:#}");
        assert!(ebpf["mend"][0].is_string(), "{ebpf:#}");
        // Once more, and all is well.
        installed.setup(&[]).succeeds();
        let mut run = installed.roar(&user);
        Transcript::of(run.args(["run", "-q", "--tracer", "ebpf", "true"])).succeeds();
    }
}

/// Inside a user namespace, where root's files seem to be nobody's, that is the reason.
#[test]
fn a_loader_in_a_user_namespace_is_of_no_use() {
    if !met(&NEEDS) || !met(&[Need::Program("unshare")]) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let mut run = user.command("unshare");
    // Not as its root: to root nobody names a loader.
    run.args(["--user", "--map-user=1000"])
        .arg(user.within_reach(roar()));
    run.env("ROAR_LOADER", installed.path());
    Transcript::of(run.args(["run", "--tracer", "ebpf", "true"]))
        .exits(125)
        .says("this is a user namespace")
        .says("run roar outside of it");
}

/// What a loader knows its caller's programs by.
fn digest_of_objects() -> String {
    let mut hasher = blake3::Hasher::new();
    for name in ["roar.bpf.o", "roar-probe.bpf.o"] {
        let object = fs::read(workspace().join("roar-ebpf").join(name));
        hasher.update(&object.expect("it is committed"));
    }
    hasher.finalize().to_hex().to_string()
}

/// A loader whose programs are not this roar's: one byte of them is another.
fn other_version(path: &Path) {
    let object = fs::read(workspace().join("roar-ebpf/roar.bpf.o")).expect("it is committed");
    let mut loader = fs::read(path).expect("it was installed");
    let end = object.len() - 64;
    let at = loader
        .windows(end)
        .position(|window| window == &object[..end])
        .expect("the object is embedded");
    loader[at + end] ^= 1;
    fs::write(path, loader).expect("root may");
}

#[test]
fn a_mount_without_file_capabilities_is_named() {
    if !met(&NEEDS) || !met(&[Need::FileSystem("tmpfs")]) {
        return;
    }
    let (mount, project) = (Mount::new("tmpfs"), project());
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    fs::set_permissions(mount.path(), Permissions::from_mode(0o755)).expect("root may");
    let mut remount = Command::new("mount");
    Transcript::of(remount.args(["-o", "remount,nosuid"]).arg(mount.path())).succeeds();
    let setup = Transcript::of(
        project
            .roar_command()
            .args(["setup", "--to"])
            .arg(mount.path()),
    );
    setup.exits(1).says("nosuid");
    let mut run = user.roar_command();
    run.env("ROAR_LOADER", mount.path().join("roar-bpf"));
    Transcript::of(run.args(["run", "true"]))
        .succeeds()
        .says("nosuid");
}

#[test]
fn only_a_group_may_use_it() {
    if !met(&NEEDS) {
        return;
    }
    // `daemon` is in every group database; its number is looked up, not assumed.
    let installed = Installed::with(&["--group", "daemon"]);
    let metadata = installed.path().metadata().expect("it was installed");
    assert_eq!(metadata.mode() & 0o7777, 0o750);
    let groups = fs::read_to_string("/etc/group").expect("every machine has one");
    let line = groups.lines().find(|line| line.starts_with("daemon:"));
    let gid = line.and_then(|line| line.split(':').nth(2));
    assert_eq!(gid, Some(metadata.gid().to_string().as_str()));
    let again = installed.setup(&["--group", "no-such-group"]);
    again.exits(1).says("groupadd no-such-group");
}

#[test]
fn is_undone() {
    if !met(&NEEDS) {
        return;
    }
    let (installed, project) = (Installed::new(), project());
    // Twice is once.
    installed.setup(&[]).succeeds();
    installed.setup(&["--remove"]).succeeds().says("removed");
    assert!(!installed.folder.path().exists());
    installed
        .setup(&["--remove"])
        .succeeds()
        .says("nothing to remove");
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let mut run = installed.roar(&user);
    Transcript::of(run.args(["run", "true"]))
        .succeeds()
        .says("through seccomp")
        .says("sudo roar setup");
}

#[test]
fn is_for_root_alone() {
    if !met(&NEEDS) {
        return;
    }
    let project = project();
    let user = OrdinaryUser::of(&project).who_may_gain_rights();
    let mut setup = user.roar_command();
    let hint = format!(
        "sudo {} setup --remove",
        user.within_reach(roar()).display()
    );
    Transcript::of(setup.args(["setup", "--remove"]))
        .exits(1)
        .says("only root")
        .says(&hint);
    // A folder that others may write is no place for it.
    let mut open = project.roar_command();
    Transcript::of(open.args(["setup", "--to"]).arg(project.root()))
        .exits(1)
        .says("not root's alone");
    // Nor does root start what an environment names.
    let fake = project.write_program("roar-bpf", "#!/bin/sh\ntouch was-started\n");
    let mut run = project.command("setpriv");
    run.args(["--bounding-set=-bpf,-perfmon,-sys_admin", "--"])
        .arg(user.within_reach(roar()))
        .env("ROAR_LOADER", fake)
        .args(["run", "-q", "true"]);
    Transcript::of(&mut run).succeeds();
    assert!(!project.path("was-started").exists());
}
