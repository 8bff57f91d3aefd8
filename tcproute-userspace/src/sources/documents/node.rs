//! A value of a document, which knows where it is. Nothing that is written is forgotten.

use super::{
    mark::Mark,
    scalar::Scalar,
    tree::{Record, Records, Tree, What},
};

/// A value in a tree. What an alias stands for is at its anchor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'t> {
    tree: &'t Tree,
    is_anchored: bool,
    index: usize,
}

impl<'t> Node<'t> {
    /// The outermost value, if there is any.
    pub(super) fn root(tree: &'t Tree) -> Option<Self> {
        (tree.own.len() > 0).then(|| Self::own(tree, 0))
    }

    pub(super) fn own(tree: &'t Tree, index: usize) -> Self {
        Self::of(tree, false, index)
    }

    fn of(tree: &'t Tree, is_anchored: bool, index: usize) -> Self {
        let this = Self { tree, is_anchored, index };
        match this.record().what {
            What::Alias(anchored) => Self::of(tree, true, anchored as usize),
            _ => this,
        }
    }

    const fn records(self) -> &'t Records {
        if self.is_anchored { &self.tree.anchored } else { &self.tree.own }
    }

    fn record(self) -> Record {
        self.records().get(self.index)
    }

    /// Tells it from all others in the tree.
    pub(super) const fn number(self) -> usize {
        self.index * 2 + self.is_anchored as usize
    }

    pub(super) fn at(self) -> Mark {
        self.record().at
    }

    /// The text of a scalar, as written.
    pub(super) fn text(self) -> Option<&'t str> {
        match self.record().what {
            What::Quoted(span) | What::Plain(span) => Some(self.records().text(span)),
            _ => None,
        }
    }

    /// What a scalar stands for.
    pub(super) fn scalar(self) -> Option<Scalar<'t>> {
        let text = self.text()?;
        Some(if self.is_plain() { Scalar::plain(text) } else { Scalar::Text(text) })
    }

    /// Whether it is a scalar that may stand for something else than its text.
    pub(super) fn is_plain(self) -> bool {
        matches!(self.record().what, What::Plain(_))
    }

    pub(super) fn is_null(self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    pub(super) fn is_mapping(self) -> bool {
        matches!(self.record().what, What::Mapping(_) | What::Merging(_))
    }

    /// Whether it is a mapping with a key `<<`.
    pub(super) fn merges(self) -> bool {
        matches!(self.record().what, What::Merging(_))
    }

    pub(super) fn is_sequence(self) -> bool {
        matches!(self.record().what, What::Sequence(_))
    }

    /// The items of a sequence; none of anything else.
    pub(super) fn items(self) -> Inside<'t> {
        self.inside_if(self.is_sequence())
    }

    /// The keys and values that are written in a mapping itself, by turns; none of anything else.
    pub(super) fn written(self) -> Inside<'t> {
        self.inside_if(self.is_mapping())
    }

    fn inside_if(self, is_collection: bool) -> Inside<'t> {
        let Self { tree, is_anchored, index } = self;
        let end = if is_collection { self.records().behind(index) } else { index };
        Inside { tree, is_anchored, next: index + 1, end }
    }
}

/// The values that stand in a collection.
#[derive(Debug, Clone)]
pub(super) struct Inside<'t> {
    tree: &'t Tree,
    is_anchored: bool,
    next: usize,
    end: usize,
}

impl<'t> Iterator for Inside<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.next >= self.end {
            return None;
        }
        let records = if self.is_anchored { &self.tree.anchored } else { &self.tree.own };
        let node = Node::of(self.tree, self.is_anchored, self.next);
        self.next = records.behind(self.next);
        Some(node)
    }
}
