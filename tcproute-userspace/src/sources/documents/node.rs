//! A document as a tree that knows where each of its values is, and forgets nothing that is written.

use std::rc::Rc;

use super::scalar::Scalar;

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

/// A value and its place. A copy shares what is inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A scalar that is text whatever it looks like.
    Quoted(Rc<str>),
    /// A scalar that may stand for something else than its text.
    Plain(Rc<str>),
    Sequence(Rc<[Node]>),
    /// Keys and values as written, repeated keys among them.
    Mapping(Rc<[(Node, Node)]>),
}

impl Node {
    /// The text of a scalar, as written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Quoted(text) | Value::Plain(text) => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// What a scalar stands for.
    pub(super) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Quoted(text) => Some(Scalar::Text(text)),
            Value::Plain(text) => Some(Scalar::plain(text)),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// The value of a key: the first, if there are more.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }
}
