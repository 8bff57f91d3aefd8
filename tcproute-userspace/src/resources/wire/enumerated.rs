//! A value of a protobuf enum, which JSON has as its name or as its number.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

/// A name or a number, or something that is neither.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Enumerated {
    Name(String),
    Number(i64),
    Wrong,
}

impl Enumerated {
    /// Which of these names it is. A number that stands for none counts as the first, as in Kuma.
    pub(crate) fn of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        match self {
            Self::Name(name) => names.iter().find(|known| *known == name).copied(),
            Self::Number(number) => {
                let named = usize::try_from(*number).ok().and_then(|i| names.get(i));
                named.or_else(|| names.first()).copied()
            }
            Self::Wrong => None,
        }
    }
}

impl<'de> Deserialize<'de> for Enumerated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;

        impl<'de> Visitor<'de> for NameOrNumber {
            type Value = Enumerated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Enumerated, E> {
                Ok(Enumerated::Name(name.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Enumerated, E> {
                Ok(i64::try_from(number).map_or(Enumerated::Wrong, Enumerated::Number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Enumerated, E> {
                Ok(Enumerated::Number(number))
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Enumerated, E> {
                Ok(Enumerated::Wrong)
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Enumerated, E> {
                Ok(Enumerated::Wrong)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Enumerated, E> {
                Ok(Enumerated::Wrong)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Enumerated, A::Error> {
                Ok(Enumerated::Wrong)
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Enumerated, A::Error> {
                Ok(Enumerated::Wrong)
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}
