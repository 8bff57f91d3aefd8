//! Text for people, made of lines and tables. What is put in is escaped, so what others wrote stays in its line and
//! column. How wide it may be, and whether it has colours, is only known where it is shown.

mod table;

use std::fmt::{Display, Write as _};

use crate::{
    colours::{Mark, Marked},
    escaped::Escaped,
};
pub(super) use table::Row;
use table::Table;

/// Lines and tables that may be shown on a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Escaped.
    Line(String, Option<Mark>),
    Table(Table),
}

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// So wide tables may be, if that is not for the reader to say.
    pub(super) width: Option<u16>,
    /// Whether tables have headings.
    pub(super) headings: bool,
    pub(super) colours: bool,
}

impl Default for Layout {
    /// As a file.
    fn default() -> Self {
        Self { width: None, headings: true, colours: false }
    }
}

impl Text {
    /// One line.
    pub(super) fn of(line: impl Display) -> Self {
        let mut text = Self::default();
        text.line(line);
        text
    }

    /// Adds a line.
    pub(super) fn line(&mut self, line: impl Display) {
        self.parts.push(Part::Line(Escaped(line).to_string(), None));
    }

    /// Adds a line that is not like the others.
    pub(super) fn marked(&mut self, mark: Mark, line: impl Display) {
        self.parts.push(Part::Line(Escaped(line).to_string(), Some(mark)));
    }

    /// Adds an empty line.
    pub(super) fn gap(&mut self) {
        self.line("");
    }

    /// Adds the lines of another one.
    pub(super) fn append(&mut self, other: &Self) {
        self.parts.extend_from_slice(&other.parts);
    }

    /// Adds rows, lined up under their headings; `right` names the columns that are numbers.
    pub(super) fn table<R: Into<Row>>(
        &mut self,
        headings: &[&str],
        right: &[usize],
        rows: impl IntoIterator<Item = R>,
    ) {
        self.parts.push(Part::Table(Table::new(headings, right, rows)));
    }

    /// As [`Self::table`], with lines of the last column broken so that none is wider than this.
    pub(super) fn table_within<R: Into<Row>>(
        &mut self,
        width: u16,
        headings: &[&str],
        rows: impl IntoIterator<Item = R>,
    ) {
        self.parts.push(Part::Table(Table::new(headings, &[], rows).broken_at(width)));
    }

    /// Blocks with an empty line between them.
    pub(super) fn blocks(blocks: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for (number, block) in blocks.into_iter().enumerate() {
            if number > 0 {
                all.gap();
            }
            all.append(&block);
        }
        all
    }

    /// As it is shown there.
    pub(super) fn laid_out(&self, layout: Layout) -> String {
        let mut shown = String::new();
        for part in &self.parts {
            match part {
                Part::Line(text, mark) => {
                    let mark = mark.filter(|_| !text.is_empty());
                    // A string takes all that is written to it.
                    let _ = writeln!(shown, "{}", Marked { text, mark, coloured: layout.colours });
                }
                Part::Table(table) => table.lay_out(layout, &mut shown),
            }
        }
        shown
    }
}

impl Display for Text {
    /// As it is in a file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.laid_out(Layout::default()))
    }
}

impl<L: Display> Extend<L> for Text {
    fn extend<T: IntoIterator<Item = L>>(&mut self, lines: T) {
        lines.into_iter().for_each(|line| self.line(line));
    }
}

#[cfg(test)]
mod tests;
