//! A tree to JSON on one line, from which the same object is read again.

use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use super::{
    node::{Node, Value},
    scalar::Scalar,
};
use crate::resources::wire::Envelope;

/// An object, with what its list says of its kind.
pub(super) fn json(node: &Node, of_list: Option<&Envelope>) -> Option<Box<str>> {
    let json = match (&node.value, of_list) {
        (Value::Mapping(entries), Some(envelope)) => serde_json::to_string(&Item { entries, envelope }),
        _ => serde_json::to_string(node),
    };
    json.ok().map(Into::into)
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Sequence(items) => serializer.collect_seq(items.iter()),
            Value::Mapping(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (Key(key), value))),
            Value::Quoted(text) => serializer.serialize_str(text),
            Value::Plain(text) => match Scalar::plain(text) {
                Scalar::Null => serializer.serialize_unit(),
                Scalar::Bool(value) => serializer.serialize_bool(value),
                Scalar::Integer(number) => serializer.serialize_i128(number),
                Scalar::Float(number) if number.is_finite() => serializer.serialize_f64(number),
                Scalar::Float(_) => serializer.serialize_str(text),
                Scalar::Text(text) => serializer.serialize_str(text),
            },
        }
    }
}

/// A key as it is written: `8080:` is the text `8080`.
struct Key<'a>(&'a Node);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text().unwrap_or_default())
    }
}

/// An item without a kind of its own.
struct Item<'a> {
    entries: &'a [(Node, Node)],
    envelope: &'a Envelope,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Envelope { r#type, kind, api_version } = self.envelope;
        for (name, value) in [("type", r#type), ("kind", kind), ("apiVersion", api_version)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (key, value) in self.entries {
            map.serialize_entry(&Key(key), value)?;
        }
        map.end()
    }
}
