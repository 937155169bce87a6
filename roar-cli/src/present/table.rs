//! Columns of text that fit the terminal.
//!
//! One column takes what the others leave and is cut with `…`; when even that is too
//! little, columns that matter less go. Cells are plain text: colour is put on after
//! measuring.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Style, Terminal};

/// Rows of cells under titled columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

/// How a column behaves.
#[derive(Clone, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    flexible: bool,
    /// Columns of a higher number go first when there is no room.
    expendable: u8,
}

impl Column {
    /// Aligned to the left, as wide as its widest cell, always there.
    pub fn new(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            flexible: false,
            expendable: 0,
        }
    }

    /// Aligned to the right: for numbers.
    #[must_use]
    pub fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Takes what is left, and is cut.
    #[must_use]
    pub fn flexible(mut self) -> Self {
        self.flexible = true;
        self
    }

    /// May be left out; the highest `order` goes first.
    #[must_use]
    pub fn expendable(mut self, order: u8) -> Self {
        self.expendable = order;
        self
    }
}

/// Text and its meaning.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text of a certain meaning.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// Between two columns.
const GAP: usize = 2;
/// A flexible column is not squeezed below this while other columns can go.
const FLEXIBLE_MIN: usize = 16;

impl Table {
    /// An empty table.
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            indent: 0,
        }
    }

    /// Sets every line in by some columns.
    #[must_use]
    pub fn indent(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Adds a row, one cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Adds rows.
    pub fn rows(&mut self, rows: impl IntoIterator<Item = Vec<Cell>>) {
        for cells in rows {
            self.row(cells);
        }
    }

    /// The lines, each ended by a newline; titles first where any column has one.
    pub fn render(&self, terminal: Terminal) -> String {
        let (shown, widths) = self.fit(terminal.width.saturating_sub(self.indent));
        let mut text = String::new();
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            let titles: Vec<Cell> = self
                .columns
                .iter()
                .map(|column| Cell::new(column.title, Style::Dim))
                .collect();
            self.line(&mut text, &titles, &shown, &widths, terminal);
        }
        for row in &self.rows {
            self.line(&mut text, row, &shown, &widths, terminal);
        }
        text
    }

    /// The columns to show and the width of every column.
    fn fit(&self, available: usize) -> (Vec<usize>, Vec<usize>) {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(index))
                    .map(|cell| width(&cell.text))
                    .chain([width(column.title)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        loop {
            let gaps = GAP * shown.len().saturating_sub(1);
            let total: usize = shown.iter().map(|index| widths[*index]).sum::<usize>() + gaps;
            if total <= available {
                return (shown, widths);
            }
            let flexible = shown.iter().copied().find(|i| self.columns[*i].flexible);
            let rest = total - flexible.map_or(0, |index| widths[index]);
            let room = available.saturating_sub(rest);
            let least = flexible.map_or(0, |index| widths[index].min(FLEXIBLE_MIN));
            let next = shown
                .iter()
                .copied()
                .filter(|index| self.columns[*index].expendable > 0)
                .max_by_key(|index| self.columns[*index].expendable);
            match (next, flexible) {
                (Some(expendable), _) if room < least => shown.retain(|i| *i != expendable),
                (_, Some(index)) => {
                    widths[index] = room.max(1);
                    return (shown, widths);
                }
                (Some(expendable), None) => shown.retain(|i| *i != expendable),
                (None, None) => return (shown, widths),
            }
        }
    }

    fn line(
        &self,
        text: &mut String,
        cells: &[Cell],
        shown: &[usize],
        widths: &[usize],
        terminal: Terminal,
    ) {
        text.push_str(&" ".repeat(self.indent));
        for (position, &index) in shown.iter().enumerate() {
            let Some(cell) = cells.get(index) else {
                continue;
            };
            if position > 0 {
                text.push_str(&" ".repeat(GAP));
            }
            let cut = truncate(&cell.text, widths[index], terminal);
            let padding = " ".repeat(widths[index].saturating_sub(width(&cut)));
            let last = position + 1 == shown.len();
            if self.columns[index].right {
                text.push_str(&padding);
                text.push_str(&cell.style.paint(&cut));
            } else {
                text.push_str(&cell.style.paint(&cut));
                if !last {
                    text.push_str(&padding);
                }
            }
        }
        let end = text.trim_end_matches(' ').len();
        text.truncate(end);
        text.push('\n');
    }
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    // Nearly all text is, and none has control characters: it is inert.
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// The text cut to `width` columns, with a mark where something is missing.
pub fn truncate(text: &str, width: usize, terminal: Terminal) -> String {
    if self::width(text) <= width {
        return text.to_owned();
    }
    let mark = if terminal.unicode { "…" } else { "~" };
    let room = width.saturating_sub(1);
    let mut used = 0;
    let mut cut = String::new();
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > room {
            break;
        }
        used += wide;
        cut.push(c);
    }
    cut.push_str(mark);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::new("job"),
            Column::new("size").right().expendable(1),
            Column::new("command").flexible(),
            Column::new("note").expendable(2),
        ]);
        table.row(vec![
            "a1".into(),
            "12 B".into(),
            "python train.py --epochs 10".into(),
            "".into(),
        ]);
        table.row(vec![
            "b2".into(),
            "1 KiB".into(),
            "表表表表".into(),
            "x".into(),
        ]);
        table
    }

    fn render(width: usize) -> String {
        super::super::style::without_colour(&table().render(Terminal {
            width,
            unicode: true,
        }))
    }

    #[test]
    fn fits_every_width() {
        insta::assert_snapshot!(render(80), @r"
        job   size  command                      note
        a1    12 B  python train.py --epochs 10
        b2   1 KiB  表表表表                     x
        ");
        insta::assert_snapshot!(render(36), @r"
        job   size  command             note
        a1    12 B  python train.py -…
        b2   1 KiB  表表表表            x
        ");
        insta::assert_snapshot!(render(20), @r"
        job  command
        a1   python train.p…
        b2   表表表表
        ");
        for width in 1..100 {
            for line in render(width).lines() {
                assert!(line.width() <= width.max(6), "{width}: {line}");
            }
        }
    }

    #[test]
    fn cuts_at_character_widths() {
        for (text, width, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("表表", 3, "表…"),
            ("表表", 2, "…"),
            ("e\u{301}a", 2, "e\u{301}a"),
        ] {
            assert_eq!(truncate(text, width, Terminal::default()), expected);
        }
    }
}
