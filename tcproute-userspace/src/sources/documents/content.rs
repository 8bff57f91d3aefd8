//! What was read of a document, and what kept it from being read.

use super::{mark::Mark, node::Node, tree::Tree};

/// What keeps a document from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Mark,
    pub(super) message: String,
}

/// A document or an item of a list.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) tree: Tree,
    /// So many values it may have, and has more: the others are not there.
    pub(super) beyond: Option<usize>,
}

impl Content {
    pub(super) fn root(&self) -> Option<Node<'_>> {
        Node::root(&self.tree)
    }
}
