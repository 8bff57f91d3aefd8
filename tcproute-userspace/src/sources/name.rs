//! How sources are called.

/// A source by its name, such as `files`.
pub type SourceName = &'static str;
