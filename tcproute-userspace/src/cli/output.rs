//! What commands print: for people as text, for programs as JSON, YAML, names, or what an expression finds.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json_path::JsonPath;

use super::text::{Layout, Text};
use crate::{colours, escaped, outcomes::float};

/// How the output is written.
#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// How to print it: table, wide (a table with all there is), json, yaml, name (what it is of, a line each), or
    /// jsonpath=EXPRESSION (RFC 9535, or as kubectl has it: '{.x}').
    #[arg(short, long, default_value = "table", value_name = "FORMAT", value_parser = format)]
    pub(super) output: Format,
    /// Print tables without the line of headings.
    #[arg(long)]
    no_headers: bool,
}

/// How a value is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For people with wide screens.
    Wide,
    /// For programs.
    Json,
    /// For programs, and easy to read.
    Yaml,
    /// For scripts.
    Name,
    /// What an expression finds in it.
    JsonPath(JsonPath),
}

impl Format {
    /// Whether it is for people.
    pub(super) const fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

fn format(text: &str) -> Result<Format, String> {
    Ok(match text {
        "table" => Format::Table,
        "wide" => Format::Wide,
        "json" => Format::Json,
        "yaml" => Format::Yaml,
        "name" => Format::Name,
        _ => {
            let expression = text
                .strip_prefix("jsonpath=")
                .ok_or_else(|| "must be table, wide, json, yaml, name or jsonpath=EXPRESSION".to_owned())?;
            Format::JsonPath(json_path(expression).map_err(|error| error.to_string())?)
        }
    })
}

/// As RFC 9535 has it, which begins with `$`, or as kubectl has it: in braces, from the value on.
fn json_path(text: &str) -> Result<JsonPath, serde_json_path::ParseError> {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text).trim();
    match inside.as_bytes() {
        [b'$', ..] => JsonPath::parse(inside),
        [] | [b'.'] => JsonPath::parse("$"),
        [b'.' | b'[', ..] => JsonPath::parse(&format!("${inside}")),
        _ => JsonPath::parse(&format!("$.{inside}")),
    }
}

/// What has a name.
pub(super) trait Named {
    /// The names of what it is of, as `kind/name`.
    fn names(&self) -> Vec<String>;
}

/// Prints the value, or what `text` makes of it, which is told whether it may be wide. Whether anybody reads on.
pub(super) fn print<T: Serialize + Named>(
    arguments: &OutputArguments,
    value: &T,
    text: impl FnOnce(&T, bool) -> Text,
) -> Result<bool> {
    match &arguments.output {
        format @ (Format::Table | Format::Wide) => {
            let is_wide = *format == Format::Wide;
            let layout = Layout::of_stdout();
            let width = layout.width.filter(|_| !is_wide);
            write(&text(value, is_wide).laid_out(Layout { width, headings: !arguments.no_headers, ..layout }))
        }
        Format::Json => json(value),
        Format::Yaml => {
            let text = serde_yaml::to_string(value).context("cannot write YAML")?;
            // Not all styles of YAML have escapes. JSON has, and is YAML.
            if escaped::hides(&text) { json(value) } else { write(&text) }
        }
        Format::Name => {
            let mut names = Text::default();
            names.extend(value.names());
            show(&names)
        }
        Format::JsonPath(path) => {
            let value = serde_json::to_value(value).context("cannot write JSON")?;
            let mut found = Text::default();
            for found_one in path.query(&value).all() {
                match found_one {
                    serde_json::Value::String(text) => found.line(text),
                    other => found.line(other),
                }
            }
            show(&found)
        }
    }
}

impl Layout {
    /// As wide as the terminal, if there is one.
    fn of_stdout() -> Self {
        let stdout = io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        let width = size.map(|size| size.ws_col).filter(|width| *width > 0);
        Self { width, colours: colours::are_wanted(&stdout), ..Self::default() }
    }
}

/// Prints text for people. Whether anybody reads on.
pub(super) fn show(text: &Text) -> Result<bool> {
    write(&text.laid_out(Layout::of_stdout()))
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

/// A size, for people.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = float(bytes) / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // As it would be rounded.
    while size >= 1023.95
        && let Some(next) = units.next()
    {
        (size, unit) = (size / 1024.0, Some(next));
    }
    format!("{size:.1} {}", unit.unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_are_those_of_the_rfc_or_of_kubectl() {
        let value = json!({"a": [{"b": 1}, {"b": 2}]});
        for text in ["$.a[*].b", "{.a[*].b}", ".a[*].b", "a[*].b", "{ .a[*].b }", "{$.a[*].b}"] {
            let found = json_path(text).unwrap().query(&value).all();
            assert_eq!(found, [&json!(1), &json!(2)], "{text}");
        }
        assert_eq!(json_path("{}").unwrap().query(&value).all(), [&value]);
        assert!(json_path("{.a[}").is_err());
    }

    #[test]
    fn sizes_have_units() {
        for (size, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn formats_have_the_names_that_fingers_know() {
        assert_eq!(format("wide"), Ok(Format::Wide));
        assert!(matches!(format("jsonpath={.a}"), Ok(Format::JsonPath(_))));
        assert!(format("jsonpath=$[").is_err() && format("xml").is_err());
    }
}
