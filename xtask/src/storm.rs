//! `cargo xtask storm`: how much roar takes before it loses anything.
//!
//! Eight processes make a million files in a file system in memory, as fast as they can, bare and
//! under roar with its default settings; ten times. Every file must be in the record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{console, demo, process, workspace};

const WRITERS: u32 = 8;

/// Measure what roar takes before it loses an event
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many storms
    #[arg(long, default_value_t = 10)]
    storms: u32,

    /// How many files a storm makes, about (5 KiB of memory each)
    #[arg(long, default_value_t = 1_000_000)]
    files: u32,

    /// How many processes beside the writers do nothing but run
    #[arg(long, default_value_t = 0)]
    load: u32,

    /// A folder of the file system to use
    #[arg(long, default_value = "/dev/shm")]
    folder: PathBuf,
}

/// What a job's record says, in so far as it matters here.
#[derive(Deserialize)]
struct Shown {
    duration_seconds: f64,
    outputs: Vec<IgnoredAny>,
    completeness: Completeness,
}

#[derive(Deserialize)]
struct Completeness {
    complete: bool,
    lost_events: serde_json::Map<String, serde_json::Value>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let storm = Storm::prepare(args)?;
    let events = storm.events_per_file()?;
    console::heading(&format!(
        "{} storms of {} files by {WRITERS} writers in {}, {} processes beside; \
         {events:.3} events a file",
        args.storms,
        storm.files(),
        args.folder.display(),
        args.load
    ));
    console::line("storm  recorded  lost  files/s bare  files/s traced  ratio");
    let mut ratios = Vec::new();
    for number in 1..=args.storms {
        let bare_s = storm.bare()?;
        let shown = storm.traced(storm.files_each, &[])?;
        let lost: u64 = shown
            .completeness
            .lost_events
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum();
        let ratio = shown.duration_seconds / bare_s;
        let files = f64::from(storm.files());
        console::line(&format!(
            "{number:5}  {:8}  {lost:4}  {:12.0}  {:14.0}  {ratio:5.2}",
            shown.outputs.len(),
            files / bare_s,
            files / shown.duration_seconds,
        ));
        ensure!(
            lost == 0
                && shown.completeness.complete
                && shown.outputs.len() == storm.files() as usize,
            "storm {number}: the record is not what the writers made"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    console::line(&format!(
        "nothing was lost; median ratio to bare {median:.2}"
    ));
    Ok(())
}

/// There as long as the load is to go on.
const LOAD: &str = "load";

/// Everything that a storm needs.
struct Storm {
    load: u32,
    roar: PathBuf,
    writers: PathBuf,
    files_each: u32,
    project: tempfile::TempDir,
}

impl Storm {
    fn prepare(args: &Args) -> Result<Self> {
        let roar = demo::build_roar()?;
        let writers = workspace::target().join("storm");
        let source = workspace::root().join("tests/workloads/process.c");
        process::run(
            Command::new("gcc")
                .args(["-std=gnu11", "-O2", "-pthread", "-o"])
                .args([&writers, &source]),
        )?;
        let project = tempfile::Builder::new()
            .prefix("roar-storm-")
            .tempdir_in(&args.folder)
            .with_context(|| format!("cannot use {}", args.folder.display()))?;
        let storm = Self {
            load: args.load,
            roar,
            writers,
            files_each: args.files / WRITERS,
            project,
        };
        process::quietly(
            storm
                .command(&storm.roar)
                .args(["init", "-n"])
                .stderr(Stdio::null()),
        )?;
        Ok(storm)
    }

    fn files(&self) -> u32 {
        self.files_each * WRITERS
    }

    /// A command in the project's folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.project.path());
        command
    }

    /// The writers' arguments.
    fn arguments(files_each: u32) -> [String; 4] {
        let [writers, files] = [WRITERS, files_each].map(|number| number.to_string());
        ["storm".to_owned(), writers, files, "made".to_owned()]
    }

    /// Runs the writers by themselves; tells the seconds.
    fn bare(&self) -> Result<f64> {
        let load = self.begin_load()?;
        let since = Instant::now();
        process::quietly(
            self.command(&self.writers)
                .args(Self::arguments(self.files_each)),
        )?;
        let seconds = since.elapsed().as_secs_f64();
        fs::remove_file(self.project.path().join(LOAD)).context("cannot end the load")?;
        end(load)?;
        self.clear()?;
        Ok(seconds)
    }

    /// Runs the writers under roar; reads the record.
    fn traced(&self, files_each: u32, environment: &[(&str, &Path)]) -> Result<Shown> {
        let load = self.begin_load()?;
        // The load ends with the writers: what roar does afterwards can lose nothing.
        process::quietly(
            self.command(&self.roar)
                .args(["run", "-q", "sh", "-c", "\"$0\" \"$@\" && rm load"])
                .arg(&self.writers)
                .args(Self::arguments(files_each))
                .envs(environment.iter().copied()),
        )?;
        end(load)?;
        self.clear()?;
        let newest = process::output(self.command(&self.roar).args(["log", "--json", "-n", "1"]))?;
        let newest: serde_json::Value = serde_json::from_str(&newest)?;
        let jobs = newest.as_array().or_else(|| newest["jobs"].as_array());
        let job = jobs.and_then(|jobs| jobs.first()?["job_uid"].as_str());
        let mut show = self
            .command(&self.roar)
            .args(["show", job.context("roar log names no job")?, "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start roar show")?;
        let answer = show.stdout.take().context("no answer of roar show")?;
        let shown = serde_json::from_reader(std::io::BufReader::new(answer))
            .context("cannot read the record")?;
        if !show.wait().context("cannot wait for roar show")?.success() {
            bail!("roar show failed");
        }
        Ok(shown)
    }

    /// How many events a file makes, by a small storm's event log.
    fn events_per_file(&self) -> Result<f64> {
        let log = self.project.path().join("events");
        let files_each = self.files_each.min(1000);
        self.traced(files_each, &[("ROAR_EVENT_LOG", &log)])?;
        let text = fs::read_to_string(&log).context("cannot read the event log")?;
        fs::remove_file(&log).context("cannot remove the event log")?;
        let lines = u32::try_from(text.lines().count()).context("too many events")?;
        Ok(f64::from(lines) / f64::from(files_each * WRITERS))
    }

    /// Starts processes that run until [`LOAD`] is gone.
    fn begin_load(&self) -> Result<Vec<Child>> {
        fs::write(self.project.path().join(LOAD), "").context("cannot begin the load")?;
        let script = "while [ -e load ]; do :; done";
        let start = |_| self.command(Path::new("sh")).args(["-c", script]).spawn();
        let load = (0..self.load).map(start).collect::<Result<_, _>>();
        load.context("cannot start the load")
    }

    fn clear(&self) -> Result<()> {
        fs::remove_dir_all(self.project.path().join("made")).context("cannot remove the files")
    }
}

/// Waits for the load, which is told to end.
fn end(load: Vec<Child>) -> Result<()> {
    for mut process in load {
        process.wait().context("cannot wait for the load")?;
    }
    Ok(())
}
