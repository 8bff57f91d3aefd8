//! YAML documents to resources, each error with its place. The only file that knows the YAML crate.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Deserializer, Error};

use super::{
    error::{InputError, Place},
    place::{Seeker, Spot, Step, path, steps},
    strict::{Notes, Strict, UnknownField},
};
use crate::resources::{
    Kind, Reader, Resource, nearest,
    wire::{Envelope, ListEnvelope},
};

/// A resource and where its name is.
pub(super) struct Found {
    pub(super) resource: Resource,
    pub(super) name: DocumentSpot,
}

/// A spot in one of the documents of a text, which are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DocumentSpot {
    document: usize,
    spot: Spot,
}

/// The resources of all documents of a text. JSON is YAML.
pub(super) fn resources(file: &Path, text: &str, errors: &mut Vec<InputError>) -> Vec<Found> {
    let mut report = Report::default();
    // Each document is read twice: for its kind, and as that kind. Both passes go side by side.
    let passes = Deserializer::from_str(text).zip(Deserializer::from_str(text));
    for (document, (first, second)) in passes.enumerate() {
        let envelope = match Option::<Envelope>::deserialize(first) {
            Ok(Some(envelope)) => envelope,
            Ok(None) => continue,
            Err(error) => {
                report.fault(&error);
                // Nothing can be said of what follows broken syntax.
                if error.location().is_none() || is_syntax(text, document) {
                    break;
                }
                continue;
            }
        };
        let mut item = Item { document, prefix: Vec::new(), report: &mut report };
        let Some(reader) = item.reader(&envelope) else { continue };
        let read = if reader.kind == Kind::List {
            read_list(text, second, &mut item)
        } else {
            Object { reader, item: &mut item }.deserialize(second)
        };
        if let Err(error) = read {
            report.fault(&error);
        }
    }
    report.finish(file, text, errors)
}

/// Whether the document cannot be read as YAML at all.
fn is_syntax(text: &str, number: usize) -> bool {
    Deserializer::from_str(text).nth(number).is_none_or(|document| IgnoredAny::deserialize(document).is_err())
}

fn read_list(text: &str, second: Deserializer<'_>, item: &mut Item<'_>) -> Result<(), Error> {
    let Some(first) = Deserializer::from_str(text).nth(item.document) else { return Ok(()) };
    let envelopes = ListEnvelope::deserialize(first)?.items.unwrap_or_default();
    List { envelopes: &envelopes, item }.deserialize(second)
}

/// Lines and columns, counted from 1, in the order of the spots; `None` for one that is not there.
///
/// In each round the text is read once, for one spot of each document: a file with a fault in each of its
/// thousands of documents would else be read thousands of times.
pub(super) fn places(text: &str, spots: &[DocumentSpot]) -> Vec<Option<(usize, usize)>> {
    let mut places = vec![None; spots.len()];
    let mut documents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, spot) in spots.iter().enumerate() {
        documents.entry(spot.document).or_default().push(i);
    }
    let count = documents.keys().next_back().map_or(0, |last| last + 1);
    let rounds = documents.values().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        for (number, document) in Deserializer::from_str(text).take(count).enumerate() {
            let Some(&i) = documents.get(&number).and_then(|spots| spots.get(round)) else { continue };
            let failed = Seeker::new(&spots[i].spot).deserialize(document).err();
            places[i] = failed.and_then(|error| location(&error));
        }
    }
    places
}

fn location(error: &Error) -> Option<(usize, usize)> {
    error.location().map(|location| (location.line(), location.column()))
}

/// What was found in a text.
#[derive(Default)]
struct Report {
    found: Vec<Found>,
    findings: Vec<Finding>,
}

struct Finding {
    at: At,
    path: String,
    message: String,
}

enum At {
    /// As serde_yaml says.
    Place(Option<(usize, usize)>),
    /// Yet to be looked up.
    Spot(DocumentSpot),
}

impl Report {
    /// Takes serde_yaml's message apart: `path: message at line 1 column 2`.
    fn fault(&mut self, error: &Error) {
        let at = location(error);
        let mut message = error.to_string();
        if let Some((line, column)) = at {
            message = message.replace(&format!(" at line {line} column {column}"), "");
        }
        let is_path = |path: &str| !path.is_empty() && !path.contains(' ') && !path.contains('`');
        let (path, message) = match message.split_once(": ") {
            Some((path, rest)) if is_path(path) => (path.to_owned(), rest.to_owned()),
            _ => (String::new(), message),
        };
        self.findings.push(Finding { at: At::Place(at), path, message });
    }

    fn finish(self, file: &Path, text: &str, errors: &mut Vec<InputError>) -> Vec<Found> {
        let spot = |finding: &Finding| match &finding.at {
            At::Spot(spot) => Some(spot.clone()),
            At::Place(_) => None,
        };
        let spots: Vec<DocumentSpot> = self.findings.iter().filter_map(spot).collect();
        let mut places = places(text, &spots).into_iter();
        let known = self.findings.into_iter().map(|Finding { at, path, message }| {
            let at = match at {
                At::Place(at) => at,
                At::Spot(_) => places.next().flatten(),
            };
            InputError { place: Place { file: file.to_path_buf(), at }, path, message }
        });
        let mut known: Vec<InputError> = known.collect();
        known.sort_by_key(|error| error.place.at);
        errors.extend(known);
        self.found
    }
}

/// The object that is being read: a document, or an item of a list in one.
struct Item<'a> {
    document: usize,
    /// Where it is in its document.
    prefix: Vec<Step>,
    report: &'a mut Report,
}

impl Item<'_> {
    fn reader(&mut self, envelope: &Envelope) -> Option<Reader> {
        match Kind::of(envelope) {
            Ok((kind, form)) => Some(Reader { kind, form }),
            Err((field, message)) => {
                self.violation(field, message);
                None
            }
        }
    }

    fn spot(&self, path: &str) -> DocumentSpot {
        let steps = self.prefix.iter().cloned().chain(steps(path)).collect();
        DocumentSpot { document: self.document, spot: Spot { steps, key: None } }
    }

    fn violation(&mut self, field: &str, message: String) {
        let spot = self.spot(field);
        self.report.findings.push(Finding { path: path(&spot.spot.steps), at: At::Spot(spot), message });
    }

    fn unknown(&mut self, field: UnknownField) {
        let message = unknown_field(&field.name, field.known);
        let path = path(&field.parent);
        let spot = Spot { steps: field.parent, key: Some(field.name) };
        let at = At::Spot(DocumentSpot { document: self.document, spot });
        self.report.findings.push(Finding { at, path, message });
    }
}

fn unknown_field(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("unknown field `{name}`, did you mean `{near}`?");
    }
    let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    match known.split_last() {
        Some((last, [])) => format!("unknown field `{name}`, expected {last}"),
        Some((last, others)) => format!("unknown field `{name}`, expected {} or {last}", others.join(", ")),
        None => format!("unknown field `{name}`"),
    }
}

/// Reads an object whose kind is known.
struct Object<'i, 'r> {
    reader: Reader,
    item: &'i mut Item<'r>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, object: D) -> Result<(), D::Error> {
        let Self { reader, item } = self;
        let mut notes = Notes { path: item.prefix.clone(), unknown: Vec::new() };
        let read = match reader.kind {
            // Of this nothing but the name is known.
            Kind::OtherPolicy(_) => reader.read(object),
            _ => reader.read(Strict { inner: object, notes: &mut notes }),
        };
        for field in notes.unknown {
            item.unknown(field);
        }
        match read? {
            Ok(Some(resource)) => {
                let name = item.spot(reader.form.name_path());
                item.report.found.push(Found { resource, name });
            }
            Ok(None) => {}
            Err(violations) => {
                for violation in violations {
                    item.violation(&violation.path, violation.message);
                }
            }
        }
        Ok(())
    }
}

/// Reads the items of a list, whose envelopes were read before.
struct List<'i, 'r> {
    envelopes: &'i [Envelope],
    item: &'i mut Item<'r>,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    /// The object around the items.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { envelopes, item } = self;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(List { envelopes, item: &mut *item })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for (i, envelope) in self.envelopes.iter().enumerate() {
            self.item.prefix = vec![Step::Field("items".to_owned()), Step::Index(i)];
            match self.item.reader(envelope) {
                Some(reader) => items.next_element_seed(Object { reader, item: &mut *self.item })?,
                None => items.next_element::<IgnoredAny>()?.map(|_| ()),
            };
        }
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
