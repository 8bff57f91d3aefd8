//! `tcproute validate`: everything that is wrong with files, before a node sees them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use thiserror::Error;

use super::{Routing, diff, input::SourceArguments, output, text::Text};
use crate::{
    routing::DataplaneDifference,
    sources::{self, InputError, Reading, Rules, Strictness, applied, control_plane::Meshes},
};

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// YAML or JSON files, or directories of them; - is standard input. With a source, what would be if they were
    /// applied to it. Without any, what the source has.
    #[arg(required_unless_present_any = ["sources", "url"], value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourceArguments,
    #[command(flatten)]
    routing: Routing,
    /// How the violations are written to standard output.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// One line for each violation.
    #[default]
    Text,
    /// One object, for editors and CI.
    Json,
}

/// The files have violations, which were written already.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Invalid(String);

impl Validate {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let (reading, differences) = match (self.paths.is_empty(), self.sources.is_given()) {
            (true, _) => (self.of_source().await?, None),
            (false, false) => (self.of_paths(), None),
            (false, true) => self.applied().await?,
        };
        match self.output {
            Output::Text => output::show(&text(&reading, differences.as_deref()))?,
            Output::Json => output::json(&Report::of(&reading, differences.as_deref()))?,
        };
        let wrong: HashSet<&Path> = reading.errors.iter().map(|error| error.file.as_path()).collect();
        if wrong.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let violations = counted(reading.errors.len(), "violation");
        let files = counted(reading.files, "file");
        Err(Invalid(format!("{violations} in {} of {files}", wrong.len())).into())
    }

    /// What a source has. Each object is a file of its own.
    async fn of_source(&self) -> Result<Reading> {
        Ok(Reading::of_snapshot(self.sources.snapshot(None, Meshes::All).await?))
    }

    /// What is wrong with files and with what would be if they were applied to what a source has, and which connections
    /// would go elsewhere then.
    async fn applied(&self) -> Result<(Reading, Option<Vec<DataplaneDifference>>)> {
        let mut reading = self.of_paths();
        let snapshot = self.sources.snapshot(self.routing.compat, Meshes::All).await?;
        let applied = applied::judge(reading.resources(), &snapshot);
        reading.errors.extend(applied.refused);
        reading.notes.extend(applied.notes);
        let options = self.routing.options(snapshot.compat, self.sources.in_cluster()?);
        let new = applied::apply(reading.resources(), &snapshot);
        let old = snapshot.resources;
        let wanted = diff::all_dataplanes(&old, &new, None);
        Ok((reading, Some(diff::differences(old, new, options, wanted).await?)))
    }

    fn of_paths(&self) -> Reading {
        // What comes through a pipe as JSON was printed by a tool, which may know more fields; an editor's buffer is
        // YAML.
        let is_piped = self.paths == [Path::new("-")];
        let strictness = match self.sources.strictness() {
            Strictness::Strict if is_piped => Strictness::ByFormat,
            strictness => strictness,
        };
        let standard_input = |path: PathBuf| if path == Path::new("-") { "/dev/stdin".into() } else { path };
        let paths: Vec<PathBuf> = self.paths.iter().cloned().map(standard_input).collect();
        let guard = Some(self.routing.guard.guard());
        let mut reading = sources::read(&paths, Rules { guard, ..strictness.into() });
        if reading.count == 0 {
            // Beside resources it is of no concern what is none; alone it is nothing that was meant.
            let (strange, notes) = reading.notes.into_iter().partition(|note| note.path.is_empty());
            (reading.errors, reading.notes) = ([reading.errors, strange].concat(), notes);
        }
        reading
    }
}

fn text(reading: &Reading, changes: Option<&[DataplaneDifference]>) -> Text {
    let mut text = Text::default();
    text.extend(&reading.errors);
    text.extend(reading.notes.iter().map(|note| format!("note: {note}")));
    if reading.errors.is_empty() {
        let (files, resources) = (counted(reading.files, "file"), counted(reading.count, "resource"));
        text.line(format_args!("{files}, {resources}: valid"));
        if let Some(changes) = changes {
            text.gap();
            text.append(&diff::table(changes));
        }
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    files: usize,
    resources: usize,
    violations: Vec<Violation<'a>>,
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

impl<'a> Report<'a> {
    fn of(reading: &'a Reading, changes: Option<&'a [DataplaneDifference]>) -> Self {
        Self {
            changes,
            valid: reading.errors.is_empty(),
            files: reading.files,
            resources: reading.count,
            violations: reading.errors.iter().map(Violation::from).collect(),
            notes: reading.notes.iter().map(Violation::from).collect(),
        }
    }
}
