//! `roar run --cgroup`: what runs in an existing cgroup is part of the job.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roar_tests::binary::roar;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// A cgroup of the test's own, in the unified hierarchy wherever that is.
struct Cgroup {
    path: PathBuf,
    _mount: Option<Mount>,
}

impl Cgroup {
    fn new(name: &str) -> Self {
        let (hierarchy, mount) = if let Some(hierarchy) = mounted() {
            (hierarchy, None)
        } else {
            let mount = Mount::new();
            (mount.folder.path().to_path_buf(), Some(mount))
        };
        let path = hierarchy.join(format!("roar-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("root can make a cgroup");
        Self {
            path,
            _mount: mount,
        }
    }

    fn name(&self) -> &str {
        let name = self.path.file_name().expect("it has a name");
        name.to_str().expect("ASCII")
    }

    /// Starts a shell in the cgroup that runs `script` once it is [`release`]d.
    fn shell(&self, project: &Project, script: &str) -> Child {
        let script = format!(
            "echo $$ > '{}/cgroup.procs'; echo; read go; {script}",
            self.path.display()
        );
        let mut child = project
            .command("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        // It is inside, and has opened all that a shell opens at its start.
        let mut line = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut line)
            .expect("the shell says that it is there");
        child
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Left behind where a process of a failed test still is in it.
        drop(fs::remove_dir(&self.path));
    }
}

/// A cgroup v2 mount of the test's own, gone with it.
struct Mount {
    folder: tempfile::TempDir,
}

impl Mount {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let status = Command::new("mount")
            .args(["-t", "cgroup2", "none"])
            .arg(folder.path())
            .status()
            .expect("mount starts");
        assert!(status.success());
        Self { folder }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.folder.path()).status());
    }
}

fn mounted() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/mounts").expect("/proc is there");
    table.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next() == Some("cgroup2")).then(|| PathBuf::from(point))
    })
}

/// Tells a shell of [`Cgroup::shell`] to go on, and waits for its end.
fn release(mut shell: Child) {
    let mut stdin = shell.stdin.take().expect("piped");
    stdin.write_all(b"go\n").expect("the shell reads");
    assert!(shell.wait().expect("a child").success());
}

/// Runs `roar run --cgroup` around the moment in which the shells are released.
fn observe(project: &Project, arguments: &[&str], shells: Vec<Child>) -> Record {
    let mut command = project.roar_command();
    command
        .args(["run", "-q", "--cgroup"])
        .args(arguments)
        .args(["sh", "-c", "echo ready; read done; cat own > own.out"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut run = command.spawn().expect("roar starts");
    let mut ready = [0; 6];
    std::io::Read::read_exact(run.stdout.as_mut().expect("piped"), &mut ready)
        .expect("the command says that it runs");
    shells.into_iter().for_each(release);
    drop(run.stdin.take());
    assert!(run.wait().expect("a child").success());
    Record::of(project, "@1")
}

fn needs() -> bool {
    met(&[Need::Bpf, Need::Root, Need::FileSystem("cgroup2")])
}

#[test]
fn what_runs_in_the_cgroup_is_of_the_job_and_nothing_else_is() {
    if !needs() {
        return;
    }
    let project = Project::new();
    for name in ["own", "inside", "below", "outside"] {
        project.write(name, name);
    }
    let cgroup = Cgroup::new("plain");
    let below = cgroup.path.join("below");
    fs::create_dir(&below).expect("made");
    let inside = cgroup.shell(&project, "cat inside > inside.out");
    // A descriptor from before, a child, and a cgroup below.
    let nested = cgroup.shell(
        &project,
        &format!(
            "exec 3> below.out; echo $$ > '{}/cgroup.procs'; sh -c 'exec cat below' >&3",
            below.display()
        ),
    );
    let other = Cgroup::new("other");
    let outside = other.shell(&project, "cat outside > outside.out");
    let path = cgroup.path.to_str().expect("ASCII");
    let record = observe(&project, &[path], vec![inside, nested, outside]);
    let files = record.files_under(project.root());
    assert_eq!(
        files.describe(),
        "  in  below\n  in  inside\n  in  own\n  out below.out\n  out inside.out\n  out own.out\n"
    );
    assert!(record.is_complete(), "{:#}", record.completeness());
    fs::remove_dir(below).expect("it is empty again");
}

/// The observer itself may be in the cgroup; a name inside the hierarchy is found.
#[test]
fn an_observer_inside_the_cgroup_does_not_observe_itself() {
    if !needs() {
        return;
    }
    let project = Project::new();
    project.write("own", "own");
    let cgroup = Cgroup::new("self");
    let line = format!(
        "echo $$ > '{}/cgroup.procs'; exec '{}' run -q --cgroup '{}' cat own",
        cgroup.path.display(),
        roar().display(),
        cgroup.name()
    );
    Transcript::of(project.command("sh").args(["-c", &line])).succeeds();
    let record = Record::of(&project, "@1");
    assert!(record.is_complete(), "{:#}", record.completeness());
    assert_eq!(record.files_under(project.root()).describe(), "  in  own\n");
    let database = project.path(".roar/roar.db");
    assert!(
        !record.filtered().contains(&database),
        "roar is no part of the job"
    );
}

/// On a unified system the hierarchy is at /sys/fs/cgroup itself.
#[test]
fn a_unified_mount_is_found() {
    if !needs() {
        return;
    }
    let project = Project::new();
    project.write("own", "own");
    let cgroup = Cgroup::new("unified");
    let line = format!(
        "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && \
         exec '{}' run -q --cgroup '{}' cat own",
        roar().display(),
        cgroup.name()
    );
    let mut unshare = project.command("unshare");
    Transcript::of(unshare.args(["-m", "sh", "-c", &line])).succeeds();
    let record = Record::of(&project, "@1");
    assert_eq!(record.files_under(project.root()).describe(), "  in  own\n");
}

#[test]
fn what_is_no_cgroup_is_refused_before_the_command_starts() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let _mounted = Cgroup::new("refused");
    for (path, reason) in [
        ("no-such-cgroup", "of version 2"),
        ("/tmp", "of version 2"),
        ("/etc/passwd", "of version 2"),
    ] {
        let told = project.roar(["run", "--cgroup", path, "touch", "made"]);
        told.exits(125).says(reason).says(path);
    }
    let told = project.roar([
        "run", "--tracer", "seccomp", "--cgroup", "x", "touch", "made",
    ]);
    told.exits(125).says("--cgroup needs eBPF");
    assert!(!Path::new(&project.path("made")).exists());
}
