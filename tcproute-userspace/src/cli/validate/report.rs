//! What `validate` prints of itself: text for people, and JSON.

use serde::Serialize;

use super::{
    Judged, counted, diff,
    finding::{Placed, parts},
    text::Text,
};
use crate::{colours::Mark, routing::DataplaneDifference, sources::InputError};

pub(super) fn text(judged: &Judged) -> Text {
    let Judged { reading, warnings, differences, .. } = judged;
    let mut text = Text::default();
    for error in &reading.errors {
        text.marked(Mark::Error, error);
    }
    for warning in warnings {
        text.marked(Mark::Warning, warning.line());
    }
    text.extend(reading.notes.iter().map(|note| format!("note: {note}")));
    if reading.errors.is_empty() {
        text.line(summary(judged));
        if let Some(changes) = differences {
            text.gap();
            text.append(&diff::table(changes));
        }
    }
    text
}

/// What there is, where nothing is wrong.
pub(super) fn summary(Judged { reading, warnings, .. }: &Judged) -> String {
    let (files, resources) = (counted(reading.files, "file"), counted(reading.count, "resource"));
    let warned = match warnings.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning")),
    };
    format!("{files}, {resources}: valid{warned}")
}

#[derive(Serialize)]
pub(super) struct Report<'a> {
    valid: bool,
    files: usize,
    resources: usize,
    violations: Vec<Violation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warned<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Violation<'a>>,
    /// As `diff` prints them; absent without a source beside the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [DataplaneDifference]>,
}

#[derive(Serialize)]
struct Violation<'a> {
    file: String,
    line: Option<u32>,
    column: Option<u32>,
    path: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'a str>,
}

#[derive(Serialize)]
struct Warned<'a> {
    code: &'static str,
    kind: &'static str,
    mesh: &'a str,
    name: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    path: &'a str,
    message: &'a str,
    remedy: &'static str,
}

impl<'a> From<&'a InputError> for Violation<'a> {
    fn from(error: &'a InputError) -> Self {
        Self {
            file: error.file.display().to_string(),
            line: error.at.map(|(line, _)| line),
            column: error.at.map(|(_, column)| column),
            path: &error.path,
            message: &error.message,
            suggestion: error.suggestion.as_deref(),
        }
    }
}

impl<'a> From<&'a Placed> for Warned<'a> {
    fn from(Placed { warning, file, at, path }: &'a Placed) -> Self {
        let (kind, mesh, name) = parts(&warning.object);
        Self {
            code: warning.code.as_str(),
            kind,
            mesh,
            name,
            file: file.as_ref().map(|file| file.display().to_string()),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            path,
            message: &warning.message,
            remedy: warning.code.remedy(),
        }
    }
}

impl<'a> Report<'a> {
    pub(super) fn of(Judged { reading, warnings, differences, .. }: &'a Judged) -> Self {
        Self {
            changes: differences.as_deref(),
            valid: reading.errors.is_empty(),
            files: reading.files,
            resources: reading.count,
            violations: reading.errors.iter().map(Violation::from).collect(),
            warnings: warnings.iter().map(Warned::from).collect(),
            notes: reading.notes.iter().map(Violation::from).collect(),
        }
    }
}
