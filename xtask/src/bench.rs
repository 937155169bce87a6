//! `cargo xtask bench`: what roar costs, beside other tracers, on this machine.
//!
//! Every workload runs bare and under each tracer, in turn, round after round, so that whatever
//! else the machine does falls on all alike; what is told are ratios to the bare runs of the same
//! round. Each part writes its samples to `target/bench/PART.json`; `--report` makes BENCHMARKS.md
//! of them. Other tracers are taken as they are found on the machine.

mod goals;
mod hashing;
mod measure;
mod quick;
mod report;
pub(crate) mod results;
mod site;
mod statistics;
mod syscalls;
mod tools;
mod unprivileged;
mod workloads;

use anyhow::{Result, bail};

use self::site::Site;
use crate::{console, demo};

pub(crate) use self::quick::run as quick;

/// Measure what roar costs
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only this part: a workload, `syscalls`, `seccomp` or `hashing` (may be repeated)
    #[arg(long, value_name = "PART")]
    only: Vec<String>,

    /// How often everything runs
    #[arg(long, default_value_t = 9)]
    rounds: u32,

    /// A folder of a file system in memory
    #[arg(long, default_value = "/dev/shm")]
    folder: std::path::PathBuf,

    /// The roar to measure; built when left out
    #[arg(long, value_name = "FILE")]
    roar: Option<std::path::PathBuf>,

    /// A small subset with generous limits, as in CI; fails when one is passed
    #[arg(long, conflicts_with_all = ["only", "report"])]
    quick: bool,

    /// Write BENCHMARKS.md from what has been measured
    #[arg(long)]
    report: bool,

    /// Time system calls in this process, that many of each (what `syscalls` runs)
    #[arg(long, hide = true)]
    time_syscalls: Option<u32>,
}

/// The parts besides the workloads.
const SYSCALLS: &str = "syscalls";
const UNPRIVILEGED: &str = "seccomp";
const HASHING: &str = "hashing";

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(count) = args.time_syscalls {
        return syscalls::time(count);
    }
    if args.quick {
        return quick::run();
    }
    if args.report {
        return report::write();
    }
    let parts: Vec<&str> = workloads::ALL
        .iter()
        .map(|workload| workload.name)
        .chain([SYSCALLS, UNPRIVILEGED, HASHING])
        .collect();
    for asked in &args.only {
        if !parts.contains(&asked.as_str()) {
            bail!("no part '{asked}'; there are {}", parts.join(", "));
        }
    }
    let roar = match &args.roar {
        Some(roar) => roar.clone(),
        None => demo::build_roar()?,
    };
    let site = Site::make(&args.folder, &roar)?;
    for part in parts {
        if !args.only.is_empty() && !args.only.iter().any(|asked| asked == part) {
            continue;
        }
        console::heading(part);
        match part {
            SYSCALLS => syscalls::run(&site, args.rounds)?,
            UNPRIVILEGED => unprivileged::run(&site, args.rounds)?,
            HASHING => hashing::run(&site, args.rounds)?,
            name => {
                if let Some(workload) = workloads::find(name) {
                    workloads::run(&site, workload, args.rounds)?;
                }
            }
        }
    }
    if args.only.is_empty() {
        report::write()?;
    }
    Ok(())
}
