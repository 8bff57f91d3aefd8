//! A list, read page by page, of which each may be of another moment. Pure.
//!
//! `offset` is an index into a list that the control plane sorts anew for each request, and there is no version to hold
//! on to. So each page begins with the last object of the one before: where that is another one, something has moved,
//! and an object may have been missed or seen twice. Then all of it is read again.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;

/// Objects on a page: the most that a control plane gives.
pub(super) const SIZE: usize = 1000;

/// A page as it is sent.
#[derive(Deserialize)]
struct Sent<'a> {
    total: usize,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    next: Option<Cow<'a, str>>,
}

/// What every object begins with.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) mesh: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
}

/// An object of a list.
pub(super) struct Item<'a> {
    pub(super) head: Head<'a>,
    /// Of its text.
    pub(super) hash: u64,
    pub(super) json: &'a str,
}

/// What is known of a page without reading it again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Summary {
    hash: u64,
    total: usize,
    count: usize,
    /// What its first and last object are called; none of a page without any.
    ends: Option<(Box<str>, Box<str>)>,
    next: Option<usize>,
}

/// What was read of a list the last time.
#[derive(Debug, Default)]
pub(super) struct Known {
    pages: Vec<Summary>,
    hasher: RandomState,
}

/// A list that is being read.
pub(super) struct Pages<'k> {
    known: &'k Known,
    pages: Vec<(Summary, Bytes)>,
    bytes: usize,
    /// Where the next page begins.
    offset: Option<usize>,
}

impl Known {
    /// Begins to read the list once more.
    pub(super) const fn read(&self) -> Pages<'_> {
        Pages { known: self, pages: Vec::new(), bytes: 0, offset: Some(0) }
    }

    /// Keeps what was read. Nothing of it is as it was before.
    pub(super) fn keep(&mut self, whole: Whole) {
        self.pages = whole.pages.into_iter().map(|(summary, _)| summary).collect();
    }

    /// Reads all again at the next time, whatever it is.
    pub(super) fn forget(&mut self) {
        self.pages.clear();
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    /// The objects, in the order of the pages.
    pub(super) fn items<'a>(&self, whole: &'a Whole) -> Result<Vec<Item<'a>>, Failure> {
        let mut items = Vec::new();
        for (place, (_, bytes)) in whole.pages.iter().enumerate() {
            // The last one of the page before is there twice.
            for json in sent(bytes)?.items.unwrap_or_default().into_iter().skip(usize::from(place > 0)) {
                let json = json.get();
                items.push(Item { head: head(json)?, hash: self.hash(json.as_bytes()), json });
            }
        }
        Ok(items)
    }
}

/// A list of one moment, as far as can be told.
pub(super) struct Whole {
    pages: Vec<(Summary, Bytes)>,
    /// How much it is.
    pub(super) bytes: usize,
    /// Whether it is as it was the last time.
    pub(super) is_same: bool,
}

impl Pages<'_> {
    /// What to ask for next; `None` when it is whole.
    pub(super) fn query(&self) -> Option<String> {
        self.offset.map(|offset| format!("?size={SIZE}&offset={offset}"))
    }

    /// Takes the page that was asked for.
    pub(super) fn take(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let offset = self.offset.take().unwrap_or_default();
        let hash = self.known.hash(&bytes);
        let summary = match self.known.pages.get(self.pages.len()) {
            Some(same) if same.hash == hash => same.clone(),
            _ => Summary::of(hash, &bytes)?,
        };
        let torn = |why: &str| Err(Failure::Torn(why.to_owned()));
        if let Some((first, _)) = self.pages.first()
            && first.total != summary.total
        {
            return torn("the number of its objects is another on another page");
        }
        if summary.count != SIZE.min(summary.total.saturating_sub(offset)) {
            return torn("a page has more or fewer objects than it should");
        }
        if let Some((before, _)) = self.pages.last()
            && before.ends.as_ref().map(|(_, last)| last) != summary.ends.as_ref().map(|(first, _)| first)
        {
            return torn("a page does not begin where the one before ends");
        }
        let end = offset + summary.count;
        self.offset = match summary.next {
            Some(next) if next != end || end >= summary.total => {
                return torn("a page tells of another one elsewhere");
            }
            None if end != summary.total => return torn("its pages end too early"),
            Some(_) => Some(end - 1),
            None => None,
        };
        self.bytes += bytes.len();
        self.pages.push((summary, bytes));
        Ok(())
    }

    /// How much was read.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of it, once there is no more to ask for.
    pub(super) fn whole(self) -> Whole {
        let known = &self.known.pages;
        let is_same = known.len() == self.pages.len()
            && known.iter().zip(&self.pages).all(|(known, (summary, _))| known == summary);
        Whole { pages: self.pages, bytes: self.bytes, is_same }
    }
}

impl Summary {
    fn of(hash: u64, bytes: &[u8]) -> Result<Self, Failure> {
        let Sent { total, items, next } = sent(bytes)?;
        let items = items.unwrap_or_default();
        let name = |json: &&RawValue| head(json.get()).map(|head| head.name.into());
        let ends = match (items.first(), items.last()) {
            (Some(first), Some(last)) => Some((name(first)?, name(last)?)),
            _ => None,
        };
        let next = next.map(|url| offset_of(&url)).transpose()?;
        Ok(Self { hash, total, count: items.len(), ends, next })
    }
}

/// An object that is no list, as a list of it alone.
pub(super) fn only(object: &[u8]) -> Bytes {
    [br#"{"total":1,"items":["#, object, b"]}"].concat().into()
}

fn sent(bytes: &[u8]) -> Result<Sent<'_>, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Garbage(error.to_string()))
}

fn head(json: &str) -> Result<Head<'_>, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::Garbage(format!("of an object of the list: {error}")))
}

/// The offset in a `next`, of which nothing else counts: behind a proxy its scheme and host are wrong.
fn offset_of(url: &str) -> Result<usize, Failure> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let offset = pairs.find(|(key, _)| key == "offset").and_then(|(_, value)| value.parse().ok());
    offset.ok_or_else(|| Failure::Garbage("its `next` has no offset".to_owned()))
}

#[cfg(test)]
mod tests;
