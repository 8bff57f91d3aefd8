//! The rows that are shown, and the one that is selected. That one is known by its key, so it stays selected while rows
//! move.

use super::{
    order::{self, Filter, Order},
    row::{Key, Row},
};

/// A view of rows.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// By what they are sorted.
    pub(crate) order: Order,
    /// Words that they have.
    pub(crate) filter: Filter,
    /// Whether only those are shown of which anything fails.
    pub(crate) only_failing: bool,
    /// Indices of the model's rows.
    shown: Vec<usize>,
    selected: Option<Key>,
    /// Where the selected one is among those that are shown.
    at: usize,
}

impl View {
    /// After rows, order or filter have changed. If the selected row is gone, what is in its place is selected.
    pub(crate) fn arrange(&mut self, rows: &[Row]) {
        let words = self.filter.words();
        let is_shown =
            |row: &Row| (!self.only_failing || order::is_failing(row)) && order::has_words(row, &words);
        self.shown.clear();
        self.shown.extend(rows.iter().enumerate().filter(|(_, row)| is_shown(row)).map(|(index, _)| index));
        self.shown.sort_by(|left, right| self.order.compare(&rows[*left], &rows[*right]));
        let found = self
            .selected
            .as_ref()
            .and_then(|selected| self.shown.iter().position(|index| rows[*index].key == *selected));
        self.select(found.unwrap_or(self.at), rows);
    }

    /// Selects the one that is so far below, or above.
    pub(crate) fn move_by(&mut self, places: isize, rows: &[Row]) {
        self.select(self.at.saturating_add_signed(places), rows);
    }

    fn select(&mut self, at: usize, rows: &[Row]) {
        self.at = at.min(self.shown.len().saturating_sub(1));
        // With none to be shown, the one of before is selected again once it is there.
        if let Some(index) = self.shown.get(self.at) {
            self.selected = Some(rows[*index].key.clone());
        }
    }

    /// How many rows are shown.
    pub(crate) const fn len(&self) -> usize {
        self.shown.len()
    }

    /// Where the selected row is among them.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The row at a place.
    pub(crate) fn row<'a>(&self, place: usize, rows: &'a [Row]) -> Option<&'a Row> {
        self.shown.get(place).map(|index| &rows[*index])
    }

    /// The one that is selected, if any is shown.
    pub(crate) fn selected<'a>(&self, rows: &'a [Row]) -> Option<&'a Row> {
        self.row(self.at, rows)
    }
}
