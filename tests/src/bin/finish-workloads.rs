//! `finish-workloads COMPILER FOLDER`: the workload programs for a machine that has no compiler,
//! such as the guests of `cargo xtask vm-test`.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use roar_tests::workload::program;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [compiler, folder] = &arguments[..] else {
        eprintln!("usage: finish-workloads COMPILER FOLDER");
        return ExitCode::FAILURE;
    };
    program::finish_all(compiler, Path::new(folder));
    ExitCode::SUCCESS
}
