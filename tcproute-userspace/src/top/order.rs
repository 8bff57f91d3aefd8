//! Which rows are shown, and in which order.

use std::{cmp::Ordering, net::SocketAddr};

use super::row::Row;

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Column {
    /// Connections a second, most first.
    #[default]
    Rate,
    /// Failures a second, most first.
    Failing,
    /// How far the observed share is off, farthest first.
    Deviation,
    /// The 99th percentile of connect(), slowest first.
    Latency,
    /// Dataplane and service.
    Name,
    /// What is dialled.
    Dialled,
}

impl Column {
    const ALL: [Self; 6] =
        [Self::Rate, Self::Failing, Self::Deviation, Self::Latency, Self::Name, Self::Dialled];

    /// The one behind it.
    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// As shown.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Failing => "failures",
            Self::Deviation => "deviation",
            Self::Latency => "p99",
            Self::Name => "name",
            Self::Dialled => "address",
        }
    }
}

/// By what, and whether the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// By what.
    pub(crate) column: Column,
    /// Whether what would be first is last.
    pub(crate) reversed: bool,
}

impl Order {
    /// What is the same stays in the order of names, so that rows stand still.
    pub(super) fn compare(self, left: &Row, right: &Row) -> Ordering {
        let most =
            |of: fn(&Row) -> Option<f64>| of(right).unwrap_or(-1.0).total_cmp(&of(left).unwrap_or(-1.0));
        let order = match self.column {
            Column::Rate => most(|row| row.rate),
            Column::Failing => most(|row| row.failing),
            Column::Deviation => most(|row| row.deviation),
            Column::Latency => slowness(right).cmp(&slowness(left)),
            Column::Name => by_name(left, right),
            Column::Dialled => left.key.dialled.cmp(&right.key.dialled),
        };
        let order = if self.reversed { order.reverse() } else { order };
        order.then_with(|| by_name(left, right)).then_with(|| left.key.cgroup.cmp(&right.key.cgroup))
    }
}

/// The bucket of the 99th percentile; 0 if there was no handshake.
fn slowness(row: &Row) -> u128 {
    match row.latency.quantile(0.99) {
        Some(bound) => bound.as_micros(),
        None if row.latency.buckets.iter().any(|count| *count > 0) => u128::MAX,
        None => 0,
    }
}

fn by_name(left: &Row, right: &Row) -> Ordering {
    fn name(row: &Row) -> (&str, &str, SocketAddr) {
        (&row.key.dataplane, &row.service, row.key.dialled)
    }
    name(left).cmp(&name(right))
}

/// Words that all have to be in a row, in any case of letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter(String);

impl Filter {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Adds a letter.
    pub(crate) fn push(&mut self, letter: char) {
        self.0.push(letter);
    }

    /// Takes the last letter away.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn words(&self) -> Vec<String> {
        self.0.split_whitespace().map(str::to_lowercase).collect()
    }
}

/// Whether all of these lower-case words are in what is shown of the row.
pub(super) fn has_words(row: &Row, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut text = format!("{} {} {} {}", row.key.mesh, row.key.dataplane, row.service, row.key.dialled);
    for backend in &row.backends {
        text.push(' ');
        text.push_str(&backend.target);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Whether anything of it fails, or is taken out.
pub(super) fn is_failing(row: &Row) -> bool {
    row.failing.is_some_and(|rate| rate > 0.0) || row.backends.iter().any(|backend| !backend.out.is_empty())
}
