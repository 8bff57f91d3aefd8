//! A value of a document, which knows where it is. Nothing that is written is forgotten.

use super::{
    merge_key::merged,
    scalar::Scalar,
    tree::{Record, Records, Tree, What},
};

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

/// A value in a tree. What an alias stands for is at its anchor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'t> {
    tree: &'t Tree,
    is_anchored: bool,
    index: usize,
}

impl<'t> Node<'t> {
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

    pub(super) fn is_sequence(self) -> bool {
        matches!(self.record().what, What::Sequence(_))
    }

    /// The items of a sequence; none of anything else.
    pub(super) fn items(self) -> Inside<'t> {
        if self.is_sequence() { self.inside() } else { Inside { end: self.index, ..self.inside() } }
    }

    /// The keys and values of a mapping, with those of others that it merges; none of anything else.
    pub(super) fn entries(self) -> Entries<'t> {
        match self.record().what {
            What::Merging(_) => Entries::Merged(merged(self.written().collect()).into_iter()),
            _ => self.written(),
        }
    }

    /// The keys and values that are written in the mapping itself.
    fn written(self) -> Entries<'t> {
        let end = if self.is_mapping() { self.inside().end } else { self.index };
        Entries::Written(Inside { end, ..self.inside() })
    }

    fn inside(self) -> Inside<'t> {
        let Self { tree, is_anchored, index } = self;
        Inside { tree, is_anchored, next: index + 1, end: self.records().behind(index) }
    }

    /// The value of a key: the first, if there are more.
    pub(super) fn get(self, name: &str) -> Option<Self> {
        self.entries().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
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

/// Keys and values.
#[derive(Debug, Clone)]
pub(super) enum Entries<'t> {
    Written(Inside<'t>),
    Merged(std::vec::IntoIter<(Node<'t>, Node<'t>)>),
}

impl<'t> Iterator for Entries<'t> {
    type Item = (Node<'t>, Node<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Written(inside) => Some((inside.next()?, inside.next()?)),
            Self::Merged(entries) => entries.next(),
        }
    }
}
