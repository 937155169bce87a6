//! The workloads: what people run, and the worst cases of a tracer.

mod fixtures;

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::Result;

use super::measure::{Sample, sample};
use super::results::{self, Samples, WorkloadResult};
use super::site::{self, Site};
use super::tools::{self, BARE, Tool};
use crate::console;

/// Something to run.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// One line for the page.
    pub(super) about: &'static str,
    /// Makes what it reads, below the fixtures.
    prepare: fn(&Site) -> Result<()>,
    /// Fills the work folder before each run, untimed.
    arrange: fn(&Site) -> Result<()>,
    /// The command line; of the whole work or of a part of it.
    words: fn(&Site, Size) -> Vec<OsString>,
}

/// The command that does nothing: its results are differences, not ratios.
pub(super) const TRUE: &str = "true";

/// Rounds of tools whose ratios are so large that more of them tell nothing.
const SLOW_ROUNDS: u32 = 3;

/// How much of the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Whole,
    /// What slow tracers get.
    Part,
    /// What CI has time for.
    Quick,
}

pub(super) static ALL: [Workload; 9] = [
    Workload {
        name: TRUE,
        about: "/bin/true: what roar adds to a command that does nothing",
        prepare: |_| Ok(()),
        arrange: |_| Ok(()),
        words: |_, _| words(&["/bin/true"]),
    },
    Workload {
        name: "ml",
        about: "a pipeline in Python: pandas writes and reads CSV, Parquet and pickle, numpy trains",
        prepare: fixtures::pipeline,
        arrange: |_| Ok(()),
        words: |site, _| fixtures::python_words(site, "pipeline.py"),
    },
    Workload {
        name: "make",
        about: "`make -j2` of 100 C files",
        prepare: fixtures::sources,
        arrange: fixtures::copy_sources,
        words: |_, _| words(&["make", "-s", "-j2"]),
    },
    Workload {
        name: "spawn",
        about: "1,000 × /bin/true by a shell",
        prepare: |_| Ok(()),
        arrange: |_| Ok(()),
        words: |_, size| {
            let count = if size == Size::Quick { 300 } else { 1000 };
            let script = "i=0; while [ $i -lt $0 ]; do /bin/true; i=$((i+1)); done";
            words(&["/bin/sh", "-c", script, &count.to_string()])
        },
    },
    Workload {
        name: "git",
        about: "`git clone` of 8,000 files and `git status`",
        prepare: fixtures::repository,
        arrange: |_| Ok(()),
        words: |site, _| {
            let source = site.fixtures().join("repository.git");
            let script = "git clone -q --no-hardlinks \"$0\" clone && git -C clone status -s";
            let mut command = words(&["/bin/sh", "-c", script]);
            command.push(source.into());
            command
        },
    },
    Workload {
        name: "workers",
        about: "8 Python workers that read and unpack 4,000 small files, five times over",
        prepare: fixtures::samples,
        arrange: |_| Ok(()),
        words: |site, _| fixtures::python_words(site, "workers.py"),
    },
    Workload {
        name: "untar",
        about: "`tar` unpacks 20,000 files of 1 KiB",
        prepare: fixtures::archives,
        arrange: |_| Ok(()),
        words: |site, size| {
            let name = if size == Size::Quick {
                "4000.tar"
            } else {
                "20000.tar"
            };
            let mut command = words(&["/bin/tar", "-xf"]);
            command.push(site.fixtures().join(name).into());
            command
        },
    },
    Workload {
        name: "dd",
        about: "`dd bs=64`: two million reads and as many writes of 64 bytes (a twentieth for ptrace)",
        prepare: fixtures::blob,
        arrange: |_| Ok(()),
        words: |site, size| {
            let count = match size {
                Size::Whole => 2_000_000,
                Size::Part => 100_000,
                Size::Quick => 1_000_000,
            };
            let blob = site.fixtures().join("blob");
            let from = format!("if={}", blob.display());
            let count = format!("count={count}");
            words(&["/bin/dd", &from, "of=copy", "bs=64", &count, "status=none"])
        },
    },
    Workload {
        name: "checkpoint",
        about: "1 GiB written in blocks of 1 MiB",
        prepare: |_| Ok(()),
        arrange: |_| Ok(()),
        words: |_, _| {
            words(&[
                "/bin/dd",
                "if=/dev/zero",
                "of=checkpoint",
                "bs=1M",
                "count=1024",
                "status=none",
            ])
        },
    },
];

/// What an ordinary user's tracer is judged by, besides others of the workloads.
pub(super) static OPENS: [Workload; 2] = [
    Workload {
        name: "imports",
        about: "a Python that imports 25 modules of its library",
        prepare: |_| Ok(()),
        arrange: |_| Ok(()),
        words: |_, _| words(&["/usr/bin/python3", "-c", IMPORTS]),
    },
    Workload {
        name: "cat",
        about: "`cat` of 10,000 small files of one folder",
        prepare: fixtures::small_files,
        arrange: |_| Ok(()),
        words: |site, _| {
            let folder = fixtures::small_files_folder(site);
            let mut command = words(&["/bin/sh", "-c", "exec cat \"$0\"/*"]);
            command.push(folder.into());
            command
        },
    },
];

const IMPORTS: &str = "import argparse, asyncio, collections, concurrent.futures, csv, ctypes, \
    dataclasses, datetime, decimal, email, hashlib, http.client, json, logging, multiprocessing, \
    pathlib, random, sqlite3, subprocess, tempfile, unittest, urllib.request, \
    xml.etree.ElementTree, zipfile, zoneinfo";

/// The workload of that name.
pub(super) fn find(name: &str) -> Option<&'static Workload> {
    let mut all = ALL.iter().chain(&OPENS);
    all.find(|workload| workload.name == name)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Measures the workload under every tool and writes the samples down.
///
/// # Errors
/// A command fails, or the results cannot be written.
pub(super) fn run(site: &Site, workload: &Workload, rounds: u32) -> Result<()> {
    let tools = tools::all(site::is_root());
    // It is short, and its milliseconds are what is asked for.
    let rounds = if workload.name == TRUE {
        rounds * 4
    } else {
        rounds
    };
    let samples = measure(site, workload, &tools, rounds, None)?;
    let result = WorkloadResult::of_samples(workload, samples);
    console::line(&result.summary());
    results::write(workload.name, rounds, &result)
}

/// Runs the workload under the tools in turn, bare twice a round, as often as asked. Another's
/// tracer under which the command fails is left out from then on, and has no samples.
///
/// # Errors
/// A command fails, bare or under roar.
pub(super) fn measure(
    site: &Site,
    workload: &Workload,
    tools: &[Tool],
    rounds: u32,
    size: Option<Size>,
) -> Result<Samples> {
    (workload.prepare)(site)?;
    let mut order: Vec<&Tool> = tools.iter().collect();
    // The second bare run of a round comes last, so that the two enclose the others.
    order.extend(tools.iter().filter(|tool| tool.name == BARE));
    let mut samples: Samples = BTreeMap::new();
    // The first round fills caches and does not count.
    for round in 0..=rounds {
        for tool in &order {
            let has_failed = samples.get(tool.name).is_some_and(Vec::is_empty);
            if has_failed || (tool.is_slow && round > SLOW_ROUNDS) {
                continue;
            }
            let of_slow = if tool.is_slow {
                Size::Part
            } else {
                Size::Whole
            };
            let sample = match once(site, workload, tool, size.unwrap_or(of_slow)) {
                Ok(sample) => sample,
                Err(error) if tool.is_other() => {
                    console::line(&format!("left out, it fails: {}: {error:#}", tool.name));
                    samples.insert(tool.name.to_owned(), Vec::new());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if round > 0 {
                samples
                    .entry(tool.name.to_owned())
                    .or_default()
                    .push(sample);
            }
        }
        order.reverse();
    }
    Ok(samples)
}

fn once(site: &Site, workload: &Workload, tool: &Tool, size: Size) -> Result<Sample> {
    site.fresh(tool.user)?;
    if tool.is_roar() {
        site.init(tool.user)?;
    }
    if tool.is_roar() && tool.knows_project {
        let before = tool.command(site, &words(&["/bin/true"]), &site.work().join(".before"));
        sample(&mut { before }, None)?;
    }
    (workload.arrange)(site)?;
    let timings = site.work().join(".timings");
    let words = (workload.words)(site, size);
    let mut command = tool.command(site, &words, &timings);
    sample(&mut command, tool.is_roar().then_some(timings.as_path()))
}
