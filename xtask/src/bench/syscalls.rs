//! What a single system call costs: of a process that is traced, and of one that is not while
//! somebody else's is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::measure::monotonic_s;
use super::results;
use super::site::{Site, User};
use super::statistics::Spread;
use crate::console;

/// How often each call is made in a measurement.
const CALLS: u32 = 100_000;

/// Nanoseconds a call, by the call's name.
type Times = BTreeMap<String, f64>;

/// By the call's name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SyscallsResult {
    /// Nanoseconds of a bare call.
    pub(super) bare: BTreeMap<String, Spread>,
    /// Nanoseconds more while another process is traced by roar.
    pub(super) untraced: BTreeMap<String, Spread>,
    /// Nanoseconds more under roar.
    pub(super) traced: BTreeMap<String, Spread>,
}

/// Measures bare, beside a run and inside one, in turn.
///
/// # Errors
/// A command fails.
pub(super) fn run(site: &Site, rounds: u32) -> Result<()> {
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        site.fresh(User::Caller)?;
        site.init(User::Caller)?;
        let before = apart(&mut timer(site)?)?;
        let beside = beside_a_run(site)?;
        let mut inside = site.command(User::Caller, site.roar());
        inside.args(["run", "-q", "--tracer", "ebpf"]);
        inside.arg(timer(site)?.get_program());
        inside.args(timer(site)?.get_args());
        let inside = apart(&mut inside)?;
        let after = apart(&mut timer(site)?)?;
        if round == 0 {
            continue;
        }
        let bare: Times = before
            .iter()
            .map(|(call, ns)| (call.clone(), (ns + after[call]) / 2.0))
            .collect();
        let more = |times: &Times| -> Times {
            let more = bare
                .iter()
                .map(|(call, ns)| (call.clone(), times[call] - ns));
            more.collect()
        };
        rows[1].push(more(&beside));
        rows[2].push(more(&inside));
        rows[0].push(bare);
    }
    let [bare, untraced, traced] = rows.map(|rows| spreads(&rows));
    let result = SyscallsResult {
        bare,
        untraced,
        traced,
    };
    console::line("ns a call: bare, more while another process is traced, more when traced");
    for (call, bare) in &result.bare {
        console::line(&format!(
            "{call:24} {:8.0} {:8.0} {:8.0}",
            bare.median, result.untraced[call].median, result.traced[call].median
        ));
    }
    results::write(super::SYSCALLS, rounds, &result)
}

/// This program, timing itself.
fn timer(site: &Site) -> Result<Command> {
    let own = std::env::current_exe().context("this program's own path")?;
    let mut command = site.command(User::Caller, own);
    command.args(["bench", "--time-syscalls", &CALLS.to_string()]);
    Ok(command)
}

fn apart(command: &mut Command) -> Result<Times> {
    let output = command.stderr(Stdio::null()).output();
    let output = output.context("the timer cannot be started")?;
    ensure!(output.status.success(), "{command:?} failed");
    serde_json::from_slice(&output.stdout).context("the timer said something else")
}

/// Times while roar traces a process that sleeps.
fn beside_a_run(site: &Site) -> Result<Times> {
    let mut traced = site.command(User::Caller, site.roar());
    traced.args(["run", "-q", "--tracer", "ebpf", "/bin/cat"]);
    let mut traced = traced
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("roar cannot be started")?;
    // Once it answers, it is traced.
    let mut input = traced.stdin.take().context("no input")?;
    let mut output = traced.stdout.take().context("no output")?;
    input
        .write_all(b"!")
        .context("the traced process is gone")?;
    output
        .read_exact(&mut [0])
        .context("the traced process is gone")?;
    let times = apart(&mut timer(site)?);
    drop(input);
    ensure!(
        traced.wait().context("roar is gone")?.success(),
        "roar failed"
    );
    times
}

fn spreads(rows: &[Times]) -> BTreeMap<String, Spread> {
    let calls = rows.first().into_iter().flat_map(Times::keys);
    calls
        .filter_map(|call| {
            let spread = Spread::of(rows.iter().filter_map(|row| row.get(call).copied()))?;
            Some((call.clone(), spread))
        })
        .collect()
}

/// Times the calls in this process; writes nanoseconds a call as JSON.
///
/// # Errors
/// A call fails.
pub(super) fn time(count: u32) -> Result<()> {
    let path = format!("timed-{}", std::process::id());
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let file = file.context("cannot make a file here")?;
    file.write_all_at(&[1; 4096], 0).context("cannot write")?;
    let mut buffer = [0; 64];
    let mut times = Times::new();
    let mut timed = |call: &str, body: &mut dyn FnMut() -> std::io::Result<()>| -> Result<()> {
        body().context("a call failed")?;
        let start = monotonic_s()?;
        for _ in 0..count {
            body().context("a call failed")?;
        }
        let ns = (monotonic_s()? - start) * 1e9 / f64::from(count);
        times.insert(call.to_owned(), ns);
        Ok(())
    };
    timed("getppid", &mut || {
        black_box(nix::unistd::getppid());
        Ok(())
    })?;
    timed("pread of 64 bytes", &mut || {
        file.read_at(&mut buffer, 0).map(drop)
    })?;
    timed("pwrite of 64 bytes", &mut || {
        file.write_at(&[2; 64], 0).map(drop)
    })?;
    timed("stat", &mut || fs::symlink_metadata(&path).map(drop))?;
    timed("open and close", &mut || File::open(&path).map(drop))?;
    timed("create and unlink", &mut || {
        let other = "timed-other";
        File::create(other)?;
        fs::remove_file(other)
    })?;
    drop(file);
    fs::remove_file(&path).context("cannot remove the file")?;
    console::line(&serde_json::to_string(&times).context("cannot write JSON")?);
    Ok(())
}
