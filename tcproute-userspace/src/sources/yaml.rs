//! YAML text to documents as trees. The only file that knows the YAML crate.
//!
//! That crate is a translation of libyaml, as is the parser of Kuma: both take and refuse the same texts. It hands
//! out one event after the other, so what is too deep or too much is refused before it takes time and memory.

use std::{collections::HashMap, io::BufReader};

use libyaml_safer::{Encoding, Error, EventData, Parser, ScalarStyle};

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

/// The documents of a text; JSON is YAML. Nothing can be said of what follows a fault of the syntax.
pub(super) struct Documents<'t> {
    text: &'t str,
    events: Parser<BufReader<&'t [u8]>>,
    done: bool,
}

/// A document, or everything that is wrong with its aliases.
pub(super) type Document = Result<Node, Vec<Fault>>;

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut events = Parser::new();
        events.set_encoding(Encoding::Utf8);
        // In chunks: the parser would decode a whole slice at once.
        events.set_input(BufReader::new(text.as_bytes()));
        Self { text, events, done: false }
    }

    fn check_directives(&self) -> Result<(), Fault> {
        let mut directives = self.text.lines().zip(1..).filter(|(line, _)| line.starts_with("%TAG"));
        match directives.nth(limits::TAG_DIRECTIVES) {
            Some((_, line)) => Err(Fault {
                at: Mark { line, column: 1 },
                message: format!("has more than {} %TAG directives", limits::TAG_DIRECTIVES),
            }),
            None => Ok(()),
        }
    }

    fn event(&mut self) -> Result<(EventData, Mark), Fault> {
        match self.events.parse() {
            Ok(event) => Ok((event.data, mark(event.start_mark))),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn fault(&self, error: &Error) -> Fault {
        let problem = error.problem();
        let at = error.problem_mark().map_or_else(
            // Such an error is about a character, and knows only its offset.
            || Mark::behind(self.text.split(is_control).next().unwrap_or_default()),
            mark,
        );
        let message = match (error.context(), error.context_mark().map(mark)) {
            (Some(context), Some(Mark { line, column })) => {
                format!("{problem}, {context} at line {line} column {column}")
            }
            _ => problem.to_owned(),
        };
        Fault { at, message }
    }

    /// The next document; `None` behind the last.
    fn document(&mut self) -> Result<Option<Document>, Fault> {
        let mut tree = Tree::default();
        loop {
            let (event, at) = self.event()?;
            match event {
                EventData::StreamStart { .. } => self.check_directives()?,
                EventData::StreamEnd => return Ok(None),
                EventData::DocumentStart { .. } => {}
                EventData::DocumentEnd { .. } => {
                    return Ok(tree
                        .root
                        .map(|root| if tree.faults.is_empty() { Ok(root) } else { Err(tree.faults) }));
                }
                node => tree.take(node, at)?,
            }
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Document;

    fn next(&mut self) -> Option<Document> {
        if self.done {
            return None;
        }
        let document = self.document().unwrap_or_else(|fault| {
            self.done = true;
            Some(Err(vec![fault]))
        });
        self.done |= document.is_none();
        document
    }
}

fn mark(mark: libyaml_safer::Mark) -> Mark {
    Mark { line: mark.line as u32 + 1, column: mark.column as u32 + 1 }
}

/// What may not stand in YAML text.
fn is_control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// A document as it grows.
#[derive(Default)]
struct Tree {
    /// The collections that are not at their end, from the outermost inwards.
    open: Vec<Collection>,
    root: Option<Node>,
    anchors: HashMap<String, Anchored>,
    size: Size,
    /// How much of it aliases stand for.
    aliased: Size,
    faults: Vec<Fault>,
}

struct Collection {
    at: Mark,
    anchor: Option<String>,
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
    fn take(&mut self, event: EventData, at: Mark) -> Result<(), Fault> {
        match event {
            EventData::Alias { anchor } => self.alias(&anchor, at),
            EventData::Scalar { anchor, tag, value, style, .. } => {
                let before = self.size;
                self.grow(Size { values: 1, text: value.len() }, at)?;
                let node = Node { at, value: scalar(value, style, tag.as_deref()) };
                self.complete(node, anchor, before);
                Ok(())
            }
            EventData::SequenceStart { anchor, .. } => self.open(at, anchor, Content::Sequence(Vec::new())),
            EventData::MappingStart { anchor, .. } => {
                self.open(at, anchor, Content::Mapping(Vec::new(), None))
            }
            EventData::SequenceEnd | EventData::MappingEnd => {
                if let Some(Collection { at, anchor, before, content }) = self.open.pop() {
                    let value = match content {
                        Content::Sequence(items) => Value::Sequence(items.into()),
                        Content::Mapping(entries, _) => Value::Mapping(merged(entries).into()),
                    };
                    self.complete(Node { at, value }, anchor, before);
                }
                Ok(())
            }
            EventData::StreamStart { .. }
            | EventData::StreamEnd
            | EventData::DocumentStart { .. }
            | EventData::DocumentEnd { .. } => Ok(()),
        }
    }

    fn open(&mut self, at: Mark, anchor: Option<String>, content: Content) -> Result<(), Fault> {
        if self.open.len() == limits::DEPTH {
            return Err(Fault { at, message: format!("is nested more than {} levels deep", limits::DEPTH) });
        }
        let before = self.size;
        self.grow(Size { values: 1, text: 0 }, at)?;
        // From here on the name means this collection, which cannot stand inside itself.
        if let Some(anchor) = &anchor {
            self.anchors.remove(anchor);
        }
        self.open.push(Collection { at, anchor, before, content });
        Ok(())
    }

    fn alias(&mut self, anchor: &str, at: Mark) -> Result<(), Fault> {
        let node = match self.anchors.get(anchor) {
            Some(Anchored { node, size }) => {
                let (node, size) = (node.clone(), *size);
                self.grow_by_alias(size, at)?;
                node
            }
            None => {
                let own = self.open.iter().any(|collection| collection.anchor.as_deref() == Some(anchor));
                let message = if own { "stands inside of what it stands for" } else { "has no anchor" };
                if self.faults.len() < limits::VIOLATIONS {
                    self.faults.push(Fault { at, message: format!("the alias `{anchor}` {message}") });
                }
                Node { at, value: Value::Plain(String::new()) }
            }
        };
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

    fn complete(&mut self, node: Node, anchor: Option<String>, before: Size) {
        if let Some(anchor) = anchor {
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

/// A tag of the core schema overrides what the style says.
fn scalar(text: String, style: ScalarStyle, tag: Option<&str>) -> Value {
    let plain = match tag.and_then(|tag| tag.strip_prefix("tag:yaml.org,2002:")) {
        Some(tag) => ["null", "bool", "int", "float"].contains(&tag),
        None => style == ScalarStyle::Plain,
    };
    if plain { Value::Plain(text) } else { Value::Quoted(text) }
}

#[cfg(test)]
mod tests;
