//! YAML documents to resources, each error with its place. The only file that knows the YAML crate.

use std::{fmt, path::Path};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Deserializer, Error};

use super::error::{InputError, Place};
use crate::resources::{Kind, Reader, Resource, nearest, wire::Envelope};

/// A resource and its document's number within the text, counted from 0.
pub(super) struct Found {
    pub(super) resource: Resource,
    pub(super) document: usize,
}

/// Where a document names its resource.
pub(super) fn place_of_name(file: &Path, text: &str, document: usize) -> Place {
    let place = |path| locate(text, document, path);
    let kubernetes = place("metadata.name").filter(|at| Some(*at) != place(""));
    Place { file: file.to_path_buf(), at: kubernetes.or_else(|| place("name")) }
}

/// The resources of all documents of a text. JSON is YAML.
pub(super) fn resources(file: &Path, text: &str, errors: &mut Vec<InputError>) -> Vec<Found> {
    let mut all = Vec::new();
    // Each document is read twice: for its kind, and as that kind. Both passes go side by side.
    let passes = Deserializer::from_str(text).zip(Deserializer::from_str(text));
    for (number, (first, second)) in passes.enumerate() {
        let locate = |path: &str| Place { file: file.to_path_buf(), at: locate(text, number, path) };
        let envelope = match Option::<Envelope>::deserialize(first) {
            Ok(Some(envelope)) => envelope,
            Ok(None) => continue,
            Err(error) => {
                errors.push(explain(file, &error));
                // Nothing can be said of what follows broken syntax.
                if error.location().is_none() || is_syntax(text, number) {
                    break;
                }
                continue;
            }
        };
        let (kind, form) = match Kind::of(&envelope) {
            Ok(known) => known,
            Err((field, message)) => {
                errors.push(InputError { place: locate(field), path: field.to_owned(), message });
                continue;
            }
        };
        match (Reader { kind, form }).read(second) {
            Ok(Ok(Some(resource))) => all.push(Found { resource, document: number }),
            Ok(Ok(None)) => {}
            Ok(Err(violations)) => errors.extend(violations.into_iter().map(|violation| InputError {
                place: locate(&violation.path),
                path: violation.path,
                message: violation.message,
            })),
            Err(error) => errors.push(explain(file, &error)),
        }
    }
    all
}

/// Whether the document cannot be read as YAML at all.
fn is_syntax(text: &str, number: usize) -> bool {
    Deserializer::from_str(text).nth(number).is_none_or(|document| IgnoredAny::deserialize(document).is_err())
}

/// Takes serde_yaml's message apart: `path: message at line 1 column 2`.
fn explain(file: &Path, error: &Error) -> InputError {
    let at = error.location().map(|location| (location.line(), location.column()));
    let mut message = error.to_string();
    if let Some((line, column)) = at {
        message = message.replace(&format!(" at line {line} column {column}"), "");
    }
    let is_path = |path: &str| !path.is_empty() && !path.contains(' ') && !path.contains('`');
    let (path, message) = match message.split_once(": ") {
        Some((path, rest)) if is_path(path) => (path.to_owned(), rest.to_owned()),
        _ => (String::new(), message),
    };
    let message = propose(&message).unwrap_or(message);
    InputError { place: Place { file: file.to_path_buf(), at }, path, message }
}

/// Names the nearest known field in serde's "unknown field `a`, expected one of `b`, `c`".
fn propose(message: &str) -> Option<String> {
    let (unknown, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let near = nearest(unknown, known.split('`').skip(1).step_by(2))?;
    Some(format!("unknown field `{unknown}`, did you mean `{near}`?"))
}

/// Line and column of a field, or of the nearest part of its path that exists.
///
/// serde_yaml has no positions in its values, but its errors have: so this reads the document again, follows
/// the path and fails where it ends.
fn locate(text: &str, number: usize, path: &str) -> Option<(usize, usize)> {
    let document = Deserializer::from_str(text).nth(number)?;
    let steps = steps(path);
    let error = Seeker { steps: &steps }.deserialize(document).err()?;
    error.location().map(|location| (location.line(), location.column()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let step = |part: &str| match part.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Step::Index(index),
        _ => Step::Field(part.to_owned()),
    };
    parts.map(step).collect()
}

/// Follows the steps and always fails, at their end or where they lead nowhere.
struct Seeker<'a> {
    steps: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seeker<'_> {
    type Value = ();

    // Scalars fall through to serde's own "invalid type", which carries the place as well.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Some((Step::Field(wanted), rest)) = self.steps.split_first() {
            while let Some(key) = map.next_key::<String>()? {
                if key == *wanted {
                    return map.next_value_seed(Seeker { steps: rest });
                }
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(de::Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.steps.split_first() {
            for _ in 0..*wanted {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Seeker { steps: rest })?;
        }
        Err(de::Error::custom("here"))
    }
}

#[cfg(test)]
mod tests;
