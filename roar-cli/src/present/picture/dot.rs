//! Graphviz DOT.

use std::fmt::Write as _;
use std::path::Path;

use super::super::dag::DagView;
use super::super::dag_text::artifacts_by_job;
use super::{artifact_label, artifact_state, node_label};

pub(super) fn draw(view: &DagView, cwd: &Path) -> String {
    let mut text = String::from(
        "digraph pipeline {\n  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
    );
    let artifacts = artifacts_by_job(view);
    let mut artifact_number = 0;
    for (number, node) in view.nodes.iter().enumerate() {
        let words = node_label(node);
        let look = look(node.state.name());
        let _ = writeln!(text, "  n{number} [label=\"{}\"{look}];", escape(&words));
        for artifact in artifacts.get(&node.job_id).into_iter().flatten() {
            let words = escape(&artifact_label(artifact, cwd));
            let look = self::look(artifact_state(artifact.state));
            let _ = writeln!(
                text,
                "  a{artifact_number} [shape=note, label=\"{words}\"{look}];"
            );
            let _ = writeln!(text, "  n{number} -> a{artifact_number};");
            artifact_number += 1;
        }
    }
    for (number, parents) in view.parents.iter().enumerate() {
        for parent in parents {
            let _ = writeln!(text, "  n{parent} -> n{number};");
        }
    }
    text.push_str("}\n");
    text
}

fn look(state: &str) -> &'static str {
    match state {
        "stale" => ", style=\"rounded,dashed\", color=\"#9a6700\"",
        "orphaned" => ", style=\"rounded,dotted\", color=\"#9a6700\"",
        "superseded" => ", color=gray, fontcolor=gray",
        "lost" => ", color=\"#b42318\", fontcolor=\"#b42318\"",
        _ => "",
    }
}

/// For a label in double quotes, where a backslash and an ampersand begin something.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '&' => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}
