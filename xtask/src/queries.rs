//! `cargo xtask queries`: how long every question takes on a large record.
//!
//! Makes a database of 100,000 jobs and over a million artifacts (once; it is kept in the target
//! folder) and times each command from its start to its end, as a user waits for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{console, process, workspace};

/// Time every query on a database of 100,000 jobs and a million artifacts
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sessions
    #[arg(long, default_value_t = 100)]
    sessions: u64,
    /// Steps of each session
    #[arg(long, default_value_t = 1000)]
    steps: u64,
    /// Executions of each step
    #[arg(long, default_value_t = 1)]
    executions: u64,
    /// Fail when a query's median takes longer, in milliseconds
    #[arg(long)]
    limit: Option<u64>,
}

/// Odd, so that the median is one of them.
const RUNS: usize = 15;

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut build = workspace::cargo();
    // Of the whole workspace, as everywhere: of one package alone cargo would build it with other features.
    build.args(["build", "--release", "--workspace", "--bin", "roar"]);
    process::run(build.args(["--example", "make_database"]))?;
    let folder = make(args)?;
    let roar = workspace::target().join("release/roar");
    let artifact = artifact(&roar, &folder, args.steps / 2)?;

    console::heading("milliseconds from start to end: median, longest");
    let step = format!("@{}", args.steps / 2);
    let questions: [&[&str]; 24] = [
        &["--version"],
        &["log"],
        &["log", "--all"],
        &["log", "--failed"],
        &["log", "--grep", "--seed 4242 "],
        &["log", "--all", "--grep", "no such text"],
        &["log", "--all", "--since", "1d"],
        &["show"],
        &["show", &step],
        &["show", &artifact],
        &["status"],
        &["dag"],
        &["dag", "--json"],
        &["dag", "--show-artifacts"],
        &["dag", "--expanded"],
        &["dag", "--svg"],
        &["dag", "--html"],
        &["dag", "--dot"],
        &["verify"],
        &["pop", "--dry-run"],
        &["lineage", &artifact],
        &["why", &artifact],
        &["diff", "@1", &step],
        &["rerun", "--stale", "-n"],
    ];
    let mut slow = Vec::new();
    for question in questions {
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| time(&roar, &folder, question))
            .collect::<Result<_>>()?;
        times.sort_unstable();
        let (median, longest) = (times[RUNS / 2], times[RUNS - 1]);
        let shown = question.join(" ");
        console::line(&format!(
            "{:8.1} {:8.1}  roar {shown}",
            median.as_secs_f64() * 1e3,
            longest.as_secs_f64() * 1e3
        ));
        if args
            .limit
            .is_some_and(|limit| median > Duration::from_millis(limit))
        {
            slow.push(shown);
        }
    }
    if !slow.is_empty() {
        bail!("over the limit: {}", slow.join("; "));
    }
    Ok(())
}

/// The project of that size, made if it is not there yet.
fn make(args: &Args) -> Result<PathBuf> {
    let numbers = [args.sessions, args.steps, args.executions].map(|number| number.to_string());
    let folder = workspace::target().join(format!("queries-{}", numbers.join("-")));
    // Made where it stays: the record holds the files' whole paths.
    let made = folder.with_extension("made");
    if made.exists() {
        return Ok(folder);
    }
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).context("cannot remove an unfinished database")?;
    }
    let mut make = Command::new(workspace::target().join("release/examples/make_database"));
    process::run(make.arg(&folder).args(&numbers))?;
    std::fs::write(&made, "").context("cannot note that the database is made")?;
    Ok(folder)
}

/// The hash of an output of a step.
fn artifact(roar: &Path, folder: &Path, step: u64) -> Result<String> {
    let mut show = Command::new(roar);
    show.args(["show", &format!("@{step}"), "--json"]);
    let text = process::output(show.current_dir(folder))?;
    let job: serde_json::Value = serde_json::from_str(&text).context("not JSON")?;
    let hash = job["outputs"][0]["hash"].as_str();
    Ok(hash.context("the step has no output")?.to_owned())
}

fn time(roar: &Path, folder: &Path, question: &[&str]) -> Result<Duration> {
    let mut command = Command::new(roar);
    command.args(question).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().context("roar cannot be started")?;
    let taken = start.elapsed();
    if !status.success() {
        bail!("roar {} failed", question.join(" "));
    }
    Ok(taken)
}
