//! What CI has time for: a few workloads and limits that only a real regression passes.
//!
//! Processor time only, as a ratio to bare runs in between and in milliseconds of an empty run, the
//! lower quartile of a few: a busy machine makes neither much worse.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::measure::Sample;
use super::site::Site;
use super::tools::{self, EBPF};
use super::workloads::{self, Size, TRUE};
use crate::{console, demo, process};

/// Workloads, and what tracing may multiply their processor time by.
const LIMITS: [(&str, f64); 3] = [("spawn", 3.0), ("untar", 4.0), ("dd", 4.0)];

/// Processor time that an empty run may take beyond a bare one, milliseconds.
const EMPTY_RUN_MS: f64 = 200.0;

const ROUNDS: u32 = 5;

/// # Errors
/// A limit is passed, or eBPF is to be had (`ROAR_REQUIRE_BPF=1`) and is not.
pub(crate) fn run() -> Result<()> {
    let roar = demo::build_roar()?;
    let site = Site::make(Path::new("/dev/shm"), &roar)?;
    let tools: Vec<_> = tools::all(false)
        .into_iter()
        .filter(|tool| [tools::BARE, EBPF].contains(&tool.name))
        .collect();
    site.fresh(super::site::User::Caller)?;
    site.init(super::site::User::Caller)?;
    let mut probe = site.command(super::site::User::Caller, site.roar());
    if !process::succeeds(probe.args(["run", "-q", "--tracer", "ebpf", "true"])) {
        if std::env::var_os("ROAR_REQUIRE_BPF").is_some_and(|value| value == "1") {
            bail!("eBPF does not work here");
        }
        console::line("skipped: eBPF does not work here");
        return Ok(());
    }
    console::heading("what roar costs");
    let mut failed = Vec::new();
    let mut judge = |name: &str, value: f64, limit: f64, unit: &str| {
        console::line(&format!(
            "{name:12} {value:7.2}{unit} (limit {limit}{unit})"
        ));
        if value > limit {
            failed.push(name.to_owned());
        }
    };
    for (name, limit) in LIMITS {
        let workload = workloads::find(name).context("no such workload")?;
        let samples = workloads::measure(&site, workload, &tools, ROUNDS, Some(Size::Quick))?;
        let result = super::results::WorkloadResult::of_samples(workload, samples);
        let ratio = result.ratio(EBPF, Sample::tracing_s).context("no ratio")?;
        judge(name, ratio.low, limit, "");
    }
    let workload = workloads::find(TRUE).context("no such workload")?;
    let samples = workloads::measure(&site, workload, &tools, 4 * ROUNDS, None)?;
    let result = super::results::WorkloadResult::of_samples(workload, samples);
    let above = result
        .above(EBPF, |sample| sample.processor_s)
        .context("no difference")?;
    judge("empty run", above.low * 1e3, EMPTY_RUN_MS, " ms");
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("slower than it may be: {}", failed.join(", "))
    }
}
