//! One command from its start to its end: wall clock and processor time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What a command took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    /// From before its start until it was waited for, seconds.
    pub(super) wall_s: f64,
    /// User and system time of everything that it started and waited for, its tracer included,
    /// seconds.
    pub(super) processor_s: f64,
    /// What roar says of itself; none of other commands.
    pub(super) roar: Option<RoarSample>,
}

/// A run of roar, taken apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RoarSample {
    /// Of the processor time, what was spent on hashing beside the command, and after the last
    /// event was known: looking at files, hashing, storing. Seconds.
    pub(super) recording_s: f64,
    /// From the command's start to its end, seconds.
    pub(super) command_s: f64,
    /// From the command's end until roar had ended, seconds.
    pub(super) return_s: f64,
    /// From roar's first instruction until it starts the command, seconds.
    pub(super) startup_s: f64,
    /// The most memory that roar had in use, bytes.
    pub(super) memory_bytes: u64,
}

impl Sample {
    /// Processor time without what roar does with the record afterwards, seconds.
    pub(super) fn tracing_s(&self) -> f64 {
        let recording_s = self.roar.as_ref().map_or(0.0, |roar| roar.recording_s);
        self.processor_s - recording_s
    }
}

/// `ROAR_TIMINGS`, in so far as it matters here.
#[derive(Deserialize)]
struct Timings {
    moments: Vec<Moment>,
    memory_bytes: u64,
}

#[derive(Deserialize)]
struct Moment {
    name: String,
    at_ns: u64,
    processor_ns: u64,
    /// An earlier roar did not tell.
    #[serde(default)]
    hashing_ns: u64,
}

/// Runs the command, its output thrown away, and demands success. A roar writes its timings to
/// the file.
///
/// # Errors
/// It cannot be started, or it fails.
pub(super) fn sample(command: &mut Command, timings: Option<&Path>) -> Result<Sample> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let errors = timings.map_or_else(
        || PathBuf::from("/dev/null"),
        |file| file.with_extension("errors"),
    );
    let stderr = std::fs::File::create(&errors).context("cannot make a file for messages")?;
    command.stderr(stderr);
    let (processor, start) = (processor_s()?, monotonic_s()?);
    let status = command.status().context("the command cannot be started")?;
    let end = monotonic_s()?;
    let processor_s = processor_s()? - processor;
    if !status.success() {
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        bail!("{command:?} failed: {status}\n{said}");
    }
    let roar = timings.map(|file| apart(file, end)).transpose()?;
    Ok(Sample {
        wall_s: end - start,
        processor_s,
        roar,
    })
}

fn apart(file: &Path, end_s: f64) -> Result<RoarSample> {
    let text = std::fs::read(file).context("roar wrote no timings")?;
    let timings: Timings = serde_json::from_slice(&text).context("timings of another form")?;
    let moment = |name: &str| {
        let moment = timings.moments.iter().find(|moment| moment.name == name);
        moment.with_context(|| format!("no moment '{name}' in roar's timings"))
    };
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (ended, traced) = (moment("command ended")?, moment("traced")?);
    let (begin, launch, last) = (moment("begin")?, moment("launch")?, moment("recorded")?);
    Ok(RoarSample {
        recording_s: seconds(last.processor_ns - traced.processor_ns + traced.hashing_ns),
        command_s: seconds(ended.at_ns - launch.at_ns),
        return_s: end_s - seconds(ended.at_ns),
        startup_s: seconds(launch.at_ns - begin.at_ns),
        memory_bytes: timings.memory_bytes,
    })
}

/// User and system time of all children that were waited for.
fn processor_s() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The clock that roar's timings use, too.
pub(super) fn monotonic_s() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).context("clock_gettime")?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}
