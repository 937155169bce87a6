//! Mermaid: a flowchart whose labels hold nothing but letters, digits and entity codes.

use std::fmt::Write as _;
use std::path::Path;

use super::super::dag::DagView;
use super::super::dag_text::artifacts_by_job;
use super::{artifact_label, artifact_state, node_label};

pub(super) fn draw(view: &DagView, cwd: &Path) -> String {
    let mut text = String::from("flowchart TB\n");
    let artifacts = artifacts_by_job(view);
    let mut artifact_number = 0;
    for (number, node) in view.nodes.iter().enumerate() {
        let words = node_label(node);
        let _ = writeln!(
            text,
            "  n{number}[\"{}\"]:::{}",
            escape(&words),
            node.state.name()
        );
        for artifact in artifacts.get(&node.job_id).into_iter().flatten() {
            let words = escape(&artifact_label(artifact, cwd));
            let state = artifact_state(artifact.state);
            let _ = writeln!(text, "  a{artifact_number}([\"{words}\"]):::{state}");
            let _ = writeln!(text, "  n{number} --> a{artifact_number}");
            artifact_number += 1;
        }
    }
    for (number, parents) in view.parents.iter().enumerate() {
        for parent in parents {
            let _ = writeln!(text, "  n{parent} --> n{number}");
        }
    }
    // Only the states that a default flowchart would not tell apart.
    text.push_str(
        "  classDef stale stroke-dasharray:4\n  classDef orphaned stroke-dasharray:2\n  \
         classDef superseded opacity:0.5\n  classDef lost stroke:#c00\n",
    );
    text
}

/// Every character that is no letter or digit of ASCII, or one of a few that mean nothing to
/// Mermaid, Markdown and HTML, as its entity code.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '/' | ',') {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "#{};", u32::from(c));
        }
    }
    escaped
}
