//! `cargo xtask test`: sets the machine up and runs every test.
//!
//! With `ROAR_REQUIRE_BPF=1` a test that cannot run here fails; without, it says what it lacks
//! and is skipped.

use anyhow::Result;

use crate::setup::{self, Part};
use crate::{console, process, workspace};

/// Set the machine up and run every test
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for the test runner, such as a part of a test's name
    #[arg(last = true)]
    filter: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let skipped = setup::ensure(&[Part::Test, Part::Python])?;
    let has_nextest = process::succeeds(workspace::cargo().args(["nextest", "--version"]));
    let mut tests = workspace::cargo();
    if has_nextest {
        tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        tests.args(&args.filter);
    } else {
        tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
        if !args.filter.is_empty() {
            tests.arg("--").args(&args.filter);
        }
    }
    console::heading("tests");
    let tested = process::run(&mut tests);
    console::heading("examples in the documentation");
    let documented = if args.filter.is_empty() {
        process::run(workspace::cargo().args(["test", "--workspace", "--doc", "--quiet"]))
    } else {
        Ok(())
    };
    tested.and(documented)?;

    if !args.filter.is_empty() {
        console::heading("the chosen tests passed");
        return Ok(());
    }
    console::heading("every test that could run here passed");
    if !skipped.is_empty() {
        console::line(&format!("not installed here: {}", skipped.join(" ")));
    }
    if std::env::var_os("ROAR_REQUIRE_BPF").is_some_and(|value| value == "1") {
        console::line("none was skipped for want of a capability (ROAR_REQUIRE_BPF=1)");
    } else {
        console::line("tests that need what this machine lacks were skipped; to make them fail:");
        console::line("  ROAR_REQUIRE_BPF=1 cargo xtask test   (as root)");
    }
    Ok(())
}
