//! Files on disk against the record (`roar verify`).

use std::path::Path;

use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Style, Terminal, dag, paths};
use crate::model::{Digest, RawString};

/// How a file compares with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The content that was recorded.
    Ok,
    /// Another content.
    Changed,
    /// Nothing is there.
    Missing,
    /// It cannot be compared: not readable now, or its content was never recorded.
    Unreadable,
}

/// A recorded file and what is at its place.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedFile {
    /// Absolute path.
    pub path: RawString,
    /// The recorded content.
    pub hash: Option<Digest>,
    /// The content now, where there is one.
    pub found: Option<Digest>,
    /// How they compare.
    pub state: Verdict,
    /// The step that met it last.
    pub step_number: u32,
    /// Whether that is a step of a build.
    #[serde(skip)]
    pub is_build: bool,
    /// Whether that step wrote it, or only read it.
    pub is_output: bool,
    /// Why it could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub struct VerifyView<'a> {
    /// The session.
    pub session_id: i64,
    /// Its files, by path.
    pub files: &'a [VerifiedFile],
}

#[derive(Serialize)]
struct Document<'a> {
    session_id: i64,
    ok: usize,
    changed: usize,
    missing: usize,
    unreadable: usize,
    files: &'a [VerifiedFile],
}

impl VerifyView<'_> {
    /// For people: what is not ok, each with its step, then the count of each kind.
    pub fn text(&self, cwd: &Path, terminal: Terminal) -> String {
        let mut table = Table::new(vec![
            Column::new(""),
            Column::new("").flexible(),
            Column::new("").expendable(1),
        ]);
        for file in self.files.iter().filter(|file| file.state != Verdict::Ok) {
            let (word, style) = match file.state {
                Verdict::Ok => ("ok", Style::Good),
                Verdict::Changed => ("changed", Style::Warning),
                Verdict::Missing => ("missing", Style::Bad),
                Verdict::Unreadable => ("unreadable", Style::Bad),
            };
            let verb = if file.is_output { "made" } else { "read" };
            let why = file.note.as_ref().map(|note| format!(", {note}"));
            let step = dag::reference(file.step_number, file.is_build);
            let by = format!("{verb} by {step}{}", why.unwrap_or_default());
            table.row(vec![
                Cell::new(word, style),
                paths::shown(&file.path, cwd).into(),
                Cell::new(by, Style::Dim),
            ]);
        }
        let Document {
            ok,
            changed,
            missing,
            unreadable,
            ..
        } = self.document();
        let mut counts = format!("{ok} ok, {changed} changed, {missing} missing");
        if unreadable > 0 {
            counts = format!("{counts}, {unreadable} unreadable");
        }
        format!("{}{counts}\n", table.render(terminal))
    }

    /// For machines.
    pub fn json(&self) -> String {
        super::json(&self.document())
    }

    fn document(&self) -> Document<'_> {
        let of = |state| self.files.iter().filter(|file| file.state == state).count();
        Document {
            session_id: self.session_id,
            ok: of(Verdict::Ok),
            changed: of(Verdict::Changed),
            missing: of(Verdict::Missing),
            unreadable: of(Verdict::Unreadable),
            files: self.files,
        }
    }
}
