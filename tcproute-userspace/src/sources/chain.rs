//! An error with all that is behind it.

use std::{error::Error, fmt};

/// Told as `what: why: why of that`.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Many say what is behind them themselves.
            if !told.contains(&text) {
                told = format!("{told}: {text}");
            }
            source = error.source();
        }
        f.write_str(&told)
    }
}
