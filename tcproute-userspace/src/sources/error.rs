//! What is wrong with the input, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::documents::{Mark, Note};

/// One thing that is wrong, printed as `file:line:column: field: message`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct InputError {
    /// The file as it was named.
    pub file: PathBuf,
    /// Line and column, counted from 1.
    pub at: Option<(u32, u32)>,
    /// The field, such as `spec.to[0].targetRef`; empty for what is no field's.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The known name that is most like a misspelt one.
    pub suggestion: Option<String>,
}

impl InputError {
    pub(super) fn new(file: &Path, at: Option<Mark>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            at: at.map(|Mark { line, column }| (line, column)),
            path: String::new(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// What is wrong, for who knows where.
    pub(super) fn without_file(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }

    /// Of an object of a server, where there are no lines that anybody has written.
    pub(super) fn of_object(place: &Path, note: Note) -> Self {
        Self { at: None, ..Self::noted(place, note) }
    }

    pub(super) fn noted(file: &Path, note: Note) -> Self {
        let Note { at, path, message, suggestion } = note;
        Self { path, suggestion, ..Self::new(file, Some(at), message) }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong, one to a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct InputErrors(pub Vec<InputError>);

impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let end = if i + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "{error}{end}")?;
        }
        Ok(())
    }
}
