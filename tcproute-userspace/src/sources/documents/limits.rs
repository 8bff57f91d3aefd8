//! How much input is read at most, so that no file can take all of the node's time or memory. A file takes no more than
//! eight times its size while it is read, and a small one no more than one of 6 MiB.

/// Bytes in a file. A Dataplane has some 250, so this is room for 250,000 of them.
pub(in crate::sources) const FILE: usize = 64 << 20;

/// Bytes in all files together.
pub(in crate::sources) const ALL_FILES: u64 = 256 << 20;

/// A file that is smaller takes as much room as one of so many bytes: something is known of each.
pub(in crate::sources) const LEAST_FILE: u64 = 1024;

/// Collections inside each other. Resources need less than 20; what the YAML parser does grows with the square.
pub(super) const DEPTH: usize = 128;

/// Values that the aliases of a document stand for: a few lines of aliases to aliases could stand for billions.
pub(super) const ALIASED_VALUES: usize = 500_000;

/// Bytes of text that the aliases of a document stand for.
pub(super) const ALIASED_TEXT: usize = 16 << 20;

/// Violations that are told. Nobody reads more, and a wrong file might have millions.
pub(in crate::sources) const VIOLATIONS: usize = 20_000;

/// Violations that are told of all files together. Past that only the first of each object is.
pub(in crate::sources) const ALL_VIOLATIONS: usize = 2 * VIOLATIONS;

/// Notes that are told of a file.
pub(in crate::sources) const NOTES: usize = 1_000;

/// Objects in a file, by its size. A resource takes 100 bytes or more in the text, and some 400 in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sources) struct ObjectLimits {
    /// All of them.
    pub(in crate::sources) all: usize,
    /// Those that cannot be used. What is told of one takes some 600 bytes.
    pub(in crate::sources) refused: usize,
}

impl ObjectLimits {
    /// For a text of so many bytes.
    pub(in crate::sources) const fn of(text: usize) -> Self {
        const FEW: usize = 256;
        Self { all: FEW + text / 64, refused: FEW + text / 112 }
    }
}

/// What depends on how large the text is. Small ones may have as much as one of [`SMALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Values and keys of one object. A resource has some tens, and each takes 8 bytes or more in the text and 20 when
    /// it is read.
    pub(super) values: usize,
    /// Bytes of what one object becomes as it is written. A resource takes once or twice its text, and a list of very
    /// short entries more.
    pub(super) resource: usize,
    /// Signs that the parser looks ahead for the end of what is in braces or brackets. Each takes 100 bytes.
    pub(super) ahead: usize,
    /// Anchors in a document. Each takes 200 bytes.
    pub(super) anchors: usize,
}

/// Bytes of one object that has as many outbounds as a workload may have routes, unless it is said otherwise.
const OUTBOUNDS: usize = 12 << 20;

/// Bytes of a text that counts as small.
const SMALL: usize = 1 << 20;

impl Limits {
    /// For a text of so many bytes.
    pub(super) fn of(text: usize) -> Self {
        let size = text.max(SMALL);
        let more = text.max(4 * SMALL);
        // Room for a policy with 5,000 backendRefs that is written in braces.
        Self { values: size / 7, resource: (text * 2).max(OUTBOUNDS), ahead: more / 36, anchors: size / 128 }
    }
}
