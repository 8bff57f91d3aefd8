//! Trees to serde structs, with everything that is wrong noted on the way: a field that the struct does not
//! have, a key that is there twice, a value of the wrong type. serde itself would stop at the first.
//!
//! Instead of a value of the wrong type the struct gets an empty one. What comes of it must not be used, which
//! the note sees to.

use std::collections::HashSet;

use serde::{
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::{
    entries::Entries as Pairs,
    node::{Inside, Node},
    notes::{Notes, Refused},
    path::Path,
    scalar::Scalar,
};

/// Reads one value.
pub(super) struct Lenient<'a> {
    pub(super) node: Node<'a>,
    pub(super) path: &'a Path<'a>,
    pub(super) notes: &'a mut Notes,
}

impl<'a> Lenient<'a> {
    fn wrong_type(&mut self, expected: &str) {
        self.notes.wrong_type(self.node, self.path, expected);
    }

    fn integer(&mut self, least: i128, most: i128) -> i128 {
        let number = match self.node.scalar() {
            Some(Scalar::Integer(number)) => Some(number),
            Some(Scalar::Text(text)) if self.notes.takes_text_as_number() => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.wrong_type(&format!("an integer from {least} to {most}"));
                0
            }
        }
    }

    /// An empty value, such as that of a key with nothing behind it, is an empty collection.
    fn is_empty(&self) -> bool {
        self.node.is_null() && self.node.text() == Some("")
    }

    fn elements(self, expected: &str) -> Elements<'a> {
        let items = self.node.items();
        let mut this = self;
        if !this.node.is_sequence() && !this.is_empty() {
            this.wrong_type(expected);
        }
        Elements { items, index: 0, path: this.path, notes: this.notes }
    }

    fn entries(self, known: Option<&'static [&'static str]>) -> Entries<'a> {
        let rest = self.node.entries();
        let mut this = self;
        if !this.node.is_mapping() && !this.is_empty() {
            // Not "struct Inbound": the names of our structs mean nothing to who wrote the document.
            this.wrong_type("a mapping");
        }
        Entries { rest, known, seen: HashSet::new(), value: None, path: this.path, notes: this.notes }
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty => $visit:ident),*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            let number = self.integer(<$type>::MIN.into(), <$type>::MAX.into());
            visitor.$visit(<$type>::try_from(number).unwrap_or_default())
        })*
    };
}

impl<'de> Deserializer<'de> for Lenient<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let Some(scalar) = self.node.scalar() else {
            return if self.node.is_mapping() {
                visitor.visit_map(self.entries(None))
            } else {
                visitor.visit_seq(self.elements("a sequence"))
            };
        };
        match scalar {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Integer(number) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(number),
            },
            Scalar::Float(number) => visitor.visit_f64(number),
            Scalar::Text(text) => visitor.visit_str(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let Some(Scalar::Bool(value)) = self.node.scalar() else {
            self.wrong_type("a boolean");
            return visitor.visit_bool(false);
        };
        visitor.visit_bool(value)
    }

    integers! {
        deserialize_u8: u8 => visit_u8, deserialize_u16: u16 => visit_u16,
        deserialize_u32: u32 => visit_u32, deserialize_u64: u64 => visit_u64,
        deserialize_i32: i32 => visit_i32, deserialize_i64: i64 => visit_i64
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        // Kuma takes no number for a text: what a version such as 1.10 is written like is for quotes to say.
        let Some(Scalar::Text(text)) = self.node.scalar() else {
            self.wrong_type("a string");
            return visitor.visit_str("");
        };
        self.notes.takes(text.len().max(24) + 8)?;
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(self.elements("a sequence"))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_map(self.entries(None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let (at, path) = (self.node.at(), self.path);
        if matches!(path, Path::Field(..)) {
            // It may be apart from what it is in.
            self.notes.takes(size_of::<V::Value>())?;
        }
        visitor.visit_map(self.entries(Some(fields))).map_err(|mut refused: Refused| {
            refused.place.get_or_insert_with(|| (at, path.to_string()));
            refused
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    // Resources have none of these.
    forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct enum
        identifier
    }
}

struct Elements<'a> {
    items: Inside<'a>,
    index: usize,
    path: &'a Path<'a>,
    notes: &'a mut Notes,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let Some(node) = self.items.next() else { return Ok(None) };
        self.notes.takes(size_of::<T::Value>())?;
        let path = Path::Index(self.path, self.index);
        self.index += 1;
        seed.deserialize(Lenient { node, path: &path, notes: self.notes }).map(Some)
    }

    /// For lists to take the room that they need: most have one entry, and would get room for four.
    fn size_hint(&self) -> Option<usize> {
        Some(self.items.clone().count())
    }
}

struct Entries<'a> {
    rest: Pairs<'a>,
    /// The fields of a struct; `None` for a map with free keys.
    known: Option<&'static [&'static str]>,
    seen: HashSet<&'a str>,
    /// What belongs to the key that was told last.
    value: Option<(&'a str, Node<'a>)>,
    path: &'a Path<'a>,
    notes: &'a mut Notes,
}

impl<'a> Entries<'a> {
    /// Whether the struct can be given this key.
    fn accept(&mut self, key: Node<'a>) -> Option<&'a str> {
        let Some(name) = key.text() else {
            self.notes.wrong_key(key, self.path);
            return None;
        };
        if !self.seen.insert(name) {
            self.notes.repeated_key(key.at(), self.path, name);
            return None;
        }
        if let Some(known) = self.known.filter(|known| !known.contains(&name)) {
            self.notes.unknown_field(key.at(), self.path, name, known);
            return None;
        }
        Some(name)
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        while let Some((key, value)) = self.rest.next() {
            if let Some(name) = self.accept(key) {
                self.value = Some((name, value));
                return seed.deserialize(StrDeserializer::new(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        let (name, node) = self.value.take().ok_or_else(|| de::Error::custom("a value before its key"))?;
        if self.known.is_none() {
            self.notes.takes(name.len() + entry::<S::Value>(self.seen.len() == 1))?;
        }
        let path = Path::Field(self.path, name);
        let before = self.notes.found();
        let value = seed.deserialize(Lenient { node, path: &path, notes: self.notes })?;
        // The rules judge a map with free keys as a whole.
        if self.known.is_none() && self.notes.found() > before {
            self.notes.replaced(self.path);
        }
        Ok(value)
    }

    /// As of lists.
    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.clone().count())
    }
}

/// What an entry of a map takes beside its name, in bytes.
const fn entry<T>(is_first: bool) -> usize {
    /// What the allocator adds to a text.
    const TEXT: usize = 24;
    let size = size_of::<(Box<str>, T)>() + TEXT;
    // Of any JSON such a map takes room for eleven at a time.
    if is_first && size_of::<T>() != size_of::<Box<str>>() { 11 * size } else { size }
}

#[cfg(test)]
mod tests;
