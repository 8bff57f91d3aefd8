//! How much input is read at most, so that no file can take all of the node's time or memory.

use std::time::Duration;

/// Bytes in a file. A Dataplane has some 250, so this is room for 250,000 of them.
pub(super) const FILE: usize = 64 << 20;

/// Collections inside each other. Resources need less than 20; what the YAML parser does grows with the square.
pub(super) const DEPTH: usize = 128;

/// Values and keys in a document. One may need some 200 bytes on its way to a resource.
pub(super) const VALUES: usize = 4_000_000;

/// Values that the aliases of a document stand for: a few lines of aliases to aliases could stand for billions.
pub(super) const ALIASED_VALUES: usize = 500_000;

/// Bytes of text that the aliases of a document stand for.
pub(super) const ALIASED_TEXT: usize = 16 << 20;

/// Violations that are told. Nobody reads more, and a wrong file might have millions.
pub(super) const VIOLATIONS: usize = 20_000;

/// So long a file that has become empty is taken for one whose new content is still to be written. Whoever writes longer is
/// not waited for.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
