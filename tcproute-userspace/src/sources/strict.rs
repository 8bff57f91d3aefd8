//! The unknown fields of a document, all of them: serde's `deny_unknown_fields` stops at the first.

use std::{collections::HashSet, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::StrDeserializer,
};

use super::place::Step;

/// A field that the struct at `parent` does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownField {
    pub(super) parent: Vec<Step>,
    pub(super) name: String,
    pub(super) known: &'static [&'static str],
}

/// Where the reading is, and what was found on the way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) path: Vec<Step>,
    pub(super) unknown: Vec<UnknownField>,
}

/// Around a deserializer, visitor or access: keeps unknown fields from the structs that are read, and notes
/// them instead.
pub(super) struct Strict<'a, T> {
    pub(super) inner: T,
    pub(super) notes: &'a mut Notes,
}

/// Scalars need no watching.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Strict { inner: visitor, notes: self.notes })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_seq(Strict { inner: visitor, notes: self.notes })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Mapping { visitor, known: Some(fields), notes: self.notes };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Mapping { visitor, known: None, notes: self.notes })
    }

    pass_on! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit() deserialize_identifier()
        deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

/// The visitor of an option or a list.
impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Strict { inner: deserializer, notes: self.notes })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Elements { list, index: 0, notes: self.notes })
    }
}

struct Elements<'a, A> {
    list: A,
    index: usize,
    notes: &'a mut Notes,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.notes.path.push(Step::Index(self.index));
        self.index += 1;
        let element = self.list.next_element_seed(Seed { seed, notes: self.notes })?;
        self.notes.path.pop();
        Ok(element)
    }
}

/// The visitor of a struct or of a map with free keys.
struct Mapping<'a, V> {
    visitor: V,
    /// The fields of a struct.
    known: Option<&'static [&'static str]>,
    notes: &'a mut Notes,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Mapping<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not "struct Inbound": the names of our structs mean nothing to who wrote the document.
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let Self { visitor, known, notes } = self;
        visitor.visit_map(Entries { map, known, seen: HashSet::new(), notes })
    }
}

struct Entries<'a, A> {
    map: A,
    known: Option<&'static [&'static str]>,
    seen: HashSet<String>,
    notes: &'a mut Notes,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            // A map would silently keep the last one.
            if !self.seen.insert(name.clone()) {
                return Err(Error::custom(format!("the key `{name}` is there twice")));
            }
            if let Some(known) = self.known.filter(|known| !known.contains(&name.as_str())) {
                let parent = self.notes.path.clone();
                self.notes.unknown.push(UnknownField { parent, name, known });
                self.map.next_value::<IgnoredAny>()?;
                continue;
            }
            let key = seed.deserialize(StrDeserializer::new(&name))?;
            self.notes.path.push(Step::Field(name));
            return Ok(Some(key));
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.map.next_value_seed(Seed { seed, notes: self.notes })?;
        self.notes.path.pop();
        Ok(value)
    }
}

struct Seed<'a, S> {
    seed: S,
    notes: &'a mut Notes,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Strict { inner: deserializer, notes: self.notes })
    }
}
