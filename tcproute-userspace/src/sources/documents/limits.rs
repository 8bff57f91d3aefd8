//! How much input is read at most, so that no file can take all of the node's time or memory.

/// Bytes in a file. A Dataplane has some 250, so this is room for 250,000 of them.
pub(in crate::sources) const FILE: usize = 64 << 20;

/// Collections inside each other. Resources need less than 20; what the YAML parser does grows with the square.
pub(super) const DEPTH: usize = 128;

/// Values and keys in a document. One may need some 200 bytes on its way to a resource.
pub(super) const VALUES: usize = 4_000_000;

/// Values that the aliases of a document stand for: a few lines of aliases to aliases could stand for billions.
pub(super) const ALIASED_VALUES: usize = 500_000;

/// Bytes of text that the aliases of a document stand for.
pub(super) const ALIASED_TEXT: usize = 16 << 20;

/// Violations that are told. Nobody reads more, and a wrong file might have millions.
pub(in crate::sources) const VIOLATIONS: usize = 20_000;
