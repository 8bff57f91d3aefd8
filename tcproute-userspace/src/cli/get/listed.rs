//! Which of a list are meant, and how they are printed.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use kube::core::{Selector, SelectorExt as _};
use serde::{Serialize, Serializer, de::DeserializeOwned};

use super::super::{
    BadUsage,
    output::Named,
    text::{Row, Text},
};
use crate::resources::did_you_mean;

/// One of a list.
pub(super) trait Item: Serialize + DeserializeOwned {
    /// As in `dataplane/web`.
    const SINGULAR: &'static str;
    /// Whether a name and a mesh are those of one alone.
    const IS_ALONE: bool;
    /// The columns that are numbers.
    const NUMBERS: &'static [usize];
    const HEADINGS: &'static [&'static str];
    /// Those that come after these where there is room.
    const MORE: &'static [&'static str] = &[];

    fn mesh(&self) -> &str;
    /// By which it is chosen, on Kubernetes `name.namespace`.
    fn name(&self) -> &str;
    fn namespace(&self) -> Option<&str>;
    /// The labels of each of its parts, one of which has to have all that are asked for; `None` if it has none ever.
    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>>;
    /// By which it is told from all others.
    fn full_name(&self) -> String {
        self.name().to_owned()
    }
    fn row(&self, now: Timestamp) -> Row;
    fn more(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) mesh: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) selector: Option<&'a Selector>,
}

/// What of it there is.
#[derive(Debug)]
pub(super) struct Found<I> {
    items: Vec<I>,
    /// Whether it was one that was asked for.
    is_one: bool,
}

impl Wanted<'_> {
    /// Those that are meant. What is named has to be there.
    pub(super) fn of<I: Item>(&self, mut all: Vec<I>) -> Result<Found<I>, BadUsage> {
        all.retain(|item| {
            self.mesh.is_none_or(|mesh| item.mesh() == mesh)
                && self.namespace.is_none_or(|namespace| item.namespace() == Some(namespace))
        });
        for wanted in &self.names {
            if !all.iter().any(|item| is_called(item, wanted)) {
                let hint = did_you_mean(wanted, all.iter().map(Item::name));
                return Err(BadUsage(format!("there is no {} {wanted:?}{hint}", I::SINGULAR)));
            }
        }
        if !self.names.is_empty() {
            all.retain(|item| self.names.iter().any(|wanted| is_called(item, wanted)));
        }
        if let Some(selector) = self.selector {
            all.retain(|item| {
                item.labels().is_some_and(|parts| parts.iter().any(|labels| selector.matches(labels)))
            });
        }
        let is_one = I::IS_ALONE && self.names.len() == 1 && all.len() == 1;
        Ok(Found { items: all, is_one })
    }
}

/// By its name, or by what of it is before the namespace.
fn is_called(item: &impl Item, wanted: &str) -> bool {
    let without = |namespace| item.name().strip_suffix(namespace).and_then(|name| name.strip_suffix('.'));
    item.name() == wanted || item.namespace().and_then(without) == Some(wanted)
}

impl<I: Item> Found<I> {
    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn table(&self, wide: bool, now: Timestamp) -> Text {
        let mut text = Text::default();
        if self.items.is_empty() {
            return text;
        }
        let more = if wide { I::MORE } else { &[] };
        let rows = self.items.iter().map(|item| {
            let row = item.row(now);
            if wide { row.and(item.more()) } else { row }
        });
        text.table(&[I::HEADINGS, more].concat(), I::NUMBERS, rows);
        text
    }
}

impl<I: Serialize> Serialize for Found<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.items.as_slice() {
            [one] if self.is_one => one.serialize(serializer),
            items => items.serialize(serializer),
        }
    }
}

impl<I: Item> Named for Found<I> {
    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| format!("{}/{}", I::SINGULAR, item.full_name())).collect()
    }
}
