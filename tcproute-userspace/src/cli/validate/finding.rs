//! What there is to say of the input, in the same form whatever it is: for formats of other programs.

use std::path::{Path, PathBuf};

use super::Judged;
use crate::{
    lint::{Code, Warning},
    resources::Identity,
    sources::{InputError, Written},
};

/// How much it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Violation,
    Note,
    Lint(Code),
}

/// One thing.
pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) level: Level,
    /// The file as it was named. `None` for what a server has.
    pub(super) file: Option<PathBuf>,
    /// Line and column, counted from 1.
    pub(super) at: Option<(u32, u32)>,
    /// What it is about, where it is in no file.
    pub(super) subject: Option<String>,
    /// All that there is to say.
    pub(super) message: String,
}

/// A warning, and where it is.
pub(super) struct Placed {
    pub(super) warning: Warning,
    /// Of an object of a file that was read.
    pub(super) file: Option<PathBuf>,
    pub(super) at: Option<(u32, u32)>,
    /// The field in its document.
    pub(super) path: String,
}

impl Placed {
    pub(super) fn new(warning: Warning, written: &Written) -> Self {
        match written.find(&warning.object, &warning.field) {
            Some(place) => {
                Self { file: Some(place.file.to_owned()), at: Some(place.at), path: place.path, warning }
            }
            None => Self { file: None, at: None, path: warning.field.clone(), warning },
        }
    }

    /// By file and place; what is in none comes last.
    pub(super) fn order(&self) -> impl Ord + use<'_> {
        (self.file.is_none(), self.file.as_deref(), self.at, &self.warning)
    }

    /// As it is told, without its place.
    pub(super) fn message(&self) -> String {
        let Warning { code, message, .. } = &self.warning;
        format!("{message}; {}", code.remedy())
    }

    /// As one line.
    pub(super) fn line(&self) -> String {
        let place = match (&self.file, self.at) {
            (Some(file), Some((line, column))) => format!("{}:{line}:{column}", file.display()),
            _ => self.warning.object.to_string(),
        };
        format!("warning: {place}: {}: {} ({})", self.path, self.message(), self.warning.code)
    }
}

/// Everything, the worst first.
pub(super) fn all(judged: &Judged) -> impl Iterator<Item = Finding> {
    let errors = judged.reading.errors.iter().map(|error| of_error(error, Rule::Violation, Level::Error));
    let notes = judged.reading.notes.iter().map(|note| of_error(note, Rule::Note, Level::Note));
    let level = if judged.warnings_as_errors { Level::Error } else { Level::Warning };
    let warnings = judged.warnings.iter().map(move |placed| Finding {
        rule: Rule::Lint(placed.warning.code),
        level,
        file: placed.file.clone(),
        at: placed.at,
        subject: Some(placed.warning.object.to_string()),
        message: with_path(&placed.path, &placed.message()),
    });
    errors.chain(warnings).chain(notes)
}

fn of_error(error: &InputError, rule: Rule, level: Level) -> Finding {
    let InputError { file, at, path, message, .. } = error;
    // What is told of a server stands under a name, which is no file.
    let is_file = at.is_some() || file.exists();
    let subject = (!is_file).then(|| file.display().to_string());
    let file = is_file.then(|| file.clone());
    Finding { rule, level, file, at: *at, subject, message: with_path(path, message) }
}

fn with_path(path: &str, message: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

/// What a warning is about, for programs.
pub(super) fn parts(object: &Identity) -> (&'static str, &str, String) {
    let (mesh, name) = &object.key;
    (object.kind, mesh.as_str(), name.to_string())
}

/// A file as others name it.
pub(super) fn plain(file: &Path) -> &Path {
    file.strip_prefix(".").unwrap_or(file)
}
