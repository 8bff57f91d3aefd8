//! Where a field is in its document.
//!
//! serde_yaml has no positions in its values, but its errors have: so the document is read again along the
//! path to the field, and the reading fails there on purpose.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step of the path to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

/// The steps of a path such as `spec.to[0].targetRef`.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let step = |part: &str| match part.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Step::Index(index),
        _ => Step::Field(part.to_owned()),
    };
    parts.map(step).collect()
}

/// The path that these steps are.
pub(super) fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => path.extend([".", name]),
            Step::Index(index) => path.extend(["[", &index.to_string(), "]"]),
        }
    }
    path
}

/// A field, or the key of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) steps: Vec<Step>,
    /// If set, the place is that of this key in the mapping at the end of the steps.
    pub(super) key: Option<String>,
}

/// Follows a spot's steps and always fails: at their end, or as near to it as the document goes.
pub(super) struct Seeker<'a> {
    steps: &'a [Step],
    key: Option<&'a str>,
}

impl<'a> Seeker<'a> {
    pub(super) fn new(spot: &'a Spot) -> Self {
        Self { steps: &spot.steps, key: spot.key.as_deref() }
    }
}

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
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
        match (self.steps.split_first(), self.key) {
            (Some((Step::Field(wanted), rest)), key) => {
                while let Some(name) = map.next_key::<String>()? {
                    if name == *wanted {
                        return map.next_value_seed(Seeker { steps: rest, key });
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
            (None, Some(key)) => {
                while map.next_key_seed(KeySeeker(key))?.is_some() {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            (Some((Step::Index(_), _)) | None, _) => {}
        }
        Err(Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.steps.split_first() {
            for _ in 0..*wanted {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Seeker { steps: rest, key: self.key })?;
        }
        Err(Error::custom("here"))
    }
}

/// Fails at the key that is looked for.
struct KeySeeker<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for KeySeeker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeeker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if key == self.0 { Err(E::custom("here")) } else { Ok(()) }
    }
}
