//! What is wrong with the input, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    /// Line and column, counted from 1.
    pub(super) at: Option<(usize, usize)>,
}

impl Place {
    pub(super) fn file(file: &Path) -> Self {
        Self { file: file.to_path_buf(), at: None }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> InputError {
        InputError { place: self.clone(), path: String::new(), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.at {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// One thing that is wrong, printed as `file:line:column: field: message`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct InputError {
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) message: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, path, message } = self;
        if path.is_empty() {
            write!(f, "{place}: {message}")
        } else {
            write!(f, "{place}: {path}: {message}")
        }
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
