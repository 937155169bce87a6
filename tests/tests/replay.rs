//! Event logs: recorded from real runs, replayed without a kernel.
//!
//! `tests/fixtures/NAME.jsonl` were recorded from workloads of the table by
//! `ROAR_RECORD_FIXTURES=1 cargo test -p roar-tests --test replay` (as root); what they must
//! fold to is the table's word, not the fold's.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use roar_cli::observe::{Fold, Observation};
use roar_cli::trace::replay::replay;
use roar_tests::oracle::FileSets;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::Need;
use roar_tests::transcript::Transcript;
use roar_tests::workload::{Workload, check_each, compare, table};

/// Where the fixtures' projects stood, whatever the machine that recorded them.
const BASE: &str = "/var/tmp/roar-fixture";

/// The workloads of the table that are recorded, by the names of their files.
const FIXTURES: [(&str, &str); 9] = [
    ("copy", "rw copy in out"),
    ("update", "rw update old"),
    ("shared-mapping", "map shared-write old"),
    ("replace", "name replace temporary old"),
    ("save-folder", "name save-folder temporary final"),
    ("temporary", "name temporary temporary"),
    ("close-on-exec", "descriptor cloexec in in2 old out"),
    ("passed-descriptor", "descriptor scm-rights in out in2"),
    ("threads", "process threads in out"),
];

fn workload(name: &str) -> Workload {
    table::all()
        .into_iter()
        .find(|workload| workload.name == name)
        .unwrap_or_else(|| panic!("no workload is named '{name}'"))
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    folder.join(name).with_extension("jsonl")
}

/// Folds a log that may be cut short.
fn fold(log: &[u8]) -> Observation {
    let mut fold = Fold::new();
    replay(log, |event| fold.push(&event)).expect("the log is one");
    fold.finish()
}

/// What an observation says of the files under a folder.
fn files(observation: &Observation, folder: &Path) -> FileSets {
    let mut sets = FileSets::default();
    for file in &observation.files {
        if let Some(input) = &file.input {
            sets.inputs.insert(input.path.to_path_buf());
        }
        if let Some(output) = &file.output {
            sets.outputs.insert(output.path.to_path_buf());
            let links = output.links.iter();
            sets.outputs
                .extend(links.map(roar_cli::model::RawString::to_path_buf));
        }
    }
    sets.under(folder)
}

/// Runs a workload under roar with a log.
fn record_log(project: &Project, workload: &Workload) -> Result<Vec<u8>, String> {
    let log = project.base().join("events.jsonl");
    let mut command = project.roar_command();
    command
        .env("ROAR_EVENT_LOG", &log)
        .args(["run", "-q"])
        .args(workload.argv());
    let told = Transcript::of(&mut command);
    if told.code() != 0 {
        return Err(told.snapshot());
    }
    fs::read(&log).map_err(|error| format!("no log: {error}"))
}

#[test]
fn recorded_logs_fold_to_what_the_table_says() {
    for (name, workload_name) in FIXTURES {
        let path = fixture(name);
        let log = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let observation = fold(&log);
        let seen = files(&observation, &Path::new(BASE).join("project"));
        compare(&seen, &workload(workload_name).expected)
            .unwrap_or_else(|text| panic!("{name}:\n{text}"));
        assert_eq!(observation.gaps, [], "{name}");
    }
}

/// roar may be killed at any event: what was recorded until then still folds.
#[test]
fn every_beginning_of_a_log_folds() {
    for (name, _) in FIXTURES {
        let log = fs::read_to_string(fixture(name)).expect("the fixtures are there");
        let whole = log.lines().count();
        for count in 1..=whole {
            let beginning: String = log.split_inclusive('\n').take(count).collect();
            let observation = fold(beginning.as_bytes());
            assert!(
                observation.processes.len() <= count,
                "{name}, {count} lines"
            );
        }
    }
}

/// A log replayed tells what the job's own record tells. Rewrites the fixtures when asked to.
#[test]
fn a_log_tells_what_the_record_tells() {
    let workloads: Vec<_> = FIXTURES.iter().map(|(_, name)| workload(name)).collect();
    check_each(
        &workloads,
        &[Need::Bpf, Need::Workloads],
        |project, workload| {
            project.init();
            let log = record_log(project, workload)?;
            let seen = files(&fold(&log), project.root());
            compare(
                &seen,
                &Record::of(project, "@1").files_under(project.root()),
            )?;
            if std::env::var_os("ROAR_RECORD_FIXTURES").is_some() {
                keep(project, workload, &log);
            }
            Ok(())
        },
    );
}

/// Writes a fixture, free of this machine's paths.
fn keep(project: &Project, workload: &Workload, log: &[u8]) {
    let (name, _) = FIXTURES
        .iter()
        .find(|(_, workload_name)| *workload_name == workload.name)
        .expect("only fixtures are recorded");
    let programs = roar_tests::binary::cache("workloads");
    let base = OsString::from(project.base());
    let text = String::from_utf8(log.to_vec())
        .expect("JSON is text")
        .replace(&*base.to_string_lossy(), BASE)
        .replace(&*programs.to_string_lossy(), &format!("{BASE}/workloads"));
    fs::create_dir_all(fixture(name).parent().expect("a file is in a folder"))
        .and_then(|()| fs::write(fixture(name), text))
        .expect("the fixtures can be written");
}
