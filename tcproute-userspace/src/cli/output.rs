//! What commands print: for people as a table, for programs as JSON or YAML.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// How the output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs, and easy to read.
    Yaml,
}

/// Prints the value, or what `table` makes of it. Whether anybody reads on.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<bool> {
    let text = match format {
        Format::Table => printable(&table(value)).into_owned(),
        Format::Json => serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n",
        Format::Yaml => serde_yaml::to_string(value).context("cannot write YAML")?,
    };
    write(&text)
}

/// What others wrote cannot command the terminal: all control characters but the ends of lines are shown as escapes.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n';
    if !text.contains(commands) {
        return text.into();
    }
    let show = |c: char| if commands(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect::<String>().into()
}

/// Writes to stdout. Who closes it early, as `head` does, has seen enough: then it is `false`.
pub(super) fn write(text: &str) -> Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Lines up rows under their headings; `right` names the columns that are numbers.
pub(super) fn align(headings: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings).add_rows(rows);
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.to_string();
    lines.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A share from 0 to 1, for people.
pub(super) fn percent(share: f64) -> String {
    // One that is not 0 does not look like 0.
    if share > 0.0 && share < 0.0005 { "< 0.1 %".to_owned() } else { format!("{:.1} %", share * 100.0) }
}
