//! What was measured, as it lies in `target/bench`, and what is concluded from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::measure::{RoarSample, Sample};
use super::statistics::Spread;
use super::tools::{self, BARE};
use super::workloads::Workload;
use crate::{process, workspace};

/// The samples of each tool, by round; two a round of the bare runs.
pub(super) type Samples = BTreeMap<String, Vec<Sample>>;

/// A part's results and the circumstances.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part<T> {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) result: T,
}

/// A workload under every tool.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkloadResult {
    pub(super) about: String,
    pub(super) samples: Samples,
}

impl WorkloadResult {
    /// What was measured of a workload.
    pub(super) fn of_samples(workload: &Workload, samples: Samples) -> Self {
        let about = workload.about.to_owned();
        Self { about, samples }
    }

    /// Whether the command fails under a tool, which therefore has no figures.
    pub(super) fn fails_under(&self, tool: &str) -> bool {
        self.samples.get(tool).is_some_and(Vec::is_empty)
    }

    /// How a tool's value relates to that of the bare runs of the same round.
    pub(super) fn ratio(&self, tool: &str, value: fn(&Sample) -> f64) -> Option<Spread> {
        self.beside_bare(tool, value, |traced, bare| traced / bare)
    }

    /// By how much a tool's value is above that of the bare runs of the same round.
    pub(super) fn above(&self, tool: &str, value: fn(&Sample) -> f64) -> Option<Spread> {
        self.beside_bare(tool, value, |traced, bare| traced - bare)
    }

    fn beside_bare(
        &self,
        tool: &str,
        value: fn(&Sample) -> f64,
        compared: fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let traced = self.samples.get(tool)?;
        let bare = self.samples.get(tools::bare_beside(tool))?;
        let each_round = bare.len() / traced.len().max(1);
        let bare = bare.chunks(each_round.max(1));
        Spread::of(traced.iter().zip(bare).map(|(traced, bare)| {
            let mean = bare.iter().map(value).sum::<f64>() / bare.len() as f64;
            compared(value(traced), mean)
        }))
    }

    /// The spread of the bare runs among themselves: the second of each round to the first.
    pub(super) fn noise(&self, value: fn(&Sample) -> f64) -> Option<Spread> {
        let bare = self.samples.get(BARE)?;
        let pairs = bare.chunks_exact(2);
        Spread::of(pairs.map(|pair| value(&pair[1]) / value(&pair[0])))
    }

    /// A value of a tool.
    pub(super) fn of(&self, tool: &str, value: fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.get(tool)?.iter().map(value))
    }

    /// A value of roar's own.
    pub(super) fn of_roar(&self, tool: &str, value: fn(&RoarSample) -> f64) -> Option<Spread> {
        let samples = self.samples.get(tool)?;
        Spread::of(samples.iter().filter_map(|s| s.roar.as_ref()).map(value))
    }

    /// The ratios, for the terminal.
    pub(super) fn summary(&self) -> String {
        let mut lines = vec![format!(
            "{:42} {:>8} {:>8} {:>8}",
            "", "tracing", "CPU", "wall"
        )];
        for tool in self.samples.keys() {
            let shown = |spread: Option<Spread>| {
                spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.3}", spread.median))
            };
            lines.push(format!(
                "{tool:42} {:>8} {:>8} {:>8}   {:.1} ms wall, {:.1} ms CPU",
                shown(self.ratio(tool, Sample::tracing_s)),
                shown(self.ratio(tool, |sample| sample.processor_s)),
                shown(self.ratio(tool, |sample| sample.wall_s)),
                self.of(tool, |s| s.wall_s).unwrap_or_default().median * 1e3,
                self.of(tool, |s| s.processor_s).unwrap_or_default().median * 1e3,
            ));
        }
        lines.join("\n")
    }
}

fn folder() -> PathBuf {
    workspace::target().join("bench")
}

/// Writes a part's results down, in place of older ones.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(part: &str, rounds: u32, result: &impl Serialize) -> Result<()> {
    let part_result = Part {
        date: said(Command::new("date").args(["-u", "+%F %H:%M UTC"])),
        commit: said(
            Command::new("git")
                .args(["describe", "--always", "--dirty"])
                .current_dir(workspace::root()),
        ),
        machine: machine(),
        rounds,
        result,
    };
    fs::create_dir_all(folder()).context("cannot make target/bench")?;
    let text = serde_json::to_string_pretty(&part_result).context("cannot write JSON")?;
    fs::write(folder().join(part).with_extension("json"), text).context("cannot write the results")
}

/// What was written down of a part; none when it was not measured.
///
/// # Errors
/// The file is of another form.
pub(crate) fn read<T: DeserializeOwned>(part: &str) -> Result<Option<Part<T>>> {
    let path = folder().join(part).with_extension("json");
    let Ok(text) = fs::read(&path) else {
        return Ok(None);
    };
    let read = serde_json::from_slice(&text);
    read.map(Some)
        .with_context(|| format!("{} is of another form", path.display()))
}

fn said(command: &mut Command) -> String {
    process::output(command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The machine in one line.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let mut models = cpu.lines().filter_map(|line| {
        line.strip_prefix("model name")
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
    });
    let model = models.next().unwrap_or("unknown processor").to_owned();
    let memory_kib = read("/proc/meminfo")
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default();
    let virtual_machine = if cpu.contains(" hypervisor") {
        ", virtual machine"
    } else {
        ""
    };
    format!(
        "Linux {}, {} × {model}, {} GiB{virtual_machine}",
        read("/proc/sys/kernel/osrelease").trim(),
        cpu.matches("processor\t").count(),
        memory_kib >> 20,
    )
}
