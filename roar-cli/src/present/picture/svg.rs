//! SVG: the rows of the terminal's tree, with every further dependency as a line of its own.

use std::collections::HashMap;
use std::path::Path;

use askama::Template;

use super::super::dag::{DagArtifact, DagNode, DagView};
use super::super::dag_text::artifacts_by_job;
use super::super::human;
use super::super::layout::{self, Row};
use super::super::table::width;
use super::{LABEL_MAX, artifact_label, artifact_state, command, label, marks};

/// Pixels.
const ROW: usize = 26;
const ARTIFACT_ROW: usize = 20;
const LEVEL: usize = 26;
/// Room for the lines of further dependencies.
const LEFT: usize = 72;
const TOP: usize = 20;
const RADIUS: usize = 6;
/// Of a character, a little more than any monospace font of 13 pixels takes.
const CHARACTER: usize = 8;

/// Levels before a chain goes on at the margin.
const DEEPEST: usize = 30;
/// At most so many artifacts are named below one step.
const ARTIFACTS_SHOWN: usize = 8;

/// The drawing, ready for its template.
#[derive(Template)]
#[template(path = "dag.svg")]
pub(super) struct Drawing {
    title: String,
    width: usize,
    height: usize,
    tree_lines: Vec<String>,
    further_lines: Vec<String>,
    steps: Vec<Step>,
    notes: Vec<Note>,
}

struct Step {
    state: &'static str,
    failed: bool,
    x: usize,
    y: usize,
    text_x: usize,
    text_y: usize,
    reference: String,
    command: String,
    marks: String,
    side: String,
    /// Everything, for who points at it.
    full: String,
}

/// An artifact, or how many are not shown.
struct Note {
    state: &'static str,
    x: usize,
    y: usize,
    path: String,
    side: String,
}

pub(super) fn draw(view: &DagView, cwd: &Path) -> Result<String, std::fmt::Error> {
    drawing(view, cwd).render().map_err(|_| std::fmt::Error)
}

pub(super) fn drawing(view: &DagView, cwd: &Path) -> Drawing {
    let artifacts = artifacts_by_job(view);
    let mut drawing = Drawing {
        title: title(view),
        width: 0,
        height: TOP,
        tree_lines: Vec::new(),
        further_lines: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
    };
    let rows = layout::rows(&view.parents, DEEPEST);
    let mut places: HashMap<usize, (usize, usize)> = HashMap::new();
    for row in &rows {
        let node = &view.nodes[row.node];
        let (x, y) = (LEFT + row.depth() * LEVEL, drawing.height + ROW / 2);
        places.insert(row.node, (x, y));
        drawing.step(node, x, y);
        drawing.height += ROW;
        let its = artifacts.get(&node.job_id).map_or(&[][..], Vec::as_slice);
        drawing.artifacts(its, x, cwd);
    }
    for row in &rows {
        drawing.lines(view, row, &places);
    }
    drawing.height += TOP;
    drawing.width = drawing.width.max(320) + 16;
    drawing
}

/// `Pipeline: 3 steps, 1 stale, session 2`.
pub(super) fn title(view: &DagView) -> String {
    let mut title = format!("Pipeline: {}", human::count(view.total_steps, "step"));
    if view.stale_count > 0 {
        title = format!("{title}, {} stale", view.stale_count);
    }
    if view.is_expanded {
        title = format!("{title}, {}", human::count(view.nodes.len(), "execution"));
    }
    match view.session_id {
        Some(session) => format!("{title}, session {session}"),
        None => title,
    }
}

impl Drawing {
    fn step(&mut self, node: &DagNode, x: usize, y: usize) {
        let metrics = node.metrics;
        let step = Step {
            state: node.state.name(),
            failed: node.exit_code != Some(0),
            x,
            y,
            text_x: x + RADIUS + 8,
            text_y: y + 4,
            reference: node.reference(),
            command: label(&command(node), LABEL_MAX),
            marks: marks(node),
            side: format!(
                "{} in, {} out, {} consumed",
                metrics.inputs, metrics.outputs, metrics.consumed
            ),
            full: label(
                &format!("{} (job {})", command(node), node.job_uid),
                usize::MAX,
            ),
        };
        let columns =
            width(&step.reference) + width(&step.command) + width(&step.marks) + width(&step.side);
        self.widen(step.text_x, columns + 8);
        self.steps.push(step);
    }

    fn artifacts(&mut self, artifacts: &[&DagArtifact], x: usize, cwd: &Path) {
        let x = x + LEVEL;
        let mut note = |state, path: String, side: String| {
            let y = self.height + ARTIFACT_ROW / 2 + 2;
            self.height += ARTIFACT_ROW;
            self.widen(x, width(&path) + width(&side) + 4);
            self.notes.push(Note {
                state,
                x,
                y,
                path,
                side,
            });
        };
        for artifact in artifacts.iter().take(ARTIFACTS_SHOWN) {
            let state = artifact_state(artifact.state);
            let shown = match state {
                "active" => String::new(),
                other => format!("{other} "),
            };
            note(
                state,
                artifact_label(artifact, cwd),
                format!("{shown}{}", artifact.facts()),
            );
        }
        if let Some(more @ 1..) = artifacts.len().checked_sub(ARTIFACTS_SHOWN) {
            note("superseded", format!("and {more} more"), String::new());
        }
    }

    /// The lines that end at a row: from the node it stands below, and from its other
    /// dependencies, which bow out to the left so that they cross no text.
    fn lines(&mut self, view: &DagView, row: &Row, places: &HashMap<usize, (usize, usize)>) {
        let Some(&(x, y)) = places.get(&row.node) else {
            return;
        };
        for parent in &view.parents[row.node] {
            let Some(&(from_x, from_y)) = places.get(parent) else {
                continue;
            };
            if Some(*parent) == row.parent {
                self.tree_lines.push(format!(
                    "M{from_x} {} V{y} H{}",
                    from_y + RADIUS,
                    x - RADIUS
                ));
            } else {
                let left = from_x.min(x) - RADIUS;
                let bow = left - (18 + from_y.abs_diff(y) / 12).min(LEFT - 16);
                self.further_lines.push(format!(
                    "M{} {from_y} C{bow} {from_y} {bow} {y} {} {y}",
                    from_x - RADIUS,
                    x - RADIUS
                ));
            }
        }
    }

    fn widen(&mut self, x: usize, columns: usize) {
        self.width = self.width.max(x + columns * CHARACTER);
    }
}
