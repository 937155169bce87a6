//! `finish-workloads COMPILER FOLDER`: the workload programs for a machine that has no compiler,
//! such as the guests of `cargo xtask vm-test`.

use std::env;
use std::path::Path;

use roar_tests::workload::program;

fn main() -> Result<(), &'static str> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [compiler, folder] = &arguments[..] else {
        return Err("usage: finish-workloads COMPILER FOLDER");
    };
    program::finish_all(compiler, Path::new(folder));
    Ok(())
}
