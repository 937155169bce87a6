//! RELIABILITY.md tells what is tested: its table is made from the tests' own tables.
#![cfg(target_arch = "x86_64")] // Other machines have fewer system calls to test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use roar_tests::binary::workspace;
use roar_tests::workload::{CommandLine, Workload, crossing, everyday, rare, table, tools};

const BEGIN: &str = "<!-- operations: made by tests/tests/pages.rs -->\n";
const END: &str = "<!-- end of operations -->\n";

/// `ROAR_WRITE_PAGES=1` writes the table anew.
#[test]
fn the_table_of_operations_is_that_of_the_tests() {
    let page = workspace().join("RELIABILITY.md");
    let text = fs::read_to_string(&page).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table's begin is marked");
    let (written, after) = rest.split_once(END).expect("the table's end is marked");
    let right = table();
    if std::env::var_os("ROAR_WRITE_PAGES").is_some_and(|value| value == "1") {
        let text = format!("{before}{BEGIN}{right}{END}{after}");
        fs::write(&page, text).expect("the page can be written");
        return;
    }
    assert_eq!(
        written, right,
        "RELIABILITY.md: ROAR_WRITE_PAGES=1 cargo test -p roar-tests --test pages"
    );
}

fn table() -> String {
    let mut text =
        String::from("| what | cases | by strace, too | operations |\n|---|---:|---:|---|\n");
    let mut sum = (0, 0);
    let mut row = |what: &str, cases: usize, by_strace: usize, operations: &str| {
        sum = (sum.0 + cases, sum.1 + by_strace);
        writeln!(text, "| {what} | {cases} | {by_strace} | {operations} |").expect("a string");
    };
    for (what, workloads) in table::groups() {
        let seen = workloads
            .iter()
            .filter(|row| row.unseen_by_strace.is_none());
        let operations: BTreeSet<_> = workloads.iter().map(operation).collect();
        let operations: Vec<_> = operations.into_iter().collect();
        row(what, workloads.len(), seen.count(), &operations.join(" · "));
    }
    for (what, workloads) in [
        ("rare ways", rare::all()),
        ("names across links and mounts", crossing::all()),
    ] {
        let operations: BTreeSet<_> = workloads.iter().map(operation).collect();
        let operations: Vec<_> = operations.into_iter().collect();
        row(what, workloads.len(), 0, &operations.join(" · "));
    }
    let tools = tools::all();
    let names: Vec<_> = tools.iter().map(|tool| tool.name).collect();
    row(
        "real programs",
        tools.len(),
        tools.len(),
        &names.join(" · "),
    );
    let lines = everyday::all().len();
    row(
        "everyday command lines",
        lines,
        lines,
        "[everyday.txt](tests/workloads/everyday.txt)",
    );
    let (cases, by_strace) = sum;
    writeln!(text, "| **all** | **{cases}** | **{by_strace}** | |").expect("a string");
    text
}

/// The name of what a workload does, in words that a table can hold.
fn operation(workload: &Workload) -> String {
    match &workload.command {
        CommandLine::Program(program, _, arguments) => {
            let operation = arguments.first().map(|word| word.to_string_lossy());
            match operation {
                Some(operation) if *program != "bits32" => format!("{program} {operation}"),
                _ => (*program).to_owned(),
            }
        }
        CommandLine::Shell(_, script) => {
            let script: Vec<_> = script.split_whitespace().collect();
            format!("`{}`", script.join(" ").replace('|', "\\|"))
        }
        CommandLine::Tool(_) => workload.name.clone(),
    }
}
