//! Where something is written.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sources) struct Mark {
    /// Counted from 1.
    pub(in crate::sources) line: u32,
    /// Counted from 1, in characters.
    pub(in crate::sources) column: u32,
}

impl Mark {
    /// The place behind this text.
    pub(in crate::sources) fn behind(text: &str) -> Self {
        let last = text.rsplit('\n').next().unwrap_or_default();
        Self {
            line: text.bytes().filter(|byte| *byte == b'\n').count() as u32 + 1,
            column: last.chars().count() as u32 + 1,
        }
    }
}
