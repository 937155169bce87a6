//! How a reproduction ended.

use std::fmt::Write as _;

use serde_json::json;

use super::table::{Cell, Column, Table};
use super::{Style, Terminal, shell};
use crate::model::RawString;
use crate::reproduce::plan::Plan;
use crate::reproduce::verdict::{Cause, Change, Report, Verdict};

/// How a reproduction ended.
#[derive(Debug)]
pub struct VerdictView<'a> {
    /// What was done.
    pub plan: &'a Plan,
    /// What came of it.
    pub report: &'a Report,
    /// Where.
    pub folder: &'a std::path::Path,
}

impl VerdictView<'_> {
    /// For people.
    pub fn text(&self, terminal: Terminal) -> String {
        let mut text = String::new();
        let mut table = Table::new(vec![
            Column::new("output").flexible(),
            Column::new("recorded"),
            Column::new("now"),
            Column::new("verdict"),
        ]);
        let digest = |digest: &Option<crate::model::Digest>| {
            digest
                .as_ref()
                .map_or("-", |digest| digest.short())
                .to_owned()
        };
        for output in &self.report.outputs {
            let mark = if output.target { "" } else { "  " };
            table.row(vec![
                format!("{mark}{}", output.path).into(),
                digest(&output.recorded).into(),
                digest(&output.made).into(),
                Cell::new(output.verdict.words(), style(output.verdict)),
            ]);
        }
        text.push_str(&table.render(terminal));
        let verdict = self.report.verdict;
        let verdict_words = verdict.words();
        let _ = writeln!(text, "verdict: {}", style(verdict).paint(verdict_words));
        if let Some((step, cause)) = &self.report.cause {
            let command = shell::one_line(&self.plan.job(*step).argv);
            let _ = writeln!(text, "first difference: step {} ({command})", step + 1);
            let _ = writeln!(text, "cause: {}", cause_words(cause));
        }
        let folder = RawString::from_path(self.folder);
        let _ = writeln!(text, "in {folder}");
        text
    }

    /// For machines.
    pub fn json(&self) -> String {
        super::json(&json!({
            "verdict": self.report.verdict,
            "folder": RawString::from_path(self.folder),
            "outputs": self.report.outputs.iter().map(|output| json!({
                "step": output.step + 1,
                "path": output.path,
                "recorded": output.recorded,
                "made": output.made,
                "verdict": output.verdict,
                "target": output.target,
            })).collect::<Vec<_>>(),
            "cause": self.report.cause.as_ref().map(|(step, cause)| json!({
                "step": step + 1,
                "command": shell::one_line(&self.plan.job(*step).argv),
                "difference": cause,
            })),
        }))
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::BitIdentical => Style::Good,
        Verdict::Differs => Style::Bad,
        Verdict::NotComparable => Style::Warning,
    }
}

fn cause_words(cause: &Cause) -> String {
    let changes = |changes: &[Change]| {
        let side =
            |side: &Option<RawString>| side.as_ref().map_or("-".to_owned(), ToString::to_string);
        let lines: Vec<String> = changes
            .iter()
            .map(|change| {
                format!(
                    "{} (recorded {}, now {})",
                    change.what,
                    side(&change.recorded),
                    side(&change.now)
                )
            })
            .collect();
        lines.join(", ")
    };
    match cause {
        Cause::Input { paths } => {
            let paths: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
            format!("input: {} was another one", paths.join(", "))
        }
        Cause::Package { changes: list } => format!("package: {}", changes(list)),
        Cause::Environment { changes: list } => format!("environment: {}", changes(list)),
        Cause::Hardware { changes: list } => format!("hardware: {}", changes(list)),
        Cause::Secret { arguments } => format!(
            "none found; the secret {} was given anew, and may be another one",
            arguments.join(", ")
        ),
        Cause::NotDeterministic => {
            "none found: the step does not give the same result twice (non-deterministic)"
                .to_owned()
        }
        Cause::Unknown => "not known: what the step did here is not recorded".to_owned(),
    }
}
