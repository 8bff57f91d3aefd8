//! The kernel tests on several kernels, as tables for a person.

use std::collections::{BTreeMap, BTreeSet};

use crate::test_results::{self, TestResult, TestResults};

/// A kernel and what became of the tests on it.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) name: &'a str,
    pub(crate) results: &'a TestResults,
}

/// A row for each test.
pub(crate) fn by_test(columns: &[Column<'_>]) -> String {
    let rows = names(columns).into_iter().map(|test| {
        let cells =
            columns.iter().map(|column| column.results.of(test).map_or("-", TestResult::word).to_owned());
        (test.to_owned(), cells.collect())
    });
    layout(columns, rows.collect())
}

/// A row for each file of tests, with how long they took.
pub(crate) fn by_file(columns: &[Column<'_>]) -> String {
    let names = names(columns);
    let file = |test: &str| test.split("::").next().unwrap_or_default().to_owned();
    let files: BTreeSet<String> = names.iter().map(|name| file(name)).collect();
    let rows = files.into_iter().map(|name| {
        let tests: Vec<&str> = names.iter().copied().filter(|test| file(test) == name).collect();
        let cells = columns.iter().map(|column| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for result in tests.iter().filter_map(|test| column.results.of(test)) {
                *counts.entry(result.word()).or_default() += 1;
            }
            let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
            let took = column.results.took(&name).map(|seconds| format!(" ({seconds:.0} s)"));
            if words.is_empty() { "-".to_owned() } else { words.join(", ") + &took.unwrap_or_default() }
        });
        let cells = cells.collect();
        (name, cells)
    });
    layout(columns, rows.collect())
}

/// What was skipped, and on which kernels for the same reason.
pub(crate) fn skipped(columns: &[Column<'_>]) -> Vec<String> {
    let mut kernels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for column in columns {
        for reason in column.results.skipped() {
            kernels.entry(reason).or_default().push(column.name);
        }
    }
    kernels.iter().map(|(reason, kernels)| format!("skipped on {}: {reason}", kernels.join(", "))).collect()
}

fn names<'a>(columns: &[Column<'a>]) -> BTreeSet<&'a str> {
    test_results::names(columns.iter().map(|column| column.results))
}

fn layout(columns: &[Column<'_>], rows: Vec<(String, Vec<String>)>) -> String {
    let head = (String::new(), columns.iter().map(|column| column.name.to_owned()).collect());
    let rows: Vec<(String, Vec<String>)> = std::iter::once(head).chain(rows).collect();
    let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| rows.iter().map(|(_, cells)| cells[i].len()).max().unwrap_or(0)).collect();
    let lines = rows.iter().map(|(name, cells)| {
        let cells: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}")).collect();
        format!("{name:first$}{}", cells.concat()).trim_end().to_owned() + "\n"
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_file_and_reasons_gathered() {
        let old = "vm: begin split\ntest a ... ok\ntest b ... ok\nSKIPPED b: too old\ntest result: ok. 2 passed; finished in 1.62s\n";
        let new = "vm: begin split\ntest a ... ok\ntest b ... FAILED\ntest result: FAILED.\n";
        let [old, older, new] = [old, old, new].map(TestResults::read);
        let columns =
            [("5.10", &older), ("6.1", &old), ("new", &new)].map(|(name, results)| Column { name, results });
        let words = |text: String| -> Vec<String> {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(
            words(by_file(&columns)),
            ["5.10 6.1 new", "split 1 ok, 1 skipped (2 s) 1 ok, 1 skipped (2 s) 1 FAILED, 1 ok"]
        );
        assert_eq!(
            words(by_test(&columns)),
            ["5.10 6.1 new", "split::a ok ok ok", "split::b skipped skipped FAILED"]
        );
        assert_eq!(skipped(&columns), ["skipped on 5.10, 6.1: b: too old"]);
    }
}
