//! Rows that are lined up under their headings.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, presets};

use super::Layout;
use crate::{
    colours::{Mark, Marked},
    escaped::Escaped,
};

/// Between two columns.
const GAP: u16 = 2;

/// Ends what is cut.
const CUT: &str = "…";

/// A row, which may not be like the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Row {
    cells: Vec<String>,
    mark: Option<Mark>,
}

impl Row {
    pub(in crate::cli) fn marked(mark: Option<Mark>, cells: Vec<String>) -> Self {
        Self { cells, mark }
    }

    /// With further cells at its end.
    pub(in crate::cli) fn and(mut self, more: Vec<String>) -> Self {
        self.cells.extend(more);
        self
    }
}

impl From<Vec<String>> for Row {
    fn from(cells: Vec<String>) -> Self {
        Self { cells, mark: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    headings: Vec<String>,
    /// The columns that are numbers.
    right: Vec<usize>,
    /// Escaped.
    rows: Vec<Row>,
    /// Where lines of the last column are broken, whatever the screen.
    broken_at: Option<u16>,
}

impl Table {
    pub(super) fn new<R: Into<Row>>(
        headings: &[&str],
        right: &[usize],
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        let escaped = |row: R| {
            let Row { cells, mark } = row.into();
            Row { cells: cells.into_iter().map(|cell| Escaped(cell).to_string()).collect(), mark }
        };
        Self {
            headings: headings.iter().map(|&heading| heading.to_owned()).collect(),
            right: right.to_vec(),
            rows: rows.into_iter().map(escaped).collect(),
            broken_at: None,
        }
    }

    pub(super) fn broken_at(self, width: u16) -> Self {
        Self { broken_at: Some(width), ..self }
    }

    pub(super) fn lay_out(&self, layout: Layout, shown: &mut String) {
        let table = self.lined_up(layout.width).to_string();
        let mut lines = table.lines().map(str::trim_end);
        let headings = lines.next().unwrap_or_default();
        if layout.headings {
            // A string takes all that is written to it.
            let _ = writeln!(shown, "{headings}");
        }
        let mut rows = self.rows.iter();
        let mut row = None;
        for text in lines {
            // What goes on has nothing in its first column.
            if self.broken_at.is_none() || !text.starts_with(' ') {
                row = rows.next();
            }
            let mark = row.and_then(|row| row.mark);
            let _ = writeln!(shown, "{}", Marked { text, mark, coloured: layout.colours });
        }
    }

    fn lined_up(&self, width: Option<u16>) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(&self.headings).set_truncation_indicator(CUT);
        table.add_rows(self.rows.iter().map(|row| &row.cells));
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, GAP));
            if self.right.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if let Some(width) = self.broken_at {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
            let others = self.headings.len().saturating_sub(1);
            for column in table.column_iter_mut().take(others) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        } else if let Some(width) = width {
            // Nothing comes after the last gap.
            let mut headings = comfy_table::Row::from(&self.headings);
            headings.max_height(1);
            table
                .set_header(headings)
                .set_width(width.saturating_add(GAP))
                .set_content_arrangement(ContentArrangement::Dynamic)
                .row_iter_mut()
                .for_each(|row| {
                    row.max_height(1);
                });
        }
        table
    }
}
