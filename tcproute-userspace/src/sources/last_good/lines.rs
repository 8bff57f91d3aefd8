//! The lines of a record, each with its own checksum. Pure.
//!
//! A line is the CRC-32 of its JSON in eight hexadecimal digits, a space and the JSON. A file may have very many: until
//! they are written they are in memory beside what they say, so they are packed.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Read as _, Write as _},
};

use crc32fast::Hasher;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde_json::value::RawValue;

/// What stands for an entry, wherever it is.
pub type Key = Vec<String>;

/// Something that a source has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is, such as kind, mesh and name.
    pub key: Key,
    /// What was said of it: JSON on one line.
    pub value: Box<str>,
}

/// Entries as they are written, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    packed: Vec<Box<[u8]>>,
    /// What comes behind those.
    last: String,
    entries: usize,
    bytes: u64,
    sum: Hasher,
}

/// More than this is packed, in bytes.
const PIECE: usize = 1 << 16;

impl Lines {
    /// Adds an entry. `value` is JSON on one line.
    pub fn add(&mut self, key: &[String], value: &str) {
        let begin = self.last.len();
        // A list of strings cannot fail.
        let key = serde_json::to_string(key).unwrap_or_default();
        write_line(&mut self.last, &["[", &key, ",", value, "]"]);
        self.added(begin);
    }

    /// Adds a line as it is.
    pub(super) fn push(&mut self, line: &str) {
        let begin = self.last.len();
        self.last.push_str(line);
        self.added(begin);
    }

    fn added(&mut self, begin: usize) {
        let line = &self.last.as_bytes()[begin..];
        self.entries += 1;
        self.bytes += line.len() as u64;
        self.sum.update(line);
        // One that cannot be packed, which is not to be expected, stays as it is.
        if self.last.len() > PIECE
            && let Ok(piece) = pack(&self.last)
        {
            self.packed.push(piece);
            self.last.clear();
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many there are.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// How long all of them are.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The CRC-32 of a text with these behind it.
    pub(super) fn sum_behind(&self, text: &str) -> u32 {
        let mut sum = Hasher::new();
        sum.update(text.as_bytes());
        sum.combine(&self.sum);
        sum.finalize()
    }

    /// All of them, some at a time.
    pub(super) fn pieces(&self) -> impl Iterator<Item = io::Result<Cow<'_, str>>> {
        let packed = self.packed.iter().map(|piece| unpack(piece).map(Cow::Owned));
        packed.chain([Ok(Cow::Borrowed(self.last.as_str()))])
    }
}

fn pack(text: &str) -> io::Result<Box<[u8]>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?.into())
}

fn unpack(piece: &[u8]) -> io::Result<String> {
    let mut text = String::with_capacity(PIECE);
    DeflateDecoder::new(piece).read_to_string(&mut text)?;
    Ok(text)
}

/// The key of each line that is as it was written, and the line.
pub(super) fn keys(lines: &str) -> impl Iterator<Item = (Key, &str)> {
    lines.split_inclusive('\n').filter_map(|line| Some((entry(checked(line.as_bytes())?)?.key, line)))
}

/// Adds a line with these parts of a JSON, which may be long: they are copied once.
pub(super) fn write_line(text: &mut String, json: &[&str]) {
    let mut sum = Hasher::new();
    for part in json {
        sum.update(part.as_bytes());
    }
    text.reserve(json.iter().map(|part| part.len()).sum::<usize>() + "00000000 \n".len());
    // Writing to a String cannot fail.
    let _ = write!(text, "{:08x} ", sum.finalize());
    text.extend(json.iter().copied().chain(["\n"]));
}

/// The JSON of a whole line that is as it was written.
pub(super) fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(str::from_utf8(sum).ok()?, 16).ok()?;
    (crc32fast::hash(json) == sum).then_some(json)
}

pub(super) fn entry(json: &[u8]) -> Option<Entry> {
    let (key, value): (Key, &RawValue) = serde_json::from_slice(json).ok()?;
    Some(Entry { key, value: value.get().into() })
}

#[cfg(test)]
impl Lines {
    /// All of them.
    pub(super) fn text(&self) -> String {
        self.pieces().map(Result::unwrap).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_are_packed_and_come_as_they_were_added() {
        let (mut lines, mut plain) = (Lines::default(), String::new());
        assert!(lines.is_empty());
        let json =
            |i: usize| format!("{{\"type\":\"Dataplane\",\"mesh\":\"default\",\"name\":\"backend-{i}\"}}");
        for i in 0..10_000 {
            lines.add(&["Dataplane".into(), i.to_string()], &json(i));
            write_line(&mut plain, &[&format!("[[\"Dataplane\",\"{i}\"],{}]", json(i))]);
        }
        assert_eq!(lines.text(), plain);
        assert_eq!((lines.entries(), lines.bytes()), (10_000, plain.len() as u64));
        assert_eq!(lines.sum_behind("x\n"), crc32fast::hash(format!("x\n{plain}").as_bytes()));
        let packed: usize = lines.packed.iter().map(|piece| piece.len()).sum();
        assert!(packed + lines.last.capacity() < plain.len() / 4, "{packed} of {}", plain.len());
        let mut again = Lines::default();
        plain.split_inclusive('\n').for_each(|line| again.push(line));
        assert_eq!(again.text(), plain);
    }
}
