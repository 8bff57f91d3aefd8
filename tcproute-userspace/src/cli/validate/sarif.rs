//! SARIF 2.1.0, as code scanning and editors read it (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>).

use std::{os::unix::ffi::OsStrExt, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use super::finding::{Finding, Level, Rule, plain};
use crate::lint::Code;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a path in a URI has beside letters and digits.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Serialize)]
pub(super) struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    /// As places are counted.
    column_kind: &'static str,
    results: Vec<ResultOf>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Message>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultOf {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
}

/// Everything as one run.
pub(super) fn log(findings: impl Iterator<Item = Finding>) -> Log {
    let driver = Driver {
        name: "tcproute",
        version: env!("CARGO_PKG_VERSION"),
        rules: rules().map(describe).collect(),
    };
    let results = findings.map(result).collect();
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    Log { schema: SCHEMA, version: "2.1.0", runs: [run] }
}

fn rules() -> impl Iterator<Item = Rule> {
    [Rule::Violation, Rule::Note].into_iter().chain(Code::ALL.map(Rule::Lint))
}

fn describe(rule: Rule) -> Descriptor {
    let text = |text: &str| Message { text: text.to_owned() };
    let (description, help) = match rule {
        Rule::Violation => (text("Something that cannot be used"), None),
        Rule::Note => (text("Something that concerns no route"), None),
        Rule::Lint(code) => (text(code.title()), Some(text(code.remedy()))),
    };
    Descriptor { id: id(rule), short_description: description, help }
}

const fn id(rule: Rule) -> &'static str {
    match rule {
        Rule::Violation => "violation",
        Rule::Note => "note",
        Rule::Lint(code) => code.as_str(),
    }
}

fn result(Finding { rule, level, file, at, subject, message }: Finding) -> ResultOf {
    let level = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    let physical_location = file.map(|file| PhysicalLocation {
        artifact_location: ArtifactLocation { uri: uri(&file) },
        region: at.map(|(start_line, start_column)| Region { start_line, start_column }),
    });
    let logical_locations =
        subject.map(|name| LogicalLocation { fully_qualified_name: name }).into_iter().collect();
    ResultOf {
        rule_id: id(rule),
        rule_index: rules().position(|other| other == rule).unwrap_or_default(),
        level,
        message: Message { text: message },
        locations: [Location { physical_location, logical_locations }],
    }
}

/// A file as a reference that is relative to where the command runs, or else a whole URI.
fn uri(file: &Path) -> String {
    let path = percent_encode(plain(file).as_os_str().as_bytes(), IN_PATHS);
    if file.is_absolute() { format!("file://{path}") } else { path.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_uri() {
        assert_eq!(uri(Path::new("./mesh/a b.yaml")), "mesh/a%20b.yaml");
        assert_eq!(uri(Path::new("/etc/mesh/ü.yaml")), "file:///etc/mesh/%C3%BC.yaml");
        assert_eq!(uri(Path::new("a:b%.yaml")), "a%3Ab%25.yaml");
    }
}
