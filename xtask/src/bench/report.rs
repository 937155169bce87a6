//! BENCHMARKS.md: the measured part is made from `target/bench`, between two marks; what people
//! write around it stays.

use anyhow::Result;

use super::goals::{self, Goal, Of};
use super::hashing::HashingResult;
use super::measure::Sample;
use super::results::{self, Part, WorkloadResult};
use super::statistics::{Spread, geometric_mean};
use super::syscalls::SyscallsResult;
use super::tools::{self, BARE, EBPF, SECCOMP};
use super::unprivileged::{self, UnprivilegedResult};
use super::workloads::{self, TRUE};
use crate::page;

const MARKS: (&str, &str) = (
    "<!-- measured by cargo xtask bench -->",
    "<!-- end of what is measured -->",
);

/// Writes the measured part of the page.
///
/// # Errors
/// The page or the results cannot be read, or the page cannot be written.
pub(super) fn write() -> Result<()> {
    page::replace(MARKS, &Measured::read()?.page())
}

/// All that was written down.
struct Measured {
    workloads: Vec<(&'static str, Part<WorkloadResult>)>,
    syscalls: Option<Part<SyscallsResult>>,
    unprivileged: Option<Part<UnprivilegedResult>>,
    hashing: Option<Part<HashingResult>>,
}

impl Measured {
    fn read() -> Result<Self> {
        let mut found = Vec::new();
        for workload in &workloads::ALL {
            if let Some(part) = results::read(workload.name)? {
                found.push((workload.name, part));
            }
        }
        Ok(Self {
            workloads: found,
            syscalls: results::read(super::SYSCALLS)?,
            unprivileged: results::read(super::UNPRIVILEGED)?,
            hashing: results::read(super::HASHING)?,
        })
    }

    fn workload(&self, name: &str) -> Option<&WorkloadResult> {
        let found = self.workloads.iter().find(|(own, _)| *own == name)?;
        Some(&found.1.result)
    }

    /// The workloads that ratios are made of.
    fn long(&self) -> impl Iterator<Item = &(&'static str, Part<WorkloadResult>)> {
        self.workloads.iter().filter(|(name, _)| *name != TRUE)
    }

    fn mean(&self, tool: &str, value: fn(&Sample) -> f64) -> Option<f64> {
        let ratios: Option<Vec<f64>> = self
            .long()
            .map(|(_, part)| Some(part.result.ratio(tool, value)?.median))
            .collect();
        geometric_mean(ratios?)
    }

    fn page(&self) -> String {
        [
            self.circumstances(),
            self.goals(),
            self.table(
                "Processor time, tracing",
                "The whole tree and its tracer, to bare; of roar without what it does with the \
                 record afterwards (hashing, storing), which the next table has in it.",
                Sample::tracing_s,
            ),
            self.table(
                "Processor time, everything",
                "As above, with hashing and storing. strace and the like neither hash nor store.",
                |sample| sample.processor_s,
            ),
            self.table(
                "Wall clock, everything",
                "From the start of the command line to the prompt.",
                |sample| sample.wall_s,
            ),
            self.empty_run(),
            self.unprivileged
                .as_ref()
                .map(unprivileged::section)
                .unwrap_or_default(),
            self.system_calls(),
        ]
        .join("\n")
    }

    fn circumstances(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (name, part) in &self.workloads {
            lines.push(circumstances_of(part, name, &part.result.about));
        }
        let syscalls = self.syscalls.as_ref();
        lines
            .extend(syscalls.map(|part| circumstances_of(part, "syscalls", "single system calls")));
        let unprivileged = self.unprivileged.as_ref();
        let about = "what an ordinary user pays";
        lines.extend(unprivileged.map(|part| circumstances_of(part, "seccomp", about)));
        let hashing = self.hashing.as_ref();
        let about = "reading and hashing anew (`roar verify`), beside `b3sum`";
        lines.extend(hashing.map(|part| circumstances_of(part, "hashing", about)));
        format!(
            "## What was measured\n\n| part | what | rounds | machine, commit, date |\n\
             |---|---|---|---|\n{}\n",
            lines.join("\n")
        )
    }

    fn goals(&self) -> String {
        let rows: Vec<String> = goals::ALL.iter().map(|goal| self.goal_row(goal)).collect();
        format!(
            "## Goals\n\n| area | goal | floor | measured | |\n|---|---|---|---|---|\n{}\n",
            rows.join("\n")
        )
    }

    fn goal_row(&self, goal: &Goal) -> String {
        let digits = if goal.aim < 2.0 { 3 } else { 1 };
        let (measured, verdict) = match self.value(goal.of) {
            None => ("–".to_owned(), "not measured".to_owned()),
            Some(value) if value <= goal.aim => (format!("{value:.digits$}"), "met".to_owned()),
            Some(value) => {
                let missed = format!("goal missed by {:.digits$}", value - goal.aim);
                let verdict = if value <= goal.floor {
                    format!("above the floor; {missed}")
                } else {
                    format!("**below the floor**; {missed}")
                };
                (format!("{value:.digits$}"), verdict)
            }
        };
        format!(
            "| {} | ≤ {} | {} | {measured} | {verdict} |",
            goal.area, goal.aim, goal.floor
        )
    }

    fn value(&self, of: Of) -> Option<f64> {
        let empty = self.workload(TRUE);
        match of {
            Of::Ebpf(name) => Some(self.workload(name)?.ratio(EBPF, Sample::tracing_s)?.median),
            Of::EbpfMean => self.mean(EBPF, Sample::tracing_s),
            Of::SeccompMean => self.mean(SECCOMP, Sample::tracing_s),
            Of::Untraced => {
                let untraced = &self.syscalls.as_ref()?.result.untraced;
                untraced.values().map(|ns| ns.median).reduce(f64::max)
            }
            Of::Return => Some(empty?.of_roar(EBPF, |roar| roar.return_s)?.median * 1e3),
            Of::EmptyRun => Some(empty?.above(EBPF, |sample| sample.wall_s)?.median * 1e3),
            Of::HashingLarge => Some(self.hashing.as_ref()?.result.large.median),
            Of::HashingSmall => Some(self.hashing.as_ref()?.result.small.median),
            Of::Memory => [TRUE, "ml", "spawn", "make"]
                .iter()
                .filter_map(|name| {
                    let memory = self
                        .workload(name)?
                        .of_roar(EBPF, |roar| roar.memory_bytes as f64)?;
                    Some(memory.median / f64::from(1 << 20))
                })
                .reduce(f64::max),
        }
    }

    fn table(&self, title: &str, about: &str, value: fn(&Sample) -> f64) -> String {
        let tools: Vec<&'static str> = tools::all(true)
            .iter()
            .map(|tool| tool.name)
            .filter(|name| !name.starts_with(BARE))
            .collect();
        let mut rows = Vec::new();
        for (name, part) in self.long() {
            let result = &part.result;
            let bare = result.of(BARE, value).unwrap_or_default().median;
            let noise = result.noise(value);
            let ratios = tools.iter().map(|tool| match result.ratio(tool, value) {
                None if result.fails_under(tool) => "fails".to_owned(),
                ratio => ratio_cell(ratio),
            });
            rows.push(format!(
                "| {name} | {bare:.2} s | {} | {} |",
                ratio_cell(noise),
                ratios.collect::<Vec<_>>().join(" | ")
            ));
        }
        let means = tools.iter().map(|tool| {
            self.mean(tool, value)
                .map_or_else(|| "–".to_owned(), |mean| format!("**{mean:.3}**"))
        });
        rows.push(format!(
            "| **geometric mean** | | | {} |",
            means.collect::<Vec<_>>().join(" | ")
        ));
        format!(
            "## {title}\n\n{about}\n\n| workload | bare | bare again | {} |\n|---|---|---|{}\n{}\n",
            tools.join(" | "),
            "---|".repeat(tools.len()),
            rows.join("\n")
        )
    }

    fn empty_run(&self) -> String {
        let Some(result) = self.workload(TRUE) else {
            return String::new();
        };
        let mut rows = Vec::new();
        for tool in tools::all(true) {
            let Some(above) = result.above(tool.name, |sample| sample.wall_s) else {
                continue;
            };
            if tool.name.starts_with(BARE) {
                continue;
            }
            let own = |value| {
                let spread = result.of_roar(tool.name, value);
                spread.map_or_else(|| "–".to_owned(), milliseconds)
            };
            rows.push(format!(
                "| {} | {} | {} | {} |",
                tool.name,
                milliseconds(above),
                own(|roar| roar.startup_s),
                own(|roar| roar.return_s)
            ));
        }
        format!(
            "## A command that does nothing\n\nMilliseconds, median (quartiles). `true` itself takes \
             {}.\n\n| | above bare | until the command starts | from its end to the prompt |\n\
             |---|---|---|---|\n{}\n",
            milliseconds(result.of(BARE, |sample| sample.wall_s).unwrap_or_default()),
            rows.join("\n")
        )
    }

    fn system_calls(&self) -> String {
        let Some(part) = &self.syscalls else {
            return String::new();
        };
        let SyscallsResult {
            bare,
            untraced,
            traced,
        } = &part.result;
        let cell = |spread: Option<&Spread>| {
            spread.map_or_else(
                || "–".to_owned(),
                |ns| format!("{:.0} ({:.0}–{:.0})", ns.median, ns.low, ns.high),
            )
        };
        let rows: Vec<String> = bare
            .keys()
            .map(|call| {
                format!(
                    "| {call} | {} | {} | {} |",
                    cell(bare.get(call)),
                    cell(untraced.get(call)),
                    cell(traced.get(call))
                )
            })
            .collect();
        format!(
            "## Single system calls\n\nNanoseconds, median (quartiles): of a bare call, and how much \
             more in a process that is not traced while another is, and in one that is. Two calls \
             where two are named.\n\n| call | bare | untraced, meanwhile | traced |\n\
             |---|---|---|---|\n{}\n",
            rows.join("\n")
        )
    }
}

fn circumstances_of<T>(part: &Part<T>, name: &str, about: &str) -> String {
    let Part {
        rounds,
        machine,
        commit,
        date,
        result: _,
    } = part;
    format!("| {name} | {about} | {rounds} | {machine}, commit {commit}, {date} |")
}

pub(super) fn ratio_cell(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |spread| {
            format!(
                "{:.3} ({:.3}–{:.3})",
                spread.median, spread.low, spread.high
            )
        },
    )
}

fn milliseconds(seconds: Spread) -> String {
    let Spread { low, median, high } = seconds;
    format!("{:.1} ({:.1}–{:.1})", median * 1e3, low * 1e3, high * 1e3)
}
