//! Hashes that are true: of contents that a job wrote over, and of what changed behind its times.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met, require_bpf};
use roar_tests::terminal::Terminal;
use roar_tests::workload::{Build, program};
use serde_json::Value;

/// Runs an operation of `beside.c` on a file, under roar.
fn run(project: &Project, operation: &str, file: &Path) -> Record {
    project
        .roar_command()
        .args(["run", "-q"])
        .arg(program::path("beside", Build::Dynamic))
        .args([operation.as_ref(), file.as_os_str()])
        .status()
        .map(|status| assert!(status.success(), "{operation}: {status}"))
        .expect("roar can be started");
    Record::newest(project)
}

fn blake3_of(content: &[u8]) -> Value {
    blake3::hash(content).to_hex().to_string().into()
}

/// Sizes on both sides of what is hashed by one thread and in one block.
fn contents() -> [Vec<u8>; 2] {
    [b"before\n".repeat(3), b"before\n".repeat(700_000)]
}

/// A file that is read and then written over in place is an input and an output, each with its hash.
#[test]
fn inputs_are_hashed_before_the_job_writes_over_them() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for (number, before) in contents().into_iter().enumerate() {
        let file = project.write(format!("data-{number}"), &before);
        let record = run(&project, "read-wait-write", &file);
        let after = project.read(&file);
        assert_ne!(before, after);
        assert_eq!(record.entry("inputs", &file)["hash"], blake3_of(&before));
        assert_eq!(record.entry("outputs", &file)["hash"], blake3_of(&after));
        assert_eq!(record.entry("inputs", &file)["size"], before.len());
    }
}

/// With no time between: what an earlier run hashed is known, the rest is said to be unknown.
#[test]
fn what_was_too_late_is_said() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for (number, before) in contents().into_iter().enumerate() {
        let known = project.write(format!("known-{number}"), &before);
        let unknown = project.write(format!("unknown-{number}"), &before);
        project
            .roar(["run", "-q", "cat", known.to_str().expect("text")])
            .succeeds();
        let record = run(&project, "read-write", &known);
        assert_eq!(record.entry("inputs", &known)["hash"], blake3_of(&before));
        // The second time its content was made a moment before the hashing: no hash of such a
        // state may be relied upon.
        for before in [before, project.read(&known)] {
            let record = run(&project, "read-write", &unknown);
            let input = record.entry("inputs", &unknown);
            // roar may have been quick enough; it must not guess.
            let said = input["note"].as_str().unwrap_or_default();
            assert!(
                input["hash"] == blake3_of(&before)
                    || input["hash"].is_null() && said.contains("before it could be hashed"),
                "{input:#}"
            );
        }
    }
}

/// SQLite's write-ahead log, and the index beside it that every process maps and stores to: hashes
/// are those of the files before and after, or there is none and a note says why.
#[test]
fn a_database_with_a_write_ahead_log() {
    if !met(&[Need::Bpf, Need::Program("python3")]) {
        return;
    }
    let script = "import os, signal, sqlite3, sys\n\
        c = sqlite3.connect('d.db')\n\
        c.execute('pragma journal_mode=wal')\n\
        c.execute('create table if not exists t(a)')\n\
        for i in range(200):\n    c.execute('insert into t values(?)', (i,))\n    c.commit()\n\
        os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == 'killed' else c.close()\n";
    for tracer in ["ebpf", "seccomp"] {
        let project = Project::new();
        project.write("w.py", script);
        for (end, files) in [
            ("closed", &["d.db"][..]),
            ("killed", &["d.db-shm", "d.db-wal"]),
            ("killed", &["d.db-shm", "d.db-wal"]),
            ("closed", &["d.db"]),
        ] {
            let content = |name: &str| fs::read(project.path(name)).ok();
            let names = ["d.db", "d.db-shm", "d.db-wal"];
            let before = names.map(content);
            let argv = ["run", "-q", "--tracer", tracer, "python3", "w.py", end];
            let status = project.roar(argv).code();
            assert_eq!(status, if end == "killed" { 128 + 9 } else { 0 });
            let record = Record::newest(&project);
            for name in files {
                let entry = record.entry("outputs", &project.path(name));
                let now = content(name).expect("it was written");
                assert_eq!(entry["hash"], blake3_of(&now), "{tracer} {end}: {entry:#}");
            }
            for (name, before) in names.iter().zip(before) {
                let path = project.path(name);
                // SQLite empties what it does not believe.
                if !record.inputs().contains(&path) {
                    continue;
                }
                let entry = record.entry("inputs", &path);
                let before = before.expect("no input was not there");
                assert!(
                    entry["hash"] == blake3_of(&before)
                        || entry["hash"].is_null() && entry["note"].is_string(),
                    "{tracer} {end}: {entry:#}"
                );
            }
        }
        let database = project.path("d.db");
        assert!(Record::newest(&project).inputs().contains(&database));
    }
}

/// What an earlier run hashed is known again by what either tracer calls the file, and no file is
/// taken for another.
#[test]
fn both_tracers_call_a_file_the_same() {
    if !require_bpf() {
        return;
    }
    for tracer in ["ebpf", "seccomp"] {
        let project = Project::new();
        // More than seccomp hashes while a call waits.
        let before = b"before\n".repeat(300_000);
        let file = project.write("data", &before);
        let run = |script: &str| {
            let argv = ["run", "-q", "--tracer", tracer, "sh", "-c", script];
            project.roar(argv).succeeds();
            Record::newest(&project)
        };
        let record = run("cat data > copy");
        for (list, name) in [("inputs", "data"), ("outputs", "copy")] {
            let entry = record.entry(list, &project.path(name));
            assert_eq!(entry["hash"], blake3_of(&before), "{tracer}: {entry:#}");
            assert!(entry["note"].is_null(), "{tracer}: {entry:#}");
        }
        let record = run("echo more >> data");
        let entry = record.entry("inputs", &file);
        assert_eq!(entry["hash"], blake3_of(&before), "{tracer}: {entry:#}");
    }
}

#[test]
fn outputs_are_hashed_while_the_command_runs() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let file = project.path("made");
    // The command ends only when somebody has read what it wrote.
    let record = run(&project, "write-wait", &file);
    let content = blake3_of(&project.read(&file));
    assert_eq!(record.entry("outputs", &file)["hash"], content);
}

/// In a file system in memory, stores through a mapping need not change any time of the file.
#[test]
fn stores_through_a_mapping_are_seen_though_no_time_tells() {
    if !require_bpf() {
        return;
    }
    let project = Project::under(Path::new("/dev/shm"));
    project.init();
    let file = project.write("mapped", vec![b'a'; 100]);
    let cat = || {
        let path = file.to_str().expect("text");
        project.roar(["run", "-q", "cat", path]).succeeds();
        Record::newest(&project)
    };
    let before = cat();
    assert_eq!(
        before.entry("inputs", &file)["hash"],
        blake3_of(&[b'a'; 100])
    );
    let times = fs::metadata(&file)
        .and_then(|m| m.modified())
        .expect("a time");
    for expected in [b'b', b'c'] {
        let record = run(&project, "read-store", &file);
        let mut content = vec![b'a'; 100];
        content[0] = expected;
        assert_eq!(project.read(&file), content);
        assert_eq!(record.entry("outputs", &file)["hash"], blake3_of(&content));
        // What is kept for later runs must not be the old hash either.
        assert_eq!(cat().entry("inputs", &file)["hash"], blake3_of(&content));
    }
    // Else this test proves nothing.
    let unchanged = fs::metadata(&file)
        .and_then(|m| m.modified())
        .expect("a time");
    assert_eq!(times, unchanged);
}

/// A file of a terabyte of which nothing is stored: hashing the zeros takes minutes.
#[test]
fn a_long_hashing_shows_its_progress_and_can_be_skipped() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let mut command = project.roar_command();
    command.args(["run", "truncate", "--size=1T", "huge"]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("hashing");
    terminal.wait_for("left");
    terminal.type_in("\u{3}");
    let (status, shown) = terminal.finish();
    assert_eq!(status.code(), Some(0), "{shown}");
    let record = Record::newest(&project);
    let huge = record.entry("outputs", &project.path("huge"));
    assert!(huge["hash"].is_null(), "{huge:#}");
    assert_eq!(huge["note"], "hashing was interrupted");
    assert_eq!(record.completeness()["gaps"][0]["kind"], "unhashed");
}
