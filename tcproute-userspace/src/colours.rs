//! Whether and how what is shown has colours: on a terminal that has some, unless NO_COLOR is set.

use std::fmt::{self, Display};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};

/// Whether what is written there may have colours.
pub(crate) fn are_wanted(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// What a colour tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Something that the operator should know.
    Warning,
    /// Something that is wrong.
    Error,
}

impl Mark {
    const fn style(self) -> Style {
        match self {
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Error => AnsiColor::Red.on_default(),
        }
    }
}

/// A text with its mark, if it may have colours.
pub(crate) struct Marked<D> {
    pub(crate) text: D,
    pub(crate) mark: Option<Mark>,
    pub(crate) coloured: bool,
}

impl<D: Display> Display for Marked<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark.filter(|_| self.coloured) {
            Some(mark) => write!(f, "{}{}{:#}", mark.style(), self.text, mark.style()),
            None => self.text.fmt(f),
        }
    }
}
