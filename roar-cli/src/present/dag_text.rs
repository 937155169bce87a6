//! The pipeline as a tree of text.
//!
//! Every node stands once, below the dependency that is farthest down; what else it
//! depends on is named at its side. Chains deeper than the terminal bears go on at the
//! left margin.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use super::dag::{DagArtifact, DagNode, DagView, state_style};
use super::table::{truncate, width};
use super::{Style, Terminal, human, layout};
use crate::lineage::{ArtifactState, StepState};

/// The lines of the tree.
struct Glyphs {
    branch: &'static str,
    last: &'static str,
    through: &'static str,
    blank: &'static str,
    artifact: &'static str,
    dot: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    branch: "├─ ",
    last: "└─ ",
    through: "│  ",
    blank: "   ",
    artifact: "→ ",
    dot: " · ",
};

const ASCII: Glyphs = Glyphs {
    branch: "|- ",
    last: "`- ",
    through: "|  ",
    blank: "   ",
    artifact: "> ",
    dot: " | ",
};

/// At most so many artifacts are named below one step.
const ARTIFACTS_SHOWN: usize = 8;
/// A command is left at least this much room by the tree's indentation.
const COMMAND_MIN: usize = 44;
/// With less room for the command, the counts beside it are left out.
const COMMAND_LEAST: usize = 12;

/// Draws the view.
pub(super) fn draw(view: &DagView, cwd: &Path, terminal: Terminal) -> String {
    let mut text = heading(view, terminal);
    if view.nodes.is_empty() {
        return text;
    }
    text.push('\n');
    let mut drawing = Drawing {
        artifacts: artifacts_by_job(view),
        view,
        cwd,
        terminal,
        glyphs: if terminal.unicode { &UNICODE } else { &ASCII },
        text,
    };
    drawing.all();
    let mut text = drawing.text;
    text.push('\n');
    text.push_str(&legend(view, terminal));
    text
}

fn heading(view: &DagView, terminal: Terminal) -> String {
    let glyphs = if terminal.unicode { &UNICODE } else { &ASCII };
    let mut parts = vec![human::count(view.total_steps, "step")];
    if view.stale_count > 0 {
        parts.push(format!("{} stale", view.stale_count));
    }
    if view.is_expanded {
        parts.push(human::count(view.nodes.len(), "execution"));
    }
    if view.stale_artifact_count > 0 {
        let artifacts = human::count(view.stale_artifact_count, "stale artifact");
        parts.push(artifacts);
    }
    let mut line = format!("Pipeline: {}", parts.join(", "));
    if let Some(session) = view.session_id {
        let _ = write!(line, "{}session {session}", glyphs.dot);
    }
    format!("{}\n", Style::Heading.paint(&line))
}

/// The shown artifacts by the job that they stand with.
pub(super) fn artifacts_by_job(view: &DagView) -> HashMap<i64, Vec<&DagArtifact>> {
    let mut by_job: HashMap<i64, Vec<&DagArtifact>> = HashMap::new();
    let shown: BTreeMap<u32, i64> = view
        .nodes
        .iter()
        .map(|node| (node.step_number, node.job_id))
        .collect();
    let jobs: BTreeSet<i64> = view.nodes.iter().map(|node| node.job_id).collect();
    for artifact in &view.artifacts {
        // What an older execution left behind stands with its step.
        let job = if jobs.contains(&artifact.producer_job) {
            Some(artifact.producer_job)
        } else {
            shown.get(&artifact.producer_step).copied()
        };
        if let Some(job) = job {
            by_job.entry(job).or_default().push(artifact);
        }
    }
    by_job
}

struct Drawing<'a> {
    artifacts: HashMap<i64, Vec<&'a DagArtifact>>,
    view: &'a DagView,
    cwd: &'a Path,
    terminal: Terminal,
    glyphs: &'static Glyphs,
    text: String,
}

impl Drawing<'_> {
    fn all(&mut self) {
        let columns = self.terminal.width;
        let deepest = (columns.saturating_sub(COMMAND_MIN) / 3).max(columns / 10);
        for row in layout::rows(&self.view.parents, deepest) {
            let mut lead: String = row.through.iter().map(|line| self.line(*line)).collect();
            let mut below = lead.clone();
            if row.parent.is_some() {
                lead.push_str(if row.is_last {
                    self.glyphs.last
                } else {
                    self.glyphs.branch
                });
                below.push_str(self.line(!row.is_last));
            }
            self.node(row.node, &lead, row.parent);
            below.push_str(self.line(row.has_children));
            self.artifacts_of(row.node, &below);
        }
    }

    /// A level to the left of a row.
    fn line(&self, passes: bool) -> &'static str {
        if passes {
            self.glyphs.through
        } else {
            self.glyphs.blank
        }
    }

    fn node(&mut self, position: usize, lead: &str, drawn_below: Option<usize>) {
        let node = &self.view.nodes[position];
        let reference = node.reference();
        let mark = if node.state == StepState::Stale {
            "*"
        } else {
            ""
        };
        let name = node
            .step_name
            .as_ref()
            .map_or(String::new(), |name| format!("[{}] ", super::inert(name)));
        let uid = if self.view.is_expanded {
            format!("{} ", node.job_uid)
        } else {
            String::new()
        };
        let command = format!("{name}{}", node.command.replace('\n', "\\n"));
        let fixed = width(lead) + reference.len() + mark.len() + 1 + uid.len();
        let room_beside = |side: &[(String, Style)]| {
            let side: usize = side.iter().map(|(text, _)| width(text) + 2).sum();
            self.terminal.width.saturating_sub(fixed + side)
        };
        let mut side = self.side(position, node, drawn_below, true);
        if room_beside(&side) < COMMAND_LEAST {
            // The command says more than the counts.
            side = self.side(position, node, drawn_below, false);
        }
        let room = room_beside(&side).max(8);
        let style = match node.state {
            StepState::Stale => Style::Plain,
            other => state_style(other),
        };
        let _ = write!(
            self.text,
            "{}{}{} {}{}",
            Style::Dim.paint(lead),
            Style::Reference.paint(&reference),
            Style::Warning.paint(mark),
            Style::Dim.paint(&uid),
            style.paint(&truncate(&command, room, self.terminal)),
        );
        for (text, style) in side {
            let _ = write!(self.text, "  {}", style.paint(&text));
        }
        self.text.push('\n');
    }

    /// What stands beside a command: marks, counts, further dependencies.
    fn side(
        &self,
        position: usize,
        node: &DagNode,
        drawn_below: Option<usize>,
        with_counts: bool,
    ) -> Vec<(String, Style)> {
        let mut side = Vec::new();
        match node.state {
            StepState::Superseded | StepState::Orphaned | StepState::Lost => {
                side.push((format!("[{}]", node.state.name()), state_style(node.state)));
            }
            StepState::Active | StepState::Stale => {}
        }
        match node.exit_code {
            Some(0) => {}
            Some(code) => side.push((format!("[exit {code}]"), Style::Bad)),
            None if node.state != StepState::Lost => {
                side.push(("[killed]".to_owned(), Style::Bad));
            }
            None => {}
        }
        if node.read_edited {
            side.push(("[edited input]".to_owned(), Style::Warning));
        }
        let metrics = node.metrics;
        if with_counts {
            side.push((
                format!(
                    "{} in, {} out, {} consumed",
                    metrics.inputs, metrics.outputs, metrics.consumed
                ),
                Style::Dim,
            ));
        }
        let others: Vec<String> = self.view.parents[position]
            .iter()
            .filter(|parent| Some(**parent) != drawn_below)
            .map(|parent| self.view.nodes[*parent].reference())
            .collect();
        if !others.is_empty() {
            let also = if drawn_below.is_some() { "also " } else { "" };
            side.push((format!("{also}from {}", others.join(" ")), Style::Dim));
        }
        side
    }

    fn artifacts_of(&mut self, position: usize, lead: &str) {
        let job = self.view.nodes[position].job_id;
        let Some(artifacts) = self.artifacts.remove(&job) else {
            return;
        };
        for artifact in artifacts.iter().take(ARTIFACTS_SHOWN) {
            self.artifact(artifact, lead);
        }
        if let Some(more @ 1..) = artifacts.len().checked_sub(ARTIFACTS_SHOWN) {
            let line = format!("and {more} more");
            let _ = writeln!(
                self.text,
                "{}{}",
                Style::Dim.paint(lead),
                Style::Dim.paint(&line)
            );
        }
    }

    fn artifact(&mut self, artifact: &DagArtifact, lead: &str) {
        let mark = match artifact.state {
            ArtifactState::Active => "",
            ArtifactState::Stale => " *",
            ArtifactState::Superseded => " [superseded]",
            ArtifactState::Orphaned => " [orphaned]",
        };
        let facts = artifact.facts();
        let fixed = width(lead) + 2 + mark.len() + 2 + width(&facts);
        let room = self.terminal.width.saturating_sub(fixed).max(12);
        let path = artifact.shown_path(self.cwd);
        let _ = writeln!(
            self.text,
            "{}{}{}  {}",
            Style::Dim.paint(&format!("{lead}{}", self.glyphs.artifact)),
            Style::Good.paint(&truncate(&path, room, self.terminal)),
            Style::Warning.paint(mark),
            Style::Dim.paint(&facts),
        );
    }
}

/// What the marks in use mean.
fn legend(view: &DagView, terminal: Terminal) -> String {
    let glyphs = if terminal.unicode { &UNICODE } else { &ASCII };
    let has = |state: StepState| view.nodes.iter().any(|node| node.state == state);
    let has_artifact = |state: ArtifactState| view.artifacts.iter().any(|a| a.state == state);
    let mut lines =
        vec!["in, out: files read and written; consumed: inputs that other steps made".to_owned()];
    if !view.artifacts.is_empty() {
        lines.push(format!("{}an artifact in place", glyphs.artifact));
    }
    if has(StepState::Stale) || has_artifact(ArtifactState::Stale) {
        lines.push("* stale: an input has been produced anew since".to_owned());
    }
    if has(StepState::Superseded) || has_artifact(ArtifactState::Superseded) {
        lines.push("[superseded]: something newer took its place".to_owned());
    }
    if has(StepState::Orphaned) || has_artifact(ArtifactState::Orphaned) {
        lines.push(
            "[orphaned]: its step no longer makes it, or no other step has read it".to_owned(),
        );
    }
    if view.nodes.iter().any(|node| node.read_edited) {
        lines.push(
            "[edited input]: something unrecorded changed a file between two steps (roar why FILE)"
                .to_owned(),
        );
    }
    if has(StepState::Lost) {
        lines
            .push("[lost]: roar was killed before it could record what the command did".to_owned());
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(&Style::Dim.paint(&line));
        text.push('\n');
    }
    text
}
