//! What an ordinary user pays: roar through seccomp, and strace of names, paired with bare runs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::measure::Sample;
use super::report::ratio_cell;
use super::results::{self, Part, Samples};
use super::site::{self, Site};
use super::statistics::Spread;
use super::tools::{self, BARE_USER, SECCOMP, STRACE_NAMES};
use super::workloads;
use crate::console;

/// Workloads, and what tracing may multiply their time by; none: no limit was set.
const LIMITS: [(&str, Option<f64>); 4] = [
    ("imports", Some(1.3)),
    ("spawn", Some(1.25)),
    ("cat", Some(1.7)),
    ("workers", None),
];

/// The samples of each workload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UnprivilegedResult {
    workloads: BTreeMap<String, Samples>,
}

/// Measures every workload and writes the samples down.
///
/// # Errors
/// The caller cannot become somebody else, or a command fails.
pub(super) fn run(site: &Site, rounds: u32) -> Result<()> {
    if !site::is_root() {
        console::line("skipped: only root can become an ordinary user");
        return Ok(());
    }
    let tools = tools::of_ordinary_users();
    let mut result = UnprivilegedResult {
        workloads: BTreeMap::new(),
    };
    for (name, _) in LIMITS {
        let workload = workloads::find(name).context("no such workload")?;
        let samples = workloads::measure(site, workload, &tools, rounds, None)?;
        result.workloads.insert(name.to_owned(), samples);
    }
    console::line(&table(&result));
    results::write(super::UNPRIVILEGED, rounds, &result)
}

/// The part of the page.
pub(super) fn section(part: &Part<UnprivilegedResult>) -> String {
    format!(
        "## Without root\n\n\
         An ordinary user, roar through seccomp in a project that was used before, each run beside a \
         bare one, wall clock. \"The command\" is its own time under roar, from its start to its end; \
         \"everything\" is from the command line to the prompt, with start-up, hashing and storing. \
         strace is `strace -f --seccomp-bpf` of names. No tracer is faster than none: what is \
         compared with it is the time that each adds to the bare run.\n\n{}\n",
        table(&part.result)
    )
}

fn table(result: &UnprivilegedResult) -> String {
    let mut lines = vec![
        "| workload | bare | limit | the command | everything | strace | added, of what strace adds: \
         the command | everything |\n|---|---|---|---|---|---|---|---|"
            .to_owned(),
    ];
    for (name, limit) in LIMITS {
        let Some(samples) = result.workloads.get(name) else {
            continue;
        };
        let compared = Compared(samples);
        let bare = samples.get(BARE_USER).into_iter().flatten().map(whole);
        let bare = Spread::of(bare).unwrap_or_default().median;
        lines.push(format!(
            "| {name} | {bare:.3} s | {} | {} | {} | {} | {} | {} |",
            limit.map_or_else(|| "–".to_owned(), |limit| format!("≤ {limit}")),
            ratio_cell(compared.ratio(SECCOMP, command)),
            ratio_cell(compared.ratio(SECCOMP, whole)),
            ratio_cell(compared.ratio(STRACE_NAMES, whole)),
            ratio_cell(compared.added(command)),
            ratio_cell(compared.added(whole)),
        ));
    }
    lines.join("\n")
}

/// From the command line to the prompt, seconds.
fn whole(sample: &Sample) -> f64 {
    sample.wall_s
}

/// The command's own time, seconds.
fn command(sample: &Sample) -> f64 {
    let own = sample.roar.as_ref().map(|roar| roar.command_s);
    own.unwrap_or(sample.wall_s)
}

/// Runs of the same round beside each other.
struct Compared<'a>(&'a Samples);

impl Compared<'_> {
    fn pairs(&self, tool: &str) -> impl Iterator<Item = (&Sample, &Sample)> {
        let of = |tool| self.0.get(tool).into_iter().flatten();
        of(tool).zip(of(BARE_USER))
    }

    fn ratio(&self, tool: &str, value: fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(
            self.pairs(tool)
                .map(|(traced, bare)| value(traced) / bare.wall_s),
        )
    }

    /// What roar adds to a bare run, as a part of what strace does.
    fn added(&self, value: fn(&Sample) -> f64) -> Option<Spread> {
        let above = |(traced, bare): (&Sample, &Sample)| value(traced) - bare.wall_s;
        let roar = self.pairs(SECCOMP).map(above);
        let strace = self.pairs(STRACE_NAMES).map(above);
        Spread::of(roar.zip(strace).map(|(roar, strace)| roar / strace))
    }
}
