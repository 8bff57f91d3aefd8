//! What commands print: for people as text, for programs as JSON or YAML.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use super::text::Text;
use crate::escaped;

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

/// Prints the value, or what `text` makes of it. Whether anybody reads on.
pub(super) fn print<T: Serialize>(format: Format, value: &T, text: impl FnOnce(&T) -> Text) -> Result<bool> {
    match format {
        Format::Table => show(&text(value)),
        Format::Json => json(value),
        Format::Yaml => {
            let text = serde_yaml::to_string(value).context("cannot write YAML")?;
            // Not all styles of YAML have escapes. JSON has, and is YAML.
            if escaped::hides(&text) { json(value) } else { write(&text) }
        }
    }
}

/// Prints text for people. Whether anybody reads on.
pub(super) fn show(text: &Text) -> Result<bool> {
    write(text.as_str())
}

/// Prints the value as JSON, on several lines. Whether anybody reads on.
pub(super) fn json<T: Serialize>(value: &T) -> Result<bool> {
    write(&(escaped::pretty_json(value).context("cannot write JSON")? + "\n"))
}

/// Prints the value as JSON, on one line. Whether anybody reads on.
pub(super) fn json_line<T: Serialize>(value: &T) -> Result<bool> {
    write(&(escaped::json(value).context("cannot write JSON")? + "\n"))
}

/// Writes our own words to stdout. Who closes it early, as `head` does, has seen enough: then it is `false`.
pub(super) fn write(text: &str) -> Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// A share from 0 to 1, for people.
pub(super) fn percent(share: f64) -> String {
    // One that is not 0 does not look like 0.
    if share > 0.0 && share < 0.0005 { "< 0.1 %".to_owned() } else { format!("{:.1} %", share * 100.0) }
}
