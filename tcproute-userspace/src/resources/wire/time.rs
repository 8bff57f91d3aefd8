//! When a resource was made, as control planes and API servers write it.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A time, or something that is none: it only decides which of two resources is the older.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyTime;

        impl<'de> Visitor<'de> for AnyTime {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                Ok(Time(text.parse().ok()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Time, E> {
                Ok(Time(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Time, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Time(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Time, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Time(None))
            }
        }

        deserializer.deserialize_any(AnyTime)
    }
}
