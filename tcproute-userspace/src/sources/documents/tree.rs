//! Values as a list of records in the order of the text. A record takes 20 bytes whatever it stands for, so that a tree
//! takes a few times what its text takes also if that is made of the smallest values there are.

use super::mark::Mark;

/// The values of a document or of an item of a list, or the beginning of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// Its own values.
    pub(super) own: Records,
    /// What aliases stand for. It may be in items that were read before and given up since.
    pub(super) anchored: Records,
}

/// Values, each followed by what is inside of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    /// In parts of one size: one that grows as a whole would be there twice now and then.
    parts: Vec<Vec<Record>>,
    length: usize,
    text: String,
}

/// How many records are in a part.
const PART: usize = 4096;

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) at: Mark,
    pub(super) what: What,
}

/// Files have fewer bytes than 2^32, and fewer values.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A scalar that is text whatever it looks like.
    Quoted(Span),
    /// A scalar that may stand for something else than its text.
    Plain(Span),
    /// With so many records inside.
    Sequence(u32),
    /// Keys and values as written, repeated keys among them, with so many records inside.
    Mapping(u32),
    /// A mapping with a key `<<`.
    Merging(u32),
    /// An alias: the record of what is anchored.
    Alias(u32),
}

/// A part of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Records {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn get(&self, index: usize) -> Record {
        self.parts[index / PART][index % PART]
    }

    pub(super) fn text(&self, Span { start, length }: Span) -> &str {
        &self.text[start as usize..(start + length) as usize]
    }

    pub(super) fn push(&mut self, at: Mark, what: What) {
        let record = Record { at, what };
        match self.parts.get_mut(self.length / PART) {
            Some(part) => part.push(record),
            None => {
                // Most objects are small.
                let mut part = Vec::with_capacity(if self.length == 0 { 0 } else { PART });
                part.push(record);
                self.parts.push(part);
            }
        }
        self.length += 1;
    }

    pub(super) fn push_scalar(&mut self, at: Mark, text: &str, is_plain: bool) {
        let span = Span { start: self.text.len() as u32, length: text.len() as u32 };
        self.text.push_str(text);
        self.push(at, if is_plain { What::Plain(span) } else { What::Quoted(span) });
    }

    /// Ends the collection that begins here.
    pub(super) fn close(&mut self, index: usize) {
        let inside = (self.length - index - 1) as u32;
        let what = &mut self.parts[index / PART][index % PART].what;
        *what = match *what {
            What::Sequence(_) => What::Sequence(inside),
            What::Merging(_) => What::Merging(inside),
            _ => What::Mapping(inside),
        };
    }

    /// The mapping that begins here has a key `<<`.
    pub(super) fn merges(&mut self, index: usize) {
        self.parts[index / PART][index % PART].what = What::Merging(0);
    }

    /// Where the value behind this one is.
    pub(super) fn behind(&self, index: usize) -> usize {
        index + 1 + self.get(index).inside()
    }

    /// Adds a copy of a value.
    pub(super) fn copy(&mut self, from: &Self, index: usize) {
        for record in (index..from.behind(index)).map(|index| from.get(index)) {
            match record.what {
                What::Plain(span) => self.push_scalar(record.at, from.text(span), true),
                What::Quoted(span) => self.push_scalar(record.at, from.text(span), false),
                what => self.push(record.at, what),
            }
        }
    }

    /// Gives up all values, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.parts.truncate(1);
        self.parts.iter_mut().for_each(Vec::clear);
        self.length = 0;
        self.text.clear();
    }
}

impl Record {
    const fn inside(self) -> usize {
        match self.what {
            What::Sequence(inside) | What::Mapping(inside) | What::Merging(inside) => inside as usize,
            What::Quoted(_) | What::Plain(_) | What::Alias(_) => 0,
        }
    }
}
