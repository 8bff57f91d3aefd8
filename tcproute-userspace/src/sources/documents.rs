//! Documents to resources: what kind each object is, and everything that is wrong with it.

use super::{
    lenient::{Lenient, Refused},
    node::{Mark, Node, Value},
    notes::{Note, Notes},
    path::{Path, follow},
    yaml::Documents,
};
use crate::resources::{Kind, Reader, Resource, nearest_kind, wire::Envelope};

/// A resource and where its name is.
pub(super) struct Found {
    pub(super) resource: Resource,
    pub(super) name: Mark,
}

/// What is in a text.
pub(super) struct Content {
    pub(super) found: Vec<Found>,
    /// How many objects should have been resources.
    pub(super) resources: usize,
    pub(super) wrong: Vec<Note>,
    /// Whether more is wrong than `wrong` tells.
    pub(super) more: bool,
}

/// Reads all documents of a text. JSON is YAML.
pub(super) fn read(text: &str) -> Content {
    let mut reading = Reading::default();
    for document in Documents::new(text) {
        match document {
            Ok(node) if node.is_null() => {}
            Ok(node) => reading.object(&node, &Path::Root),
            Err(fault) => reading.notes.add(fault.at, String::new(), fault.message, None),
        }
        if reading.notes.overflowed() {
            break;
        }
    }
    let Reading { found, resources, notes } = reading;
    let more = notes.overflowed();
    Content { found, resources, wrong: notes.into_sorted(), more }
}

#[derive(Default)]
struct Reading {
    found: Vec<Found>,
    resources: usize,
    notes: Notes,
}

impl Reading {
    /// Reads a document, or an item of a list in one.
    fn object(&mut self, node: &Node, path: &Path<'_>) {
        self.notes.begin_object();
        let Some(envelope) = self.envelope(node, path) else { return };
        let reader = match Kind::of(&envelope) {
            Ok((Kind::List, _)) => return self.list(node, path),
            Ok((kind, form)) => Reader { kind, form },
            Err((field, message)) => {
                let near = node.get(field).and_then(Node::text).and_then(nearest_kind);
                let at = follow(node, field);
                return self.notes.add(at, path.join(field), message, near.map(str::to_owned));
            }
        };
        if reader.kind != Kind::Irrelevant {
            self.resources += 1;
        }
        if matches!(reader.kind, Kind::OtherPolicy(_)) {
            self.notes.let_be();
        }
        let before = self.notes.len();
        let read = reader.read(Lenient { node, path, notes: &mut self.notes });
        match read {
            Ok(Ok(Some(resource))) if self.notes.len() == before => {
                self.found.push(Found { resource, name: follow(node, reader.form.name_path()) });
            }
            Ok(Ok(_)) => {}
            Ok(Err(violations)) => {
                for violation in violations {
                    if self.notes.overflowed() {
                        return;
                    }
                    let whole = path.join(&violation.path);
                    if !self.notes.is_replaced(&whole) {
                        let at = follow(node, &violation.path);
                        let suggestion = violation.suggestion.map(str::to_owned);
                        self.notes.add(at, whole, violation.message, suggestion);
                    }
                }
            }
            Err(Refused { message, place }) => {
                let (at, path) = place.unwrap_or_else(|| (node.at, path.to_string()));
                self.notes.add(at, path, message, None);
            }
        }
    }

    fn list(&mut self, node: &Node, path: &Path<'_>) {
        let Some(items) = node.get("items").filter(|items| !items.is_null()) else { return };
        let path = Path::Field(path, "items");
        let Value::Sequence(items) = &items.value else {
            return self.notes.wrong_type(items, &path, "a list of objects");
        };
        for (i, item) in items.iter().enumerate() {
            self.object(item, &Path::Index(&path, i));
        }
    }

    /// Enough of any object to tell what it is.
    fn envelope(&mut self, node: &Node, path: &Path<'_>) -> Option<Envelope> {
        if !matches!(node.value, Value::Mapping(_)) {
            self.notes.wrong_type(node, path, "a mapping");
            return None;
        }
        let before = self.notes.len();
        let mut field = |name: &str| {
            let value = node.get(name).filter(|value| !value.is_null())?;
            if value.text().is_none() {
                self.notes.wrong_type(value, &Path::Field(path, name), "a string");
            }
            value.text().map(str::to_owned)
        };
        let envelope =
            Envelope { r#type: field("type"), kind: field("kind"), api_version: field("apiVersion") };
        (self.notes.len() == before).then_some(envelope)
    }
}

#[cfg(test)]
pub(super) mod tests;
