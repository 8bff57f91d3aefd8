//! A document as it grows, event by event, within its bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::{
    content::{Content, Fault},
    entries::is_merge_key,
    limits::{self, Limits},
    mark::Mark,
    tree::{Tree, What},
};

/// A document, or one item of a list after the other.
#[derive(Debug, Clone)]
pub(super) struct Growing {
    content: Content,
    /// The collections that are not at their end, from the outermost inwards.
    open: Vec<Collection>,
    /// How many more there are around those.
    around: usize,
    /// Whether what comes is only looked at.
    is_passing: bool,
    items: Items,
    /// By the parser's number of the anchor.
    anchors: HashMap<usize, Anchored>,
    size: Size,
    /// How much of it aliases stand for.
    aliased: Size,
    limits: Limits,
}

#[derive(Debug, Clone)]
struct Collection {
    /// Its record, if it has one.
    index: Option<usize>,
    anchor: usize,
    /// The size of the document at its start.
    before: Size,
    is_mapping: bool,
    /// Whether a key has no value yet.
    has_key: bool,
}

/// Whether the document itself has a key `items`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Items {
    NotSeen,
    /// Its value comes next.
    Next,
    Seen,
}

/// What an alias stands for.
#[derive(Debug, Clone, Copy)]
struct Anchored {
    /// Its record, if it has one.
    index: Option<usize>,
    size: Size,
}

/// How much there is, aliases written out.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    values: usize,
    text: usize,
}

impl Size {
    fn add(&mut self, more: Self) {
        self.values += more.values;
        self.text += more.text;
    }
}

impl Growing {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            content: Content { tree: Tree::default(), beyond: None },
            open: Vec::new(),
            around: 0,
            is_passing: false,
            items: Items::NotSeen,
            anchors: HashMap::new(),
            size: Size::default(),
            aliased: Size::default(),
            limits,
        }
    }

    pub(super) fn finish(self) -> Content {
        self.content
    }

    pub(super) const fn content(&self) -> &Content {
        &self.content
    }

    /// How many collections are not at their end.
    pub(super) const fn depth(&self) -> usize {
        self.around + self.open.len()
    }

    /// Whether the value of the first key `items` of the document comes next.
    pub(super) fn is_at_items(&self) -> bool {
        self.items == Items::Next && self.depth() == 1
    }

    /// What comes from now on is only looked at, or no longer.
    pub(super) const fn pass(&mut self, is_passing: bool) {
        self.is_passing = is_passing;
    }

    /// Gives up the values so far: the next one is the next item of a list.
    pub(super) fn next_item(&mut self) {
        self.around += self.open.len();
        self.open.clear();
        self.content.tree.own.clear();
        self.content.beyond = None;
    }

    pub(super) fn take(&mut self, event: Event<'_>, at: Mark) -> Result<(), Fault> {
        match event {
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.size;
                self.size.add(Size { values: 1, text: text.len() });
                let is_plain = is_plain(style == ScalarStyle::Plain, tag.as_deref());
                let index = self.place();
                if index.is_some() {
                    self.content.tree.own.push_scalar(at, &text, is_plain);
                }
                if self.is_at_key() {
                    self.key(&text, is_plain);
                }
                self.complete(index, anchor, before, at)?;
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, false)?,
            Event::MappingStart(anchor, _) => self.open(at, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Collection { index, anchor, before, .. }) = self.open.pop() {
                    if let Some(index) = index.filter(|_| self.content.beyond.is_none()) {
                        self.content.tree.own.close(index);
                    }
                    self.complete(index, anchor, before, at)?;
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, at: Mark, anchor: usize, is_mapping: bool) -> Result<(), Fault> {
        if self.depth() == limits::DEPTH {
            return Err(Fault { at, message: format!("is nested more than {} levels deep", limits::DEPTH) });
        }
        let before = self.size;
        self.size.add(Size { values: 1, text: 0 });
        let index = self.place();
        if index.is_some() {
            self.content.tree.own.push(at, if is_mapping { What::Mapping(0) } else { What::Sequence(0) });
        }
        self.open.push(Collection { index, anchor, before, is_mapping, has_key: false });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<(), Fault> {
        let Some(&Anchored { index, size }) = self.anchors.get(&anchor) else {
            // The parser knows the anchor, but it is in an earlier document or on what is not at its end.
            let message = "the alias stands for nothing in its document, or for what it stands inside of";
            return Err(Fault { at, message: message.to_owned() });
        };
        self.grow_by_alias(size, at)?;
        match index {
            Some(index) if self.place().is_some() => {
                self.content.tree.own.push(at, What::Alias(index as u32));
            }
            Some(_) => {}
            None => self.go_beyond(),
        }
        self.completed();
        Ok(())
    }

    fn grow_by_alias(&mut self, by: Size, at: Mark) -> Result<(), Fault> {
        self.size.add(by);
        self.aliased.add(by);
        let limit = if self.aliased.values > limits::ALIASED_VALUES {
            format!("{} values", limits::ALIASED_VALUES)
        } else if self.aliased.text > limits::ALIASED_TEXT {
            format!("{} MiB of text", limits::ALIASED_TEXT >> 20)
        } else {
            return Ok(());
        };
        Err(Fault { at, message: format!("the aliases of the document stand for more than {limit}") })
    }

    /// Where the next record will be, if there is to be one.
    fn place(&mut self) -> Option<usize> {
        if self.content.beyond.is_some() || self.is_passing {
            return None;
        }
        let Tree { own, anchored } = &self.content.tree;
        if own.len() + anchored.len() >= self.limits.values {
            self.go_beyond();
            return None;
        }
        Some(self.content.tree.own.len())
    }

    /// There are too many values: those that are there are all that there will be.
    fn go_beyond(&mut self) {
        if self.content.beyond.is_none() {
            self.content.beyond = Some(self.limits.values);
            for index in self.open.iter().filter_map(|collection| collection.index) {
                self.content.tree.own.close(index);
            }
        }
    }

    fn is_at_key(&self) -> bool {
        self.open.last().is_some_and(|collection| collection.is_mapping && !collection.has_key)
    }

    fn key(&mut self, text: &str, is_plain: bool) {
        if self.depth() == 1 && text == "items" && self.items == Items::NotSeen {
            self.items = Items::Next;
        }
        if is_merge_key(text, is_plain)
            && self.content.beyond.is_none()
            && let Some(index) = self.open.last().and_then(|collection| collection.index)
        {
            self.content.tree.own.merges(index);
        }
    }

    fn complete(&mut self, index: Option<usize>, anchor: usize, before: Size, at: Mark) -> Result<(), Fault> {
        // 0 stands for none.
        if anchor > 0 {
            if anchor > self.limits.anchors {
                let message = format!("there are more than {} anchors up to here", self.limits.anchors);
                return Err(Fault { at, message });
            }
            let Size { values, text } = self.size;
            let size = Size { values: values - before.values, text: text - before.text };
            let index = index.and_then(|index| self.keep(index));
            self.anchors.insert(anchor, Anchored { index, size });
        }
        self.completed();
        Ok(())
    }

    /// Keeps a value for aliases, which may be in later items.
    fn keep(&mut self, index: usize) -> Option<usize> {
        let Tree { own, anchored } = &mut self.content.tree;
        if self.content.beyond.is_some() || 2 * own.len() - index + anchored.len() > self.limits.values {
            self.go_beyond();
            return None;
        }
        let kept = anchored.len();
        anchored.copy(own, index);
        Some(kept)
    }

    /// A key or a value is at its end.
    fn completed(&mut self) {
        if self.depth() == 1 && self.items == Items::Next && !self.is_at_key() {
            self.items = Items::Seen;
        }
        if let Some(collection) = self.open.last_mut() {
            collection.has_key = collection.is_mapping && !collection.has_key;
        }
    }
}

/// Whether a scalar may stand for something else than its text: a tag of the core schema overrides the quotes.
fn is_plain(unquoted: bool, tag: Option<&Tag>) -> bool {
    match tag.filter(|tag| tag.is_yaml_core_schema()) {
        Some(tag) => ["null", "bool", "int", "float"].contains(&tag.suffix.as_str()),
        None => unquoted,
    }
}
