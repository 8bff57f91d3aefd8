//! What is found wrong while an object is read: noted, so that the reading goes on.

use std::{borrow::Cow, collections::HashSet, fmt, mem};

use serde::de;

use super::{
    limits,
    mark::Mark,
    node::Node,
    path::{Path, prefixes},
    scalar::Scalar,
};
use crate::resources::{Encoding, Strictness, nearest};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sources) struct Note {
    pub(in crate::sources) at: Mark,
    pub(in crate::sources) path: String,
    pub(in crate::sources) message: String,
    /// The known name that is most like the one that is written.
    pub(in crate::sources) suggestion: Option<String>,
}

/// What cannot be gone on from: a struct that refuses what it was given, such as a field under two of its names.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) message: String,
    /// The struct, once it is known.
    pub(super) place: Option<(Mark, String)>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

/// The notes of one object after the other.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Of this object.
    noted: Vec<Note>,
    /// How much is wrong with this object, also what is not told.
    found: usize,
    /// How much was told of the objects before.
    told: usize,
    /// Paths of values that were replaced by others: what the rules say of those is beside the point.
    replaced: HashSet<String>,
    judging: Judging,
    encoding: Encoding,
    strictness: Strictness,
    overflowed: bool,
    /// What one object may take in memory, and what is left of that.
    most: usize,
    room: usize,
}

/// Whether an object is this program's to judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Judging {
    #[default]
    Everything,
    Nothing,
}

impl Notes {
    /// To be called before each object of which more than its kind is read.
    pub(super) const fn begin_object(&mut self, encoding: Encoding, judging: Judging) {
        self.encoding = encoding;
        self.judging = judging;
        self.room = self.most;
    }

    /// The object takes so many bytes more. Whether it may.
    pub(super) fn takes(&mut self, bytes: usize) -> Result<(), Refused> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| Refused {
            message: format!("takes more than {} MiB of memory", self.most >> 20),
            place: None,
        })?;
        Ok(())
    }

    pub(super) fn takes_text_as_number(&self) -> bool {
        self.encoding == Encoding::Protobuf
    }

    /// `most` is how many bytes one object may take in memory.
    pub(super) fn new(strictness: Strictness, most: usize) -> Self {
        Self { strictness, most, ..Self::default() }
    }

    pub(super) fn add(&mut self, at: Mark, path: String, message: String, suggestion: Option<String>) {
        self.found += 1;
        if self.told + self.noted.len() < limits::VIOLATIONS {
            self.noted.push(Note { at, path, message, suggestion });
        } else {
            self.overflowed = true;
        }
    }

    /// A value of the wrong type, instead of which the reader gets an empty one.
    pub(super) fn wrong_type(&mut self, node: Node<'_>, path: &Path<'_>, expected: &str) {
        if self.is_to_tell() {
            self.replaced(path);
            self.add(node.at(), path.to_string(), wrong_type(node, expected), None);
        }
    }

    /// A key that is a collection: its value is left out.
    pub(super) fn wrong_key(&mut self, key: Node<'_>, parent: &Path<'_>) {
        if self.is_to_tell() {
            self.add(key.at(), parent.to_string(), wrong_type(key, "a string"), None);
        }
    }

    pub(super) fn repeated_key(&mut self, at: Mark, parent: &Path<'_>, name: &str) {
        if self.is_to_tell() {
            let message = format!("the key `{}` is there twice", shortened(name));
            self.add(at, parent.to_string(), message, None);
        }
    }

    pub(super) fn replaced(&mut self, path: &Path<'_>) {
        self.replaced.insert(path.to_string());
    }

    pub(super) fn unknown_field(&mut self, at: Mark, parent: &Path<'_>, name: &str, known: &[&str]) {
        if self.strictness == Strictness::Lenient || !self.is_to_tell() {
            return;
        }
        let near = nearest(name, known.iter().copied());
        let name = shortened(name);
        let message = match near {
            Some(near) => format!("unknown field `{name}`, did you mean `{near}`?"),
            None => format!("unknown field `{name}`{}", expected(known)),
        };
        self.add(at, parent.to_string(), message, near.map(str::to_owned));
    }

    /// Whether the rules judged a value that nobody wrote.
    pub(super) fn is_replaced(&self, path: &str) -> bool {
        !self.replaced.is_empty() && prefixes(path).any(|prefix| self.replaced.contains(prefix))
    }

    /// How much is wrong with the object so far.
    pub(super) const fn found(&self) -> usize {
        self.found
    }

    /// Whether there was more than can be told, in all objects together.
    pub(super) const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Ends an object: what is wrong with it, in the order of places. `None` if nothing is; nothing at all if there is
    /// something and too much was told before.
    pub(super) fn end_object(&mut self) -> Option<Vec<Note>> {
        let mut noted = mem::take(&mut self.noted);
        noted.sort_by_key(|note| note.at);
        self.told += noted.len();
        self.replaced.clear();
        (mem::take(&mut self.found) > 0).then_some(noted)
    }

    /// Whether something wrong is to be put into words; if not, it counts all the same.
    fn is_to_tell(&mut self) -> bool {
        if self.judging == Judging::Nothing {
            return false;
        }
        if self.overflowed {
            self.found += 1;
        }
        !self.overflowed
    }
}

/// As serde says it.
fn wrong_type(node: Node<'_>, expected: &str) -> String {
    let found = match (node.scalar(), node.is_mapping()) {
        (Some(Scalar::Null), _) => "null".to_owned(),
        (Some(Scalar::Bool(value)), _) => format!("boolean `{value}`"),
        (Some(Scalar::Integer(number)), _) => format!("integer `{number}`"),
        (Some(Scalar::Float(_)), _) => format!("number `{}`", node.text().map(shortened).unwrap_or_default()),
        (Some(Scalar::Text(text)), _) => format!("string {:?}", shortened(text)),
        (None, true) => "mapping".to_owned(),
        (None, false) => "sequence".to_owned(),
    };
    format!("invalid type: {found}, expected {expected}")
}

/// Enough of a text to find it again.
fn shortened(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

fn expected(known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    match known.split_last() {
        Some((last, [])) => format!(", expected {last}"),
        Some((last, others)) => format!(", expected {} or {last}", others.join(", ")),
        None => String::new(),
    }
}
