//! One job: its record for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::conditions::{
    git_line, gpu_lines, launch_lines, network_lines, redactions_line, software_lines,
    source_lines, tracker_lines, untracked_line, variables_line,
};
use super::dag::{reference, state_style};
use super::table::{Cell, Column, Table};
use super::{Style, Terminal, human, inert, paths, shell};
use crate::lineage::StepState;
use crate::model::{
    Completeness, Conditions, FileRecord, FilteredRecord, Gap, HostFacts, JobKind, JobState,
    Outcome, StoredJob,
};
use crate::store::{JobCollection, JobSummary};

/// A job as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct JobView<'a> {
    /// The record.
    pub job: &'a StoredJob,
    /// Its collections.
    pub collections: &'a [JobCollection],
    /// The other jobs of the launch that it is a part of.
    pub parts: &'a [JobSummary],
    /// The absolute folder of the project.
    pub project_root: &'a Path,
    /// The state of its step; none where nobody asked.
    pub state: Option<StepState>,
    /// With the accesses that filters kept out.
    pub all: bool,
}

/// How a command ended, in few words.
pub fn ending(state: JobState, outcome: Outcome) -> (String, Style) {
    if state == JobState::Lost {
        return ("lost".to_owned(), Style::Bad);
    }
    let (mut text, mut style) = match (outcome.exit_code, outcome.signal) {
        (_, Some(signal)) => (signal_name(signal), Style::Bad),
        (Some(0), None) => ("ok".to_owned(), Style::Good),
        (Some(code), None) => (format!("exit {code}"), Style::Bad),
        (None, None) => ("unknown".to_owned(), Style::Warning),
    };
    if outcome.interrupted {
        text = if outcome.exit_code == Some(0) {
            "interrupted".to_owned()
        } else {
            format!("interrupted, {text}")
        };
        style = Style::Warning;
    }
    (text, style)
}

fn signal_name(signal: i32) -> String {
    // Numbers of Linux, the system that jobs are recorded on.
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

impl JobView<'_> {
    /// The record for people.
    pub fn text(&self, cwd: &Path, now_ns: i64, terminal: Terminal) -> String {
        let record = &self.job.record;
        let mut text = self.heading();
        let mut facts = Facts::default();
        facts.add(
            "command",
            shell::join(&record.argv).replace('\n', "\n             "),
        );
        if let Some(name) = &record.name {
            facts.add("name", inert(name));
        }
        facts.add("folder", record.cwd.to_string());
        facts.add(
            "started",
            human::moment_and_age(record.started_at_ns, now_ns),
        );
        if let Some(duration_ns) = record.duration_ns {
            facts.add("duration", human::duration(duration_ns));
        }
        let (ending, style) = ending(record.state, record.outcome);
        facts.styled("ended", ending, style);
        if let Some(git) = &record.git {
            facts.add("git", git_line(git));
            if !git.untracked.is_empty() {
                facts.add("code", untracked_line(git));
            }
        }
        facts.add("machine", host_line(&record.host));
        let Conditions {
            gpu_use,
            environment,
            redactions,
            software,
            launch,
            network,
            sources,
            trackers,
        } = &record.conditions;
        for (label, line) in gpu_lines(&record.host, gpu_use) {
            facts.add(label, line);
        }
        if let Some(launch) = launch {
            facts.add(
                "launch",
                launch_lines(launch, self.parts).join("\n             "),
            );
        }
        for (label, line) in software_lines(software) {
            facts.add(label, line);
        }
        if !sources.is_empty() {
            facts.add("sources", source_lines(sources).join("\n             "));
        }
        if !trackers.is_empty() {
            facts.add("trackers", tracker_lines(trackers).join("\n             "));
        }
        if !network.endpoints.is_empty() {
            facts.add("network", network_lines(network).join("\n             "));
        }
        if !environment.is_empty() {
            facts.add("variables", variables_line(environment));
        }
        if !redactions.is_empty() {
            facts.styled("redacted", redactions_line(redactions), Style::Warning);
        }
        let (line, style) = completeness_line(&record.completeness);
        facts.styled("record", line, style);
        text.push_str(&facts.text);
        for gap in &record.completeness.gaps {
            let _ = writeln!(
                text,
                "             {}",
                Style::Warning.paint(&gap_line(gap))
            );
        }
        for note in &record.completeness.notes {
            let _ = writeln!(text, "             {}", inert(note));
        }
        let inputs = Side {
            title: "Inputs",
            files: &record.inputs,
            produced: false,
        };
        let outputs = Side {
            title: "Outputs",
            files: &record.outputs,
            produced: true,
        };
        for side in [inputs, outputs] {
            text.push_str(&self.files(&side, cwd, terminal));
        }
        text.push_str(&self.filtered(cwd, terminal));
        text
    }

    fn heading(&self) -> String {
        let record = &self.job.record;
        let step = reference(self.job.step_number, record.kind == JobKind::Build);
        let mut heading = format!(
            "{} {}, {} {}, session {}",
            Style::Heading.paint("Job"),
            Style::Reference.paint(record.uid.as_str()),
            if record.kind == JobKind::Build {
                "build step"
            } else {
                "step"
            },
            Style::Reference.paint(&step),
            self.job.session_id,
        );
        if let Some(state) = self.state {
            let _ = write!(heading, ", {}", state_style(state).paint(state.name()));
        }
        heading.push('\n');
        heading
    }

    /// A table of files. A collection is one line, unless everything is to be listed.
    fn files(&self, side: &Side<'_>, cwd: &Path, terminal: Terminal) -> String {
        let mut text = format!(
            "\n{}\n",
            Style::Heading.paint(&format!("{} ({})", side.title, side.files.len()))
        );
        let mut table = Table::new(vec![
            Column::new("").flexible(),
            Column::new("").right(),
            Column::new(""),
            Column::new("").expendable(2),
            Column::new("").expendable(1),
        ])
        .indent(2);
        let collections: Vec<&JobCollection> = self
            .collections
            .iter()
            .filter(|met| met.produced == side.produced)
            .collect();
        for met in &collections {
            let members = side.files.iter().filter(|file| is_member(met, file));
            let size: u64 = members.filter_map(|file| file.size_bytes).sum();
            table.row(vec![
                format!("{}/", paths::shown(&met.folder, cwd)).into(),
                human::size(size).into(),
                Cell::new(met.collection.hash().short(), Style::Reference),
                Cell::new(
                    format!(
                        "collection of {}",
                        human::count(met.collection.members.len(), "file")
                    ),
                    Style::Dim,
                ),
                Cell::new(String::new(), Style::Plain),
            ]);
        }
        for file in side.files {
            if !self.all && collections.iter().any(|met| is_member(met, file)) {
                continue;
            }
            let basis = if side.produced {
                String::new()
            } else {
                file.basis.to_string()
            };
            table.row(vec![
                paths::shown(&file.path, cwd).into(),
                file.size_bytes.map(human::size).unwrap_or_default().into(),
                match file.hash() {
                    Some(hash) => Cell::new(hash.short(), Style::Reference),
                    None => Cell::new("not hashed", Style::Warning),
                },
                Cell::new(basis, Style::Dim),
                Cell::new(
                    file.note.as_deref().map(inert).unwrap_or_default(),
                    Style::Warning,
                ),
            ]);
        }
        text.push_str(&table.render(terminal));
        text
    }

    fn filtered(&self, cwd: &Path, terminal: Terminal) -> String {
        let filtered = &self.job.record.filtered;
        if filtered.is_empty() {
            return String::new();
        }
        let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
        for file in filtered {
            *by_rule.entry(&file.by).or_default() += 1;
        }
        let mut text = format!(
            "\n{}\n",
            Style::Heading.paint(&format!("Filtered ({})", filtered.len()))
        );
        if self.all {
            let mut table = Table::new(vec![
                Column::new("").flexible(),
                Column::new(""),
                Column::new("").expendable(1),
            ])
            .indent(2);
            for FilteredRecord { path, access, by } in filtered {
                table.row(vec![
                    paths::shown(path, cwd).into(),
                    access.to_string().into(),
                    Cell::new(inert(by), Style::Dim),
                ]);
            }
            text.push_str(&table.render(terminal));
        } else {
            for (rule, count) in by_rule {
                let _ = writeln!(
                    text,
                    "  {} {}",
                    human::count(count, "file"),
                    Style::Dim.paint(&format!("by {}", inert(rule)))
                );
            }
            let _ = writeln!(text, "  {}", Style::Dim.paint("list them with: --all"));
        }
        text
    }
}

/// Labelled lines below a heading.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) text: String,
}

impl Facts {
    pub(super) fn add(&mut self, label: &str, value: impl AsRef<str>) {
        self.styled(label, value, Style::Plain);
    }

    pub(super) fn styled(&mut self, label: &str, value: impl AsRef<str>, style: Style) {
        let label = format!("{label:<9}");
        let _ = writeln!(
            self.text,
            "  {}  {}",
            Style::Dim.paint(&label),
            style.paint(value.as_ref())
        );
    }
}

fn host_line(host: &HostFacts) -> String {
    let parts = [
        inert(&host.hostname),
        inert(&host.os),
        inert(&host.kernel),
        inert(&host.arch),
        if host.cpu_count > 0 {
            human::count(host.cpu_count as usize, "CPU")
        } else {
            String::new()
        },
        if host.memory_bytes > 0 {
            human::size(host.memory_bytes)
        } else {
            String::new()
        },
        surroundings(host),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Container, hypervisor and cloud.
fn surroundings(host: &HostFacts) -> String {
    let named = [
        (&host.container, "container"),
        (&host.hypervisor, "hypervisor"),
        (&host.cloud, "cloud"),
    ];
    let parts: Vec<String> = named
        .into_iter()
        .filter_map(|(value, kind)| Some(format!("{kind} {}", inert(value.as_deref()?))))
        .collect();
    parts.join(", ")
}

fn completeness_line(completeness: &Completeness) -> (String, Style) {
    let backend = inert(&completeness.backend);
    if completeness.complete {
        return (format!("complete ({backend})"), Style::Plain);
    }
    let mut line = format!("incomplete ({backend})");
    let lost = completeness.lost_total();
    if lost > 0 {
        let _ = write!(line, ", {lost} events lost");
    }
    if completeness.truncated_paths > 0 {
        let _ = write!(line, ", {} paths cut", completeness.truncated_paths);
    }
    (line, Style::Warning)
}

fn gap_line(gap: &Gap) -> String {
    let times = if gap.count > 1 {
        format!(" ({} times)", gap.count)
    } else {
        String::new()
    };
    format!("{}{times}", inert(&gap.detail))
}

/// Whether a hashed file lies in the folder of a collection.
fn is_member(met: &JobCollection, file: &FileRecord) -> bool {
    file.hash().is_some() && file.path.is_below(&met.folder)
}

/// Inputs or outputs.
struct Side<'a> {
    title: &'static str,
    files: &'a [FileRecord],
    produced: bool,
}
