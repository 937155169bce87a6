//! The `roar` binary: parse, dispatch, report, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    roar_cli::commands::main()
}
