//! Text for people, made of lines. Each is escaped when it is put in, so what others wrote stays in its line and
//! column.

use std::{
    fmt::{Display, Write as _},
    ops::Range,
};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use crate::escaped::Escaped;

/// Lines that may be shown on a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    lines: String,
    /// Where the headings of tables are.
    headings: Vec<Range<usize>>,
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
        // A string takes all that is written to it.
        let _ = writeln!(self.lines, "{}", Escaped(line));
    }

    /// Adds an empty line.
    pub(super) fn gap(&mut self) {
        self.lines.push('\n');
    }

    /// Adds the lines of another one.
    pub(super) fn append(&mut self, other: &Self) {
        let at = self.lines.len();
        self.headings.extend(other.headings.iter().map(|it| it.start + at..it.end + at));
        self.lines += &other.lines;
    }

    /// Adds rows, lined up under their headings; `right` names the columns that are numbers.
    pub(super) fn table(
        &mut self,
        headings: &[&str],
        right: &[usize],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        self.append_table(&lined_up(headings, right, rows));
    }

    /// As [`Self::table`], with lines of the last column broken so that none is wider than this.
    pub(super) fn table_within(
        &mut self,
        width: u16,
        headings: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        let mut table = lined_up(headings, &[], rows);
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        let others = headings.len().saturating_sub(1);
        for column in table.column_iter_mut().take(others) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        self.append_table(&table);
    }

    fn append_table(&mut self, table: &Table) {
        let at = self.lines.len();
        let table = table.to_string();
        self.lines.extend(table.lines().flat_map(|line| [line.trim_end(), "\n"]));
        let heading = table.lines().next().unwrap_or_default().trim_end().len() + 1;
        self.headings.push(at..at + heading);
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

    /// Without the headings of its tables.
    pub(super) fn without_headings(mut self) -> Self {
        for heading in std::mem::take(&mut self.headings).into_iter().rev() {
            self.lines.replace_range(heading, "");
        }
        self
    }

    /// As it is shown.
    pub(super) fn as_str(&self) -> &str {
        &self.lines
    }
}

fn lined_up(headings: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    let rows =
        rows.into_iter().map(|row| row.into_iter().map(|cell| Escaped(cell).to_string()).collect::<Vec<_>>());
    table.load_style(presets::NOTHING).set_header(headings).add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

impl<L: Display> Extend<L> for Text {
    fn extend<T: IntoIterator<Item = L>>(&mut self, lines: T) {
        lines.into_iter().for_each(|line| self.line(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_in_its_line_and_column() {
        let mut text = Text::of("name \x1b[2J\nerror: forged");
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        text.table(&["NAME", "COUNT"], &[1], [row(["a\nb\r\u{202e}", "1"]), row(["c", "20"])]);
        let lines: Vec<&str> = text.as_str().lines().collect();
        assert_eq!(
            lines,
            [
                r"name \u{1b}[2J\nerror: forged",
                "NAME            COUNT",
                r"a\nb\r\u{202e}      1",
                "c                  20",
            ]
        );
    }

    #[test]
    fn headings_can_be_left_out() {
        let mut block = Text::of("a block");
        block.table(&["NAME", "COUNT"], &[1], [vec!["a".to_owned(), "1".to_owned()]]);
        let text = Text::blocks([block.clone(), block]).without_headings();
        assert_eq!(text.as_str(), "a block\na         1\n\na block\na         1\n");
    }

    #[test]
    fn long_cells_go_on_in_their_column() {
        let mut text = Text::default();
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        text.table_within(20, &["ID", "FOUND"], [row(["a-name", "so many words here"]), row(["b", "few"])]);
        let lines: Vec<&str> = text.as_str().lines().collect();
        assert_eq!(lines, ["ID      FOUND", "a-name  so many", "        words here", "b       few"]);
    }
}
