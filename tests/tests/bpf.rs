//! What roar records, against the table of workloads, against strace, and against known
//! truths of real tools. Needs CAP_BPF.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use blake3::Hash;
use roar_tests::oracle::{self, before::Before};
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met, require_bpf};
use roar_tests::transcript::Transcript;
use roar_tests::workload::tools::{self, Tool};
use roar_tests::workload::{
    self, Build, Workload, check_each, compare, crossing, everyday, program, rare, table,
};

/// Runs a command in a project under roar; tells the record.
fn record(project: &Project, argv: &[OsString]) -> Result<Record, String> {
    let mut words = vec![OsString::from("run"), OsString::from("-q")];
    words.extend_from_slice(argv);
    let told = project.roar(words);
    if told.code() != 0 || !told.stdout.is_empty() {
        return Err(told.snapshot());
    }
    Ok(Record::of(project, "@1"))
}

/// The content of every file before a command runs.
fn contents(project: &Project) -> BTreeMap<PathBuf, Hash> {
    let files = Before::look(project.root()).files.into_keys();
    let hash = |path: &PathBuf| fs::read(path).ok().map(|bytes| blake3::hash(&bytes));
    files
        .filter_map(|path| Some((path.clone(), hash(&path)?)))
        .collect()
}

/// Inputs have the content from before, outputs that of now. An input whose content the command
/// destroyed may have no hash; then it says why, and the record names that as its one gap.
fn check_content(
    record: &Record,
    project: &Project,
    before: &BTreeMap<PathBuf, Hash>,
) -> Result<(), String> {
    let now = contents(project);
    let mut lacks = false;
    for (list, paths, right) in [
        ("inputs", record.inputs(), before),
        ("outputs", record.outputs(), &now),
    ] {
        for path in paths.iter().filter(|path| path.starts_with(project.root())) {
            let entry = record.entry(list, path);
            let hash = right.get(path).map(|hash| hash.to_hex().to_string());
            // Put back with the same content is destroyed, too.
            let is_replaced = before.get(path) != now.get(path) || record.outputs().contains(path);
            let is_destroyed = list == "inputs" && is_replaced;
            if is_destroyed && entry["hash"].is_null() && entry["note"].is_string() {
                lacks = true;
            } else if hash.is_none() || entry["hash"].as_str() != hash.as_deref() {
                return Err(format!("{list}: {entry:#} is not {hash:?}"));
            }
        }
    }
    let gaps = record.completeness()["gaps"].as_array();
    let kinds: Vec<_> = gaps.into_iter().flatten().map(|gap| &gap["kind"]).collect();
    // Content that is gone is no access that was missed.
    let is_right = record.is_complete()
        && kinds.len() == usize::from(lacks)
        && kinds.iter().all(|kind| **kind == "unhashed");
    if is_right {
        return Ok(());
    }
    Err(format!("completeness: {:#}", record.completeness()))
}

/// Runs a list of workloads under roar: sets, hashes and completeness must be right.
fn check_table(workloads: &[Workload]) {
    let needs = [Need::Bpf, Need::Workloads];
    check_each(workloads, &needs, |project, workload| {
        project.init();
        let before = contents(project);
        let record = record(project, &workload.argv())?;
        compare(&record.files_under(project.root()), &workload.expected)?;
        check_content(&record, project, &before)
    });
}

#[test]
fn transfers() {
    check_table(&table::transfers());
}

#[test]
fn mappings() {
    check_table(&table::mappings());
}

#[test]
fn copies() {
    check_table(&table::copies());
}

#[test]
fn opens() {
    check_table(&table::opens());
}

#[test]
fn names() {
    check_table(&table::names());
}

#[test]
fn descriptors() {
    check_table(&table::descriptors());
}

#[test]
fn paths() {
    check_table(&table::paths());
}

#[test]
fn processes() {
    check_table(&table::processes());
}

#[test]
fn rings() {
    check_table(&table::rings());
}

#[test]
fn handed_over() {
    check_table(&table::handed_over());
}

#[test]
fn silent() {
    check_table(&table::silent());
}

#[test]
fn file_systems() {
    check_table(&table::file_systems());
}

#[test]
fn namespaces() {
    check_table(&table::namespaces());
}

#[test]
fn rare_ways() {
    check_table(&rare::all());
}

#[test]
fn names_that_cross_links_and_mounts() {
    check_table(&crossing::all());
}

/// A symbolic link that was there before and goes at once: the record has the name that it led to,
/// or says that it does not know it.
#[test]
fn a_link_from_before_that_goes_at_once() {
    if !met(&[Need::Bpf, Need::Workloads]) {
        return;
    }
    for script in [
        "mv old folder-link/new; rm folder-link",
        "mv old folder-link/new; ln -sfn many folder-link",
        "mv old folder-link/new; mv folder-link elsewhere",
    ] {
        let project = Project::empty();
        workload::prepare(&project);
        project.init();
        let argv = ["sh", "-c", script].map(OsString::from);
        let record = record(&project, &argv).unwrap_or_else(|told| panic!("{told}"));
        let files = record.files_under(project.root());
        let is_right = files.outputs.contains(Path::new("folder/new"));
        assert!(
            is_right || !record.is_complete(),
            "{script}: {}",
            files.describe()
        );
    }
}

#[test]
fn ten_thousand_processes() {
    check_table(&[table::many(10_007)]);
}

/// Runs a real command twice, under strace and under roar, each in a project of its own: both
/// must tell the same, and the truth where it is known.
fn check_tool(tool: &Tool) -> Result<(), String> {
    let strange = Project::empty();
    (tool.set_up)(&strange);
    let (told, seen) = oracle::observe(&strange, &tool.argv());
    told.succeeds();

    let project = Project::empty();
    (tool.set_up)(&project);
    project.init();
    let before = contents(&project);
    let record = record(&project, &tool.argv())?;
    if let Some(truth) = &tool.truth {
        compare(&record.files_under(project.root()), truth)?;
    }
    let recorded = record.files_and_repositories_under(project.root());
    compare(&recorded, &seen.under(strange.root()))
        .map_err(|difference| format!("roar (seen) and strace (right) differ:\n{difference}"))?;
    check_content(&record, &project, &before)
}

/// Checks each tool that can run here, and tells of all that failed at once.
fn check_tools(tools: &[Tool]) {
    if !met(&[Need::Bpf, Need::Strace, Need::Program("gcc")]) {
        return;
    }
    let mut wrong = String::new();
    for tool in tools.iter().filter(|tool| met(&tool.needs)) {
        if let Err(complaint) = check_tool(tool) {
            writeln!(wrong, "{}:\n{complaint}", tool.name).expect("a string takes text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn tools() {
    check_tools(&tools::all());
}

#[test]
fn everyday_lines() {
    check_tools(&everyday::all());
}

/// The first field of what a `…sum` program prints.
fn sum_by(project: &Project, program: &str, file: &str) -> String {
    let told = Transcript::of(project.command(program).arg(file));
    let text = told.succeeds().stdout_text();
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn hashes_are_those_of_other_programs() {
    if !met(&[
        Need::Bpf,
        Need::Program("b3sum"),
        Need::Program("sha256sum"),
    ]) {
        return;
    }
    let project = Project::new();
    project.write("in", "abc".repeat(1_000_003));
    project
        .roar([
            "run",
            "-q",
            "--hash",
            "sha256",
            "sh",
            "-c",
            "rev in > out; : > empty",
        ])
        .succeeds();
    let record = Record::of(&project, "@1");
    for (list, name) in [("inputs", "in"), ("outputs", "out"), ("outputs", "empty")] {
        let entry = record.entry(list, &project.path(name));
        assert_eq!(entry["hash"], sum_by(&project, "b3sum", name));
        assert_eq!(entry["hashes"]["blake3"], entry["hash"]);
        assert_eq!(
            entry["hashes"]["sha256"],
            sum_by(&project, "sha256sum", name)
        );
    }
}

/// What a file held before it was changed in place is the input, not what it holds after.
#[test]
fn content_before_a_change() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("data", "first\n");
    let before = sum_by(&project, "b3sum", "data");
    project
        .roar(["run", "-q", "sh", "-c", "wc data > report"])
        .succeeds();
    project
        .roar([
            "run",
            "-q",
            "sh",
            "-c",
            "cat data >/dev/null; echo second >> data",
        ])
        .succeeds();
    let record = Record::of(&project, "@2");
    let path = project.path("data");
    assert_eq!(
        record.entry("outputs", &path)["hash"],
        sum_by(&project, "b3sum", "data")
    );
    let input = record.entry("inputs", &path);
    // Known from the first run's hash, or honestly unknown; never the later content.
    assert!(
        input["hash"] == before || input["hash"].is_null() && input["note"].is_string(),
        "{input:#}"
    );
}

/// A path of more than 4,096 bytes is recorded in full, or the record says that it was cut.
#[test]
fn a_path_beyond_the_limit() {
    if !met(&[Need::Bpf, Need::Workloads]) {
        return;
    }
    for (depth, component_length) in [(3, 255), (12, 255), (25, 200)] {
        let project = Project::new();
        let input = project.write("in", "input");
        let component = "d".repeat(component_length);
        let argv = [
            program::path("directory", Build::Dynamic).into_os_string(),
            "deep".into(),
            depth.to_string().into(),
            component.clone().into(),
            input.into_os_string(),
        ];
        let record = record(&project, &argv).unwrap_or_else(|told| panic!("{told}"));
        let mut leaf: PathBuf = (0..depth).map(|_| component.as_str()).collect();
        leaf.push("leaf");
        let files = record.files_under(project.root());
        let whole = files.outputs == BTreeSet::from([leaf]);
        let flagged = record.completeness()["truncated_paths"].as_u64() > Some(0);
        assert!(
            whole || flagged && !record.is_complete(),
            "{:#}",
            record.json
        );
        assert!(
            whole || depth * component_length > 2048,
            "a path of 765 bytes must be whole"
        );
        assert_eq!(files.inputs, BTreeSet::from([PathBuf::from("in")]));
    }
}

/// A daemon that outlives the command: the command's end is not delayed for long, and the
/// record names what was still alive.
#[test]
fn a_daemon_that_stays() {
    if !met(&[Need::Bpf, Need::Workloads]) {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let daemon = program::path("process", Build::Dynamic).into_os_string();
    let argv = [
        daemon,
        "late-daemon".into(),
        "in".into(),
        "out".into(),
        "stop".into(),
    ];
    let record = record(&project, &argv);
    project.write("stop", "");
    let record = record.unwrap_or_else(|told| panic!("{told}"));
    assert!(!record.is_complete(), "{:#}", record.json);
    let gaps = record.completeness()["gaps"].to_string();
    assert!(gaps.contains("late_process"), "{gaps}");
}

/// The kernel itself writes a core file: no call of the command tells of it, so the record does.
#[test]
fn a_core_file_is_named_as_a_gap() {
    if !require_bpf() {
        return;
    }
    let pattern = fs::read("/proc/sys/kernel/core_pattern").expect("every Linux has one");
    let is_piped = pattern.starts_with(b"|");
    for (limit, is_complete) in [("0", true), ("unlimited", is_piped)] {
        let project = Project::new();
        let script = format!("ulimit -c {limit}; sh -c 'kill -SEGV $$' 2> /dev/null; :");
        let argv = ["bash", "-c", &script].map(OsString::from);
        let record = record(&project, &argv).unwrap_or_else(|told| panic!("{told}"));
        let gaps = record.completeness()["gaps"].to_string();
        assert_eq!(record.is_complete(), is_complete, "{limit}: {gaps}");
        assert_eq!(gaps.contains("core file"), !is_complete, "{limit}: {gaps}");
    }
}

/// `roar run` inside `roar run`, in another project: both records are right.
#[test]
fn nested_runs() {
    if !require_bpf() {
        return;
    }
    let (outer, inner) = (Project::new(), Project::new());
    outer.write("in", "input");
    let script = format!(
        "cat in > {inner}/in && cd {inner} && {roar} run -q cp in out && cp out {outer}/out",
        inner = inner.root().display(),
        outer = outer.root().display(),
        roar = roar_tests::binary::roar().display(),
    );
    let outside = record(&outer, &["sh", "-c", &script].map(OsString::from));
    let outside = outside.unwrap_or_else(|told| panic!("{told}"));
    let inside = Record::of(&inner, "@1");
    assert_eq!(
        inside.files_under(inner.root()).describe(),
        "  in  in\n  out out\n"
    );
    assert_eq!(
        outside.files_under(outer.root()).describe(),
        "  in  in\n  out out\n"
    );
    // What the inner project got lies in a folder for temporary files: seen, though filtered.
    let inner_output = inner.path("out");
    let seen = &outside.filtered() | &outside.outputs();
    assert!(seen.contains(&inner_output), "{:#}", outside.json);
}

/// A project under /tmp works, although what is written to /tmp is filtered by default.
#[test]
fn a_project_under_tmp() {
    if !require_bpf() {
        return;
    }
    let project = Project::under(Path::new("/tmp"));
    project.init();
    project.write("in", "input");
    let record = record(&project, &["cp", "in", "out"].map(OsString::from));
    let files = record
        .unwrap_or_else(|told| panic!("{told}"))
        .files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out out\n");
}
