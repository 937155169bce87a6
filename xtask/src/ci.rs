//! `cargo xtask ci`: every check besides the tests, the same list here and in CI.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::{self, Part};
use crate::{bench, build_ebpf, console, demo, process, tidy, vm_test, workspace};

/// Run every check besides the tests, as CI does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

type Check = fn() -> Result<()>;

pub(crate) fn run(Args {}: &Args) -> Result<()> {
    let checks: [(&str, Check); 10] = [
        ("format", format),
        ("tidy", || tidy::run(&tidy::Args {})),
        ("clippy", clippy),
        ("aarch64", aarch64),
        ("documentation", documentation),
        ("licences and bans", deny),
        (
            "eBPF object",
            || build_ebpf::run(&build_ebpf::Args::check()),
        ),
        ("demo", || demo::run(&demo::Args::default())),
        ("speed", bench::quick),
        ("another kernel", || vm_test::run(&vm_test::Args::quick())),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        console::heading(name);
        if let Err(error) = check() {
            console::line(&format!("FAILED: {error:#}"));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed checks: {}", failed.join(", "));
    }
    console::heading("all checks passed");
    Ok(())
}

fn format() -> Result<()> {
    process::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    let ebpf = ["fmt", "--manifest-path", "roar-ebpf/Cargo.toml", "--check"];
    process::run(workspace::cargo().args(ebpf))
}

fn clippy() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    process::run(workspace::cargo().args(arguments))
}

/// roar for the other architecture; `vm-test` runs it.
fn aarch64() -> Result<()> {
    let missing = setup::ensure(&[Part::VmAarch64])?;
    if !missing.is_empty() {
        console::line("skipped: a check for aarch64 needs what is named above");
        return Ok(());
    }
    let arguments = [
        "clippy",
        "--package",
        "roar-cli",
        "--target",
        "aarch64-unknown-linux-gnu",
        "--",
        "-D",
        "warnings",
    ];
    process::run(workspace::cargo().args(arguments))
}

fn documentation() -> Result<()> {
    let mut command = workspace::cargo();
    command.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Result<()> {
    if !process::succeeds(Command::new("cargo-deny").arg("--version")) {
        console::line("skipped: cargo-deny is not installed (cargo install cargo-deny)");
        return Ok(());
    }
    // Advisories come from the network; licences, bans and sources do not.
    process::run(workspace::cargo().args(["deny", "check", "licenses", "bans", "sources"]))
}
