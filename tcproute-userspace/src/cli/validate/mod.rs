//! `tcproute validate`: everything that is wrong with files, before a node sees them, and what is surely not meant.
//!
//! - `report`: text for people, and JSON.
//! - `finding`: what there is to say, for `sarif` and `github`.

mod finding;
mod github;
mod report;
mod sarif;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use thiserror::Error;

use super::{Routing, diff, input::SourceArguments, output, text};
use finding::Placed;
use report::Report;

use crate::{
    lint::{self, Scope, lint},
    resources::Resources,
    routing::{self, DataplaneDifference},
    sources::{self, Reading, Rules, Strictness, applied, control_plane::Meshes},
};

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// YAML or JSON files, or directories of them; - is standard input. With a source, what would be if they were
    /// applied to it. Without any, what the source has. Also with -f.
    #[arg(required_unless_present_any = ["sources", "url", "resources"], value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourceArguments,
    #[command(flatten)]
    routing: Routing,
    /// How violations and warnings are written to standard output.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
    /// End with 2 where there is a warning, too: what is valid and surely not meant.
    #[arg(long)]
    warnings_as_errors: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// One line for each.
    #[default]
    Text,
    /// One object, for editors and CI.
    Json,
    /// A log in SARIF 2.1.0, for code scanning.
    Sarif,
    /// Commands of GitHub Actions, which shows them beside the lines.
    Github,
}

/// What is to be told.
struct Judged {
    reading: Reading,
    /// In the order of their places.
    warnings: Vec<Placed>,
    /// Whether these count as violations.
    warnings_as_errors: bool,
    /// What would change in a source.
    differences: Option<Vec<DataplaneDifference>>,
}

/// The input has violations or warnings, which were written already.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Invalid(String);

impl Validate {
    pub(super) async fn run(mut self) -> Result<ExitCode> {
        self.paths.extend(self.sources.take_files());
        let judged = match (self.paths.is_empty(), self.sources.is_given()) {
            (true, _) => self.of_source().await?,
            (false, false) => self.of_files(),
            (false, true) => self.applied().await?,
        };
        match self.output {
            Output::Text => output::show(&report::text(&judged))?,
            Output::Json => output::json(&Report::of(&judged))?,
            Output::Sarif => output::json(&sarif::log(finding::all(&judged)))?,
            Output::Github => {
                let mut commands = github::commands(finding::all(&judged));
                if judged.reading.errors.is_empty() {
                    commands += &(report::summary(&judged) + "\n");
                }
                output::write(&commands)?
            }
        };
        judged.verdict()
    }

    fn of_files(&self) -> Judged {
        let reading = self.of_paths();
        let scope = if reading.lacks { Scope::Torn } else { Scope::Part };
        let warnings = lint(reading.resources(), &self.routing.options(None, false), scope);
        self.judged(reading, warnings, None)
    }

    /// What a source has. Each object is a file of its own.
    async fn of_source(&self) -> Result<Judged> {
        let snapshot = self.sources.snapshot(None, Meshes::All).await?;
        let options = self.routing.options(snapshot.compat, self.sources.in_cluster()?);
        let scope = self.scope(snapshot.lacks())?;
        let reading = Reading::of_snapshot(snapshot);
        let warnings = lint(reading.resources(), &options, scope);
        Ok(self.judged(reading, warnings, None))
    }

    /// What is wrong with files and with what would be if they were applied to what a source has, and which connections
    /// would go elsewhere then.
    async fn applied(&self) -> Result<Judged> {
        let mut reading = self.of_paths();
        let snapshot = self.sources.snapshot(self.routing.compat, Meshes::All).await?;
        let applied = applied::judge(reading.resources(), &snapshot);
        reading.errors.extend(applied.refused);
        reading.notes.extend(applied.notes);
        let options = self.routing.options(snapshot.compat, self.sources.in_cluster()?);
        let scope = self.scope(reading.lacks || snapshot.lacks())?;
        let new = applied::apply(reading.resources(), &snapshot);
        let warnings = lint(&new, &options, scope);
        let differences = differences(snapshot.resources, new, options).await?;
        Ok(self.judged(reading, warnings, Some(differences)))
    }

    /// How much the input has, of which something may be refused.
    fn scope(&self, lacks: bool) -> Result<Scope> {
        Ok(match (lacks, self.sources.has_server()?) {
            (true, _) => Scope::Torn,
            (false, true) => Scope::Whole,
            (false, false) => Scope::Part,
        })
    }

    fn judged(
        &self,
        reading: Reading,
        warnings: Vec<lint::Warning>,
        differences: Option<Vec<DataplaneDifference>>,
    ) -> Judged {
        let mut warnings: Vec<Placed> =
            warnings.into_iter().map(|warning| Placed::new(warning, &reading.written)).collect();
        warnings.sort_by(|a, b| a.order().cmp(&b.order()));
        Judged { reading, warnings, warnings_as_errors: self.warnings_as_errors, differences }
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
        let mut reading = sources::read(&paths, Rules { guard, with_fields: true, ..strictness.into() });
        if reading.count == 0 {
            // Beside resources it is of no concern what is none; alone it is nothing that was meant.
            let (strange, notes) = reading.notes.into_iter().partition(|note| note.path.is_empty());
            (reading.errors, reading.notes) = ([reading.errors, strange].concat(), notes);
        }
        reading
    }
}

impl Judged {
    fn verdict(&self) -> Result<ExitCode> {
        let wrong: HashSet<&Path> = self.reading.errors.iter().map(|error| error.file.as_path()).collect();
        if !wrong.is_empty() {
            let violations = counted(self.reading.errors.len(), "violation");
            let files = counted(self.reading.files, "file");
            return Err(Invalid(format!("{violations} in {} of {files}", wrong.len())).into());
        }
        if self.warnings_as_errors && !self.warnings.is_empty() {
            return Err(Invalid(counted(self.warnings.len(), "warning")).into());
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn differences(
    old: Resources,
    new: Resources,
    options: routing::Options,
) -> Result<Vec<DataplaneDifference>> {
    let wanted = diff::all_dataplanes(&old, &new, None);
    diff::differences(old, new, options, wanted).await
}

fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}
