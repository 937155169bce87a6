//! The oracle against known commands, and the table of workloads against the oracle.
//! Needs strace, not roar: this is what keeps the tests of roar honest.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::path::PathBuf;

use roar_tests::oracle;
use roar_tests::project::Project;
use roar_tests::require::{Need, met};
use roar_tests::workload::{Workload, check_each, compare, everyday, prepare, table, tools};

/// Runs a command under the oracle in a prepared project.
fn check(argv: &[&str], inputs: &[&str], outputs: &[&str]) {
    let project = Project::empty();
    prepare(&project);
    let argv: Vec<_> = argv.iter().map(OsString::from).collect();
    let (transcript, seen) = oracle::observe(&project, &argv);
    transcript.succeeds();
    let seen = seen.under(project.root());
    let expected = |names: &[&str]| names.iter().map(PathBuf::from).collect();
    assert_eq!(seen.inputs, expected(inputs), "inputs of {argv:?}");
    assert_eq!(seen.outputs, expected(outputs), "outputs of {argv:?}");
}

#[test]
fn knows_what_common_tools_do() {
    if !met(&[Need::Strace]) {
        return;
    }
    check(&["cat", "in", "in2"], &["in", "in2"], &[]);
    check(&["cp", "in", "out"], &["in"], &["out"]);
    check(&["mv", "old", "new"], &["old"], &["new"]);
    check(&["ls", "-l", "folder"], &[], &[]);
    check(&["rm", "old"], &[], &[]);
    check(&["touch", "new", "old"], &[], &["new"]);
    check(&["sh", "-c", "cat < in > out"], &["in"], &["out"]);
    check(&["sh", "-c", "cat in >> old"], &["in", "old"], &["old"]);
    check(
        &["sh", "-c", "cat in > tmp && mv tmp out"],
        &["in"],
        &["out"],
    );
    check(
        &["sh", "-c", "cd folder && cat in3 | tr a b > ../out"],
        &["folder/in3"],
        &["out"],
    );
    check(
        &["tar", "-cf", "out.tar", "folder"],
        &["folder/in3", "folder/inner/in4"],
        &["out.tar"],
    );
    check(&["sed", "-i", "s/a/b/", "old"], &["old"], &["old"]);
    check(&["ln", "-s", "in", "new"], &[], &[]);
    check(&["dd", "if=in", "of=out", "status=none"], &["in"], &["out"]);
}

#[test]
fn knows_what_python_does() {
    if !met(&[Need::Strace, Need::Program("python3")]) {
        return;
    }
    let script = "import os\nd = open('in', 'rb').read()\nopen('tmp', 'wb').write(d)\n\
                  os.replace('tmp', 'out')\nos.stat('old')\n";
    check(&["python3", "-c", script], &["in"], &["out"]);
    let pool = "import multiprocessing as m, pathlib as p\n\
                def f(i): p.Path(f'o{i}').write_bytes(p.Path('in').read_bytes())\n\
                if __name__ == '__main__':\n  with m.Pool(3) as pool: pool.map(f, range(5))\n";
    check(
        &["python3", "-c", pool],
        &["in"],
        &["o0", "o1", "o2", "o3", "o4"],
    );
}

/// Runs a list of workloads under the oracle and compares it with what the table says.
fn check_table(workloads: &[Workload]) {
    let needs = [Need::Strace, Need::Program("gcc")];
    check_each(workloads, &needs, |project, workload| {
        let (transcript, seen) = oracle::observe(project, &workload.argv());
        if transcript.code() != 0 || !transcript.stdout.is_empty() {
            return Err(transcript.snapshot());
        }
        if workload.unseen_by_strace.is_some() {
            return Ok(());
        }
        compare(&seen.under(project.root()), &workload.expected)
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

/// strace cannot judge these; that they run through is worth knowing.
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

/// The known truths of real tools, by strace's word.
#[test]
fn tools() {
    if !met(&[Need::Strace, Need::Program("gcc")]) {
        return;
    }
    for tool in [tools::all(), everyday::all()].concat() {
        if !met(&tool.needs) {
            continue;
        }
        let project = Project::empty();
        (tool.set_up)(&project);
        let (told, seen) = oracle::observe(&project, &tool.argv());
        told.succeeds();
        if let Some(truth) = &tool.truth {
            let seen = seen.under(project.root()).without_git();
            compare(&seen, truth).unwrap_or_else(|text| panic!("{}:\n{text}", tool.name));
        }
    }
}
