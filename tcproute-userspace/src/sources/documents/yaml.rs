//! YAML text to documents as trees. The only file that knows the crate that parses YAML.
//!
//! The parser hands out one event after the other, so what is too deep or too much is refused before it takes time
//! and memory.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{
    limits,
    merge_key::merged,
    node::{Mark, Node, Value},
};

/// What keeps a document from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Mark,
    pub(super) message: String,
}

/// The documents of a text; JSON is YAML. Nothing can be said of what follows a fault.
pub(super) struct Documents<'t> {
    events: Parser<'t, StrInput<'t>>,
    done: bool,
}

/// A document, or what is wrong with it.
pub(super) type Document = Result<Node, Fault>;

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { events: Parser::new_from_str(text), done: false }
    }

    /// The next document; `None` behind the last.
    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut tree = Tree::default();
        while let Some(event) = self.events.next_event() {
            let (event, span) = event.map_err(|error| fault(&error))?;
            match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentEnd => return Ok(tree.root),
                event => tree.take(event, mark(span.start))?,
            }
        }
        Ok(None)
    }
}

impl Iterator for Documents<'_> {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        if self.done {
            return None;
        }
        let document = self.document().transpose();
        self.done = !matches!(document, Some(Ok(_)));
        document
    }
}

fn fault(error: &ScanError) -> Fault {
    Fault { at: mark(*error.marker()), message: error.info().to_owned() }
}

/// Files have fewer lines than 2^32.
fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line() as u32, column: marker.col() as u32 + 1 }
}

/// A document as it grows.
#[derive(Default)]
struct Tree {
    /// The collections that are not at their end, from the outermost inwards.
    open: Vec<Collection>,
    root: Option<Node>,
    /// By the parser's number of the anchor.
    anchors: HashMap<usize, Anchored>,
    size: Size,
    /// Short texts, such as keys: they are there again and again, above all in a list, which is one document.
    texts: HashSet<Rc<str>>,
    /// How much of it aliases stand for.
    aliased: Size,
}

struct Collection {
    at: Mark,
    anchor: usize,
    /// The size of the document at its start.
    before: Size,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    /// The key is one that has no value yet.
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

/// What an alias stands for.
struct Anchored {
    node: Node,
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

impl Tree {
    fn take(&mut self, event: Event<'_>, at: Mark) -> Result<(), Fault> {
        match event {
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.size;
                self.grow(Size { values: 1, text: text.len() }, at)?;
                let plain = is_plain(style == ScalarStyle::Plain, tag.as_deref());
                let text = self.shared(&text);
                let value = if plain { Value::Plain(text) } else { Value::Quoted(text) };
                self.complete(Node { at, value }, anchor, before);
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Content::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(at, anchor, Content::Mapping(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Collection { at, anchor, before, content }) = self.open.pop() {
                    let value = match content {
                        Content::Sequence(items) => Value::Sequence(items.into()),
                        Content::Mapping(entries, _) => Value::Mapping(merged(entries).into()),
                    };
                    self.complete(Node { at, value }, anchor, before);
                }
                Ok(())
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn shared(&mut self, text: &str) -> Rc<str> {
        const SHORT: usize = 32;
        if text.len() > SHORT {
            return text.into();
        }
        if let Some(known) = self.texts.get(text) {
            return Rc::clone(known);
        }
        let text: Rc<str> = text.into();
        self.texts.insert(Rc::clone(&text));
        text
    }

    fn open(&mut self, at: Mark, anchor: usize, content: Content) -> Result<(), Fault> {
        if self.open.len() == limits::DEPTH {
            return Err(Fault { at, message: format!("is nested more than {} levels deep", limits::DEPTH) });
        }
        let before = self.size;
        self.grow(Size { values: 1, text: 0 }, at)?;
        self.open.push(Collection { at, anchor, before, content });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<(), Fault> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            // The parser knows the anchor, but it is in an earlier document or on what is not at its end.
            let message = "the alias stands for nothing in its document, or for what it stands inside of";
            return Err(Fault { at, message: message.to_owned() });
        };
        let (node, size) = (node.clone(), *size);
        self.grow_by_alias(size, at)?;
        self.add(node);
        Ok(())
    }

    fn grow(&mut self, by: Size, at: Mark) -> Result<(), Fault> {
        self.size.add(by);
        if self.size.values > limits::VALUES {
            let message = format!("the document has more than {} values", limits::VALUES);
            return Err(Fault { at, message });
        }
        Ok(())
    }

    fn grow_by_alias(&mut self, by: Size, at: Mark) -> Result<(), Fault> {
        self.aliased.add(by);
        let limit = if self.aliased.values > limits::ALIASED_VALUES {
            format!("{} values", limits::ALIASED_VALUES)
        } else if self.aliased.text > limits::ALIASED_TEXT {
            format!("{} MiB of text", limits::ALIASED_TEXT >> 20)
        } else {
            return self.grow(by, at);
        };
        Err(Fault { at, message: format!("the aliases of the document stand for more than {limit}") })
    }

    fn complete(&mut self, node: Node, anchor: usize, before: Size) {
        // 0 stands for none.
        if anchor > 0 {
            let Size { values, text } = self.size;
            let size = Size { values: values - before.values, text: text - before.text };
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        self.add(node);
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut().map(|collection| &mut collection.content) {
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
            None => self.root = Some(node),
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

#[cfg(test)]
mod tests;
