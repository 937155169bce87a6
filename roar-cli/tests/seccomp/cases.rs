//! The cases. Each says what it expects of one command; a case that lacks a tool is skipped
//! and names it.

#![expect(
    clippy::unnecessary_wraps,
    reason = "every case has the same signature"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use roar_cli::event::{Access, EventKind};

use crate::record::{Place, Record, User};

/// Passed, or what is missing to run it.
type Outcome = Result<(), &'static str>;

/// A case.
type Case = fn(User) -> Outcome;

/// All cases by name.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("shell_redirections", shell_redirections),
    ("names", names),
    ("failed_calls_tell_nothing", failed_calls_tell_nothing),
    ("writes_are_inferred", writes_are_inferred),
    ("maps_on_tmpfs", maps_on_tmpfs),
    ("programs_and_interpreters", programs_and_interpreters),
    ("process_tree", process_tree),
    ("statuses", statuses),
    ("fifo_does_not_hang", fifo_does_not_hang),
    ("no_descriptor_leaks", no_descriptor_leaks),
    ("personal_paths", personal_paths),
    ("late_processes", late_processes),
    ("agrees_with_strace", agrees_with_strace),
    ("nested_tracer", nested_tracer),
    ("inside_sandboxes", inside_sandboxes),
    ("sandboxes_inside", sandboxes_inside),
    ("c_programs", c_programs),
    ("own_fuse_does_not_hang", own_fuse_does_not_hang),
    ("killed_tracer", killed_tracer),
    ("killed_at_the_start", killed_at_the_start),
];

fn has(tool: &'static str) -> Outcome {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).exists()));
    if found { Ok(()) } else { Err(tool) }
}

fn place(user: User) -> Place {
    Place::new(user, &std::env::temp_dir())
}

#[track_caller]
fn check_told(record: &Record, expected: &[&str]) {
    let output = &record.output;
    assert_eq!(record.told(), expected, "{} {output:?}", record.status);
    assert_eq!(record.gaps(), "[]");
}

/// What is found at the end comes in no order that matters.
#[track_caller]
fn check_sorted(record: &Record, expected: &[&str]) {
    let (mut told, mut expected) = (record.told(), expected.to_vec());
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected, "{} {:?}", record.status, record.output);
    assert_eq!(record.gaps(), "[]");
}

fn shell_redirections(user: User) -> Outcome {
    let place = place(user);
    place.write("in", "hello\n");
    let record = place.trace("cat < in > out; cat out in > /dev/null; exit 3");
    check_told(&record, &["read in", "create out", "read out"]);
    assert_eq!(record.status, 3);
    Ok(())
}

fn names(user: User) -> Outcome {
    let place = place(user);
    place.write("a", "a");
    place.write("b", "b");
    let script = "mv a c; mkdir -p d/e; ln -s ../c d/l; cat d/l > /dev/null; ln c h; rm b; \
        mv d f; cat f/l >/dev/null; rmdir f/e; : > new; cd f; cat ../h >/dev/null";
    check_told(
        &place.trace(script),
        &[
            "rename a c",
            "mkdir d",
            "mkdir d/e",
            "symlink d/l ../c",
            "read c",
            "link c h",
            "remove b",
            "rename d f",
            "remove f/e",
            "create new",
            "read h",
        ],
    );
    Ok(())
}

fn failed_calls_tell_nothing(user: User) -> Outcome {
    let place = place(user);
    place.write("there", "x");
    let script = "exec 2>/dev/null; cat missing; mv missing there; mkdir there; rm missing; \
        rmdir there; ln there there; ln -s x there; sh -c ': > missing/x'; \
        sh -c 'set -C; : > there'; cat nothing/there; ls; stat there; test -e there; true";
    check_told(&place.trace(script), &[]);
    Ok(())
}

fn writes_are_inferred(user: User) -> Outcome {
    let place = place(user);
    for name in ["append", "touched", "rw", "emptied", "same", "cut"] {
        place.write(name, "content\n");
    }
    let script = "echo x >> append; touch touched; exec 3<> rw; read line <&3; exec 3>&-; \
        : > emptied; : >> same; truncate -s 2 cut; true";
    let record = place.trace(script);
    check_sorted(
        &record,
        &[
            "write append",
            "write touched",
            "read rw",
            "write rw",
            "empty emptied",
            "write same",
            "write cut",
            "wrote append",
            "wrote cut",
        ],
    );
    Ok(())
}

fn maps_on_tmpfs(user: User) -> Outcome {
    has("python3")?;
    let shared = Path::new("/dev/shm");
    if !shared.is_dir() {
        return Err("/dev/shm");
    }
    let place = Place::new(user, shared);
    for name in ["mapped", "untouched"] {
        place.write(name, &"x".repeat(100_000));
    }
    let script = "/usr/bin/python3 -c \"
import mmap
a = open('mapped', 'r+b'); b = open('untouched', 'r+b')
m = mmap.mmap(a.fileno(), 0); n = mmap.mmap(b.fileno(), 0)
m[50000] = 66; n[0]
\"";
    check_told(
        &place.trace(script),
        &[
            "read mapped",
            "write mapped",
            "read untouched",
            "write untouched",
            "wrote mapped",
        ],
    );
    Ok(())
}

fn programs_and_interpreters(user: User) -> Outcome {
    let place = place(user);
    place.write("inner", "#!/bin/sh -e\necho \"$0 $1\"\n");
    place.write("outer", "#!./inner\n");
    let record = place.trace("./outer x; ./inner y");
    let executed: Vec<Vec<String>> = record
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Executed { argv, image, .. } => {
                assert!(image.is_some());
                Some(argv.iter().map(ToString::to_string).collect())
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        executed[1],
        ["/bin/sh", "-e", "./inner", "./outer", "x"],
        "{record:?}"
    );
    assert_eq!(executed[2], ["/bin/sh", "-e", "./inner", "y"]);
    let loaders = record.files(|access| access == Access::Executed);
    assert!(
        loaders
            .iter()
            .any(|path| path.to_string_lossy().contains("ld-")),
        "{loaders:?}"
    );
    Ok(())
}

fn process_tree(user: User) -> Outcome {
    let place = place(user);
    // The middle shell only forks: it is seen through its child.
    let record = place.trace("( ( cat /dev/null; exit 4 ); exit 5 ); exit 6");
    let mut parents = Vec::new();
    let mut ends = BTreeSet::new();
    for event in &record.events {
        match event.kind {
            EventKind::Started { parent } => parents.push((event.process, parent)),
            EventKind::Exited { code, .. } => {
                ends.insert((event.process, code));
            }
            _ => {}
        }
    }
    assert_eq!(parents[0].1, None, "{record:?}");
    for (process, parent) in &parents[1..] {
        let parent = parent.expect("has a parent in the job");
        assert!(
            parents.iter().any(|(other, _)| *other == parent),
            "{process:?}"
        );
    }
    assert_eq!(parents.len(), ends.len(), "{record:?}");
    assert!(parents.len() >= 3, "{record:?}");
    Ok(())
}

fn statuses(user: User) -> Outcome {
    let place = place(user);
    for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        assert_eq!(place.trace(script).status, expected, "{script}");
    }
    let tracer = place.tracer();
    let missing = place.command(&[&tracer, "--trace", "-", "/nonexistent/program"]);
    assert_eq!({ missing }.status().expect("runs").code(), Some(127));
    Ok(())
}

fn fifo_does_not_hang(user: User) -> Outcome {
    has("timeout")?;
    let place = place(user);
    let script = "mkfifo f; timeout 20 sh -c '(echo through > f &); cat f'";
    let record = place.trace(script);
    assert_eq!(record.output.stdout, b"through\n", "{record:?}");
    assert_eq!(record.told(), Vec::<String>::new());
    Ok(())
}

fn no_descriptor_leaks(user: User) -> Outcome {
    let place = place(user);
    let script = "ls /proc/self/fd; grep -E 'SigBlk|SigCgt|Seccomp_x' /proc/self/status; ps -o pgid= $$ | \
        grep -c .; env | grep -v -E '^_=|^PWD|^OLDPWD|^SHLVL' | sort; umask; ulimit -a";
    let bare = place.command(&["sh", "-c", script]).output().expect("runs");
    let traced = place.trace(script);
    assert_eq!(
        String::from_utf8_lossy(&traced.output.stdout),
        String::from_utf8_lossy(&bare.stdout)
    );
    Ok(())
}

fn personal_paths(user: User) -> Outcome {
    let place = place(user);
    place.write("in", "x");
    let record = place.trace("cat /dev/stdin < in; cat /proc/self/fd/0 < in; cat /dev/fd/3 3< in");
    check_told(&record, &["read in"]);
    let own = record
        .read()
        .into_iter()
        .any(|path| path.starts_with("/proc"));
    assert!(
        !own,
        "the tracer's own descriptors were taken for the command's"
    );
    Ok(())
}

fn late_processes(user: User) -> Outcome {
    let place = place(user);
    // Opens after the tracer has gone must work on: the guard answers.
    let script = "(for i in 1 2 3 4 5 6 7 8; do sleep 0.1; cat /dev/null || exit; done; \
        echo done > late) > /dev/null 2>&1 &";
    let tracer = place.tracer();
    let mut command = place.command(&[&tracer, "--trace", ".log", "sh", "-c", script]);
    let started = std::time::Instant::now();
    let status = command.env("LATE_MS", "100").status().expect("runs");
    assert!(status.success());
    assert!(
        started.elapsed().as_millis() < 700,
        "waited for the late process"
    );
    let log = std::fs::read_to_string(place.path().join(".log")).expect("a log");
    assert!(log.contains("late_process"), "{log}");
    wait_for(&place.path().join("late"));
    Ok(())
}

fn wait_for(path: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !path.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "{} never came",
            path.display()
        );
        std::thread::yield_now();
    }
}

fn agrees_with_strace(user: User) -> Outcome {
    has("strace")?;
    has("python3")?;
    let place = place(user);
    place.write("in", "x");
    let script = "/usr/bin/python3 -c 'import json, csv, sqlite3, email.mime.text'; sort in; \
        tar cf t.tar in; mkdir x; tar xf t.tar -C x; cp -r x y; grep -r x y; find . -name in";
    let traced = place.trace(script);
    std::fs::remove_dir_all(place.path().join("x")).expect("removes");
    std::fs::remove_dir_all(place.path().join("y")).expect("removes");
    std::fs::remove_file(place.path().join("t.tar")).expect("removes");
    let words = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-o",
        ".strace",
        "-e",
        "trace=open,openat,openat2",
    ];
    let mut words = words.to_vec();
    words.extend(["sh", "-c", script]);
    place.command(&words).output().expect("runs");
    let log = std::fs::read(place.path().join(".strace")).expect("a log");
    let expected: BTreeSet<PathBuf> = String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains("O_RDONLY") && !line.contains("O_DIRECTORY"))
        .filter_map(|line| {
            // …) = 3</real/path>
            let path = line
                .rsplit_once(" = ")?
                .1
                .split_once('<')?
                .1
                .strip_suffix('>')?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .filter(|path| path.is_file())
        .collect();
    let regular = |path: &PathBuf| path.is_file() && !path.starts_with("/proc");
    let found: BTreeSet<PathBuf> = traced.read().into_iter().filter(regular).collect();
    let expected: BTreeSet<PathBuf> = expected.into_iter().filter(regular).collect();
    assert!(expected.len() > 50, "{expected:?}");
    let missed: Vec<_> = expected.difference(&found).collect();
    let invented: Vec<_> = found.difference(&expected).collect();
    assert!(
        missed.is_empty() && invented.is_empty(),
        "missed {missed:?} invented {invented:?}"
    );
    Ok(())
}

fn nested_tracer(user: User) -> Outcome {
    let place = place(user);
    let tracer = place.tracer();
    let record = place.trace(&format!("{tracer} --trace - true"));
    let said = String::from_utf8_lossy(&record.output.stderr).into_owned();
    assert_eq!(record.status, 125, "{said}");
    assert!(said.contains("itself watched through seccomp"), "{said}");
    Ok(())
}

fn inside_sandboxes(user: User) -> Outcome {
    let wrappers: [&[&str]; 3] = [
        &["setpriv", "--no-new-privs"],
        &["unshare", "--user", "--map-root-user"],
        &[
            "bwrap",
            "--dev-bind",
            "/",
            "/",
            "--unshare-pid",
            "--proc",
            "/proc",
        ],
    ];
    has("bwrap")?;
    for wrapper in wrappers {
        let place = place(user);
        place.write("in", "x");
        let record = place.trace_in(wrapper, "cat in > out");
        let said = String::from_utf8_lossy(&record.output.stderr).into_owned();
        assert_eq!(
            record.told(),
            ["create out", "read in"],
            "{wrapper:?} {said}"
        );
    }
    Ok(())
}

fn sandboxes_inside(user: User) -> Outcome {
    has("bwrap")?;
    let place = place(user);
    place.write("in", "x");
    let script = "bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib \
        --symlink usr/lib64 /lib64 --bind . /work --chdir /work --proc /proc --dev /dev \
        --unshare-all sh -c 'cat /work/in > out; mv /work/out final; cat final'";
    let record = place.trace(script);
    let said = String::from_utf8_lossy(&record.output.stderr).into_owned();
    assert_eq!(record.output.stdout, b"x", "{said}");
    assert_eq!(
        record.told(),
        ["create out", "read in", "rename out final", "read final"]
    );
    let host = record
        .read()
        .iter()
        .any(|path| path.starts_with("/usr/lib"));
    assert!(
        host,
        "paths of the sandbox are not shown as the host's: {:?}",
        record.read()
    );
    Ok(())
}

/// Programs that only C can write: static, 32-bit calls, timers, io_uring, a FUSE-like hang.
fn c_programs(user: User) -> Outcome {
    has("cc")?;
    let place = place(user);
    place.write("in", "x");
    place.write("program.c", include_str!("program.c"));
    let build = |flag: &str, name: &str| {
        let mut words = vec!["cc", "-O1", "-o", name, "program.c"];
        words.extend((!flag.is_empty()).then_some(flag));
        place
            .command(&words)
            .status()
            .is_ok_and(|status| status.success())
    };
    assert!(build("", "dynamic"), "the program compiles");
    let mut programs = vec!["dynamic"];
    if build("-static", "static") {
        programs.push("static");
    }
    for program in programs {
        let record = place.trace(&format!("./{program} read"));
        assert_eq!(record.status, 0, "{record:?}");
        assert_eq!(
            record.told(),
            [format!("execute_ {program}"), "read in".to_owned()][1..]
        );
    }
    let record = place.trace("./dynamic timer");
    // A signal that comes before the supervisor has a call still interrupts it: every
    // such call has to be counted, none more and none less.
    let said = String::from_utf8_lossy(&record.output.stdout).into_owned();
    let interrupted = said.strip_suffix(" interrupted\n").expect("says how many");
    let notes = record.summary["notes"].to_string();
    let is_told = match interrupted {
        "0" => notes == "[]",
        "1" => notes.contains("interrupted by signals") && !notes.contains(" times)"),
        some => notes.contains(&format!("EINTR) ({some} times)")),
    };
    assert!(is_told, "{said} {notes}");
    let record = place.trace("./dynamic uring");
    assert_eq!(record.status, 0, "{:?}", record.output);
    assert!(
        record.summary["notes"].to_string().contains("io_uring"),
        "{}",
        record.summary
    );
    let record = place.trace("./dynamic tmpfile");
    assert_eq!(record.status, 0, "{:?}", record.output);
    assert_eq!(record.told(), ["create named", "wrote named"]);
    if cfg!(target_arch = "x86_64") {
        let record = place.trace("./dynamic compat");
        match record.status {
            0 => assert_eq!(record.told(), ["read in"]),
            status => assert_eq!(status, 77, "no 32-bit calls on this kernel"),
        }
    }
    let record = place.trace_in(&["./dynamic", "outer"], "cat in > out");
    let said = String::from_utf8_lossy(&record.output.stderr).into_owned();
    assert_eq!(
        record.told(),
        ["create out", "read in"],
        "under a container's filter: {said}"
    );
    Ok(())
}

fn own_fuse_does_not_hang(user: User) -> Outcome {
    has("python3")?;
    let may_mount = user == User::Own && rustix::process::geteuid().is_root();
    if !may_mount || !Path::new("/dev/fuse").exists() {
        return Err("root and /dev/fuse");
    }
    let place = place(user);
    place.write("fuse.py", include_str!("fuse.py"));
    let record = place.trace("mkdir point; exec timeout 60 /usr/bin/python3 fuse.py point");
    if record.status == 77 {
        return Err("mounting FUSE");
    }
    assert_eq!(record.status, 0, "{:?}", record.output);
    assert_eq!(record.output.stdout, b"y\n");
    let told = record.told();
    let gaps = record.gaps();
    // Whether a call meets the server while it waits, or still there, is chance; what could not be looked at
    // is counted.
    assert!(
        told.iter().any(|told| told == "read point/x") || gaps != "[]",
        "{told:?}"
    );
    assert!(
        gaps == "[]" || gaps.contains("did not answer") || gaps.contains("that was gone"),
        "a gap of another kind: {gaps}"
    );
    Ok(())
}

fn killed_tracer(user: User) -> Outcome {
    const SPAWNS: u32 = 300;
    let place = place(user);
    let tracer = place.tracer();
    let script = format!(
        "i=0; : > begun; while [ $i -lt {SPAWNS} ]; do /bin/true || echo failed >> failures; \
         i=$((i+1)); done; echo $i > finished"
    );
    let mut command: Command = place.command(&[&tracer, "--trace", "-", "sh", "-c", &script]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("starts");
    wait_for(&place.path().join("begun"));
    child.kill().expect("kills");
    child.wait().expect("waits");
    wait_for(&place.path().join("finished"));
    assert!(
        !place.path().join("failures").exists(),
        "commands failed after the kill"
    );
    Ok(())
}

/// Killed at any moment of its start, the tracer leaves nobody waiting for it.
fn killed_at_the_start(user: User) -> Outcome {
    let place = place(user);
    let tracer = place.tracer();
    for step in 0..60 {
        let mut command = place.command(&[&tracer, "--trace", "-", "true"]);
        let started = std::time::Instant::now();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        while started.elapsed().as_micros() < step * 150 {
            std::hint::spin_loop();
        }
        child.kill().expect("kills");
        child.wait().expect("waits");
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let left = || {
        let processes = std::fs::read_dir("/proc").expect("proc").flatten();
        let is_tracer = |path: PathBuf| path == Path::new(&tracer);
        processes
            .filter_map(|entry| std::fs::read_link(entry.path().join("exe")).ok())
            .filter(|path| is_tracer(path.clone()))
            .count()
    };
    while left() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} processes are stuck",
            left()
        );
        std::thread::yield_now();
    }
    Ok(())
}
