//! Names with values, as tags and labels are: a sorted list in one piece. Most have a few entries, and there are very
//! many of them; a `BTreeMap` takes room for eleven entries at once.

use std::{fmt, mem, slice};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// Each name has one value. In the order of the names.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StringMap(Box<[(Box<str>, Box<str>)]>);

impl StringMap {
    /// Without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|at| &*self.0[at].1)
    }

    /// Whether a name has a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Gives a name this value.
    pub fn insert(&mut self, name: &str, value: &str) {
        match self.find(name) {
            Ok(at) => self.0[at].1 = value.into(),
            Err(at) => self.edit(|entries| entries.insert(at, (name.into(), value.into()))),
        }
    }

    /// Gives a name this value, unless it has one.
    pub fn insert_missing(&mut self, name: &str, value: &str) {
        if !self.contains_key(name) {
            self.insert(name, value);
        }
    }

    /// Gives up the value of a name.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.edit(|entries| drop(entries.remove(at)));
        }
    }

    /// Whether it has no entries.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries it has.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Names and values.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Vec<(Box<str>, Box<str>)>)) {
        let mut entries = mem::take(&mut self.0).into_vec();
        edit(&mut entries);
        self.0 = entries.into();
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// Of a name that is there twice the last value counts.
    fn of(mut entries: Vec<(Box<str>, Box<str>)>) -> Self {
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
                if is_same {
                    mem::swap(later, earlier);
                }
                is_same
            });
        }
        Self(entries.into())
    }
}

type Iter<'a> =
    std::iter::Map<slice::Iter<'a, (Box<str>, Box<str>)>, fn(&'a (Box<str>, Box<str>)) -> (&'a str, &'a str)>;

impl<'a> IntoIterator for &'a StringMap {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for StringMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        Self::of(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>, const COUNT: usize> From<[(N, V); COUNT]> for StringMap {
    fn from(entries: [(N, V); COUNT]) -> Self {
        entries.into_iter().collect()
    }
}

impl fmt::Debug for StringMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for StringMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = StringMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StringMap, A::Error> {
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or_default());
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(StringMap::of(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Whatever is written, in whatever order: it has what a `BTreeMap` has.
        #[test]
        fn it_has_what_was_put_in(written in vec(("[a-e]{0,2}", "[a-c]"), 0..12), removed in "[a-e]{0,2}") {
            let mut model: BTreeMap<String, String> = written.iter().cloned().collect();
            let mut map: StringMap = written.into_iter().collect();
            for _ in 0..2 {
                prop_assert!(map.iter().eq(model.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(map.get(&removed), model.get(&removed).map(String::as_str));
                prop_assert_eq!(map.contains_key(&removed), model.contains_key(&removed));
                let json = serde_json::to_string(&map).unwrap();
                prop_assert_eq!(&json, &serde_json::to_string(&model).unwrap());
                prop_assert_eq!(&serde_json::from_str::<StringMap>(&json).unwrap(), &map);
                map.remove(&removed);
                model.remove(&removed);
            }
        }
    }
}
