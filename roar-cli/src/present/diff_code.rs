//! The lines of code in which two runs differ (`roar diff`).

use std::fmt::Write as _;

use super::diff::CodeLine;
use super::table::truncate;
use super::{Style, Terminal, human};
use crate::model::RawString;

/// At most so many files are listed.
const FILES_SHOWN: usize = 20;
/// At most so many lines of all files together.
const LINES_SHOWN: usize = 40;

/// Each file with its lines; those are cut to the terminal and in number, unless all are wanted.
pub(super) fn lines(code: &[CodeLine], all: bool, terminal: Terminal) -> String {
    let mut text = String::new();
    let (files, mut left) = if all {
        (usize::MAX, usize::MAX)
    } else {
        (FILES_SHOWN, LINES_SHOWN)
    };
    for file in code.iter().take(files) {
        let counts = match (file.lines_added, file.lines_removed) {
            (Some(added), Some(removed)) => format!(" +{added} -{removed}"),
            _ => String::new(),
        };
        let head = format!("{} {}{counts}", file.what, file.path);
        let _ = writeln!(text, "  {}", Style::Reference.paint(&head));
        let hunks = hunks(&file.patch);
        for line in hunks.iter().take(left) {
            let _ = writeln!(text, "    {}", code_line(line, all, terminal));
        }
        if let Some(more @ 1..) = hunks.len().checked_sub(left) {
            let more = format!("and {} (--all)", human::count(more, "more line"));
            let _ = writeln!(text, "    {}", Style::Dim.paint(&more));
        }
        left = left.saturating_sub(hunks.len());
    }
    if let Some(more @ 1..) = code.len().checked_sub(files) {
        let _ = writeln!(text, "  and {} (--all)", human::count(more, "more file"));
    }
    text
}

/// The lines behind the heading of a file's patch.
fn hunks(patch: &RawString) -> Vec<&[u8]> {
    let lines = patch.as_bytes().split(|byte| *byte == b'\n');
    let mut hunks: Vec<&[u8]> = lines.skip_while(|line| !line.starts_with(b"@@")).collect();
    if hunks.last().is_some_and(|line| line.is_empty()) {
        hunks.pop();
    }
    hunks
}

fn code_line(line: &[u8], all: bool, terminal: Terminal) -> String {
    let style = match line.first() {
        Some(b'+') => Style::Good,
        Some(b'-') => Style::Bad,
        Some(b'@') => Style::Dim,
        _ => Style::Plain,
    };
    // A backslash needs no marking here: no line holds what it could be mistaken for.
    let inert = |text: &[u8]| RawString::new(text).to_string().replace("\\\\", "\\");
    let text: Vec<String> = line.split(|byte| *byte == b'\t').map(inert).collect();
    let text = text.join("    ");
    let width = terminal.width.saturating_sub(4).max(12);
    style.paint(&if all {
        text
    } else {
        truncate(&text, width, terminal)
    })
}
