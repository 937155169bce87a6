//! The pipeline as a picture: Mermaid and DOT for other tools to lay out, SVG and HTML in the
//! layout of the terminal.
//!
//! Names are the user's files' and commands': they reach a picture in the inert form and
//! escaped for the format, so that none can add a node, a link or a script.

mod dot;
mod mermaid;
mod page;
mod svg;

use std::path::Path;

use super::dag::{DagArtifact, DagNode, DagView};
use super::table::truncate;
use super::{Terminal, inert};
use crate::lineage::ArtifactState;

impl DagView {
    /// For Mermaid (a flowchart).
    pub fn mermaid(&self, cwd: &Path) -> String {
        mermaid::draw(self, cwd)
    }

    /// For Graphviz.
    pub fn dot(&self, cwd: &Path) -> String {
        dot::draw(self, cwd)
    }

    /// A picture that stands alone.
    ///
    /// # Errors
    /// Never in practice: a template that cannot be filled in.
    pub fn svg(&self, cwd: &Path) -> Result<String, std::fmt::Error> {
        svg::draw(self, cwd)
    }

    /// A page that stands alone: no request leaves it, and it can be read without its script.
    ///
    /// # Errors
    /// As [`DagView::svg`].
    pub fn html(&self, cwd: &Path) -> Result<String, std::fmt::Error> {
        page::draw(self, cwd)
    }
}

/// The widest label, in columns.
const LABEL_MAX: usize = 72;

/// Text cut to a width, without what may not stand in XML. It is inert already.
fn label(text: &str, width: usize) -> String {
    let plain: String = text
        .replace('\n', "\\n")
        .chars()
        .map(|c| match c {
            // Neither control characters nor allowed in XML.
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            other => other,
        })
        .collect();
    let unbounded = Terminal {
        width,
        unicode: true,
    };
    truncate(&plain, width, unbounded)
}

/// `[name] command` of a node.
fn command(node: &DagNode) -> String {
    let name = node
        .step_name
        .as_ref()
        .map_or(String::new(), |name| format!("[{}] ", inert(name)));
    format!("{name}{}", node.command)
}

/// What stands in a box: the step, its command, and what is the matter with it.
fn node_label(node: &DagNode) -> String {
    let words = format!("{} {}", node.reference(), label(&command(node), LABEL_MAX));
    match marks(node) {
        marks if marks.is_empty() => words,
        marks => format!("{words} ({marks})"),
    }
}

/// The state and, where it failed, how: none when there is nothing to say.
fn marks(node: &DagNode) -> String {
    use crate::lineage::StepState;
    let mut marks = Vec::new();
    if node.state != StepState::Active {
        marks.push(node.state.name().to_owned());
    }
    if node.read_edited {
        marks.push("edited input".to_owned());
    }
    match node.exit_code {
        Some(0) => {}
        Some(code) => marks.push(format!("exit {code}")),
        None if node.state == StepState::Lost => {}
        None => marks.push("killed".to_owned()),
    }
    marks.join(", ")
}

/// The state of an artifact, as a class and in words.
fn artifact_state(state: ArtifactState) -> &'static str {
    match state {
        ArtifactState::Active => "active",
        ArtifactState::Stale => "stale",
        ArtifactState::Superseded => "superseded",
        ArtifactState::Orphaned => "orphaned",
    }
}

fn artifact_label(artifact: &DagArtifact, cwd: &Path) -> String {
    label(&artifact.shown_path(cwd), LABEL_MAX)
}
