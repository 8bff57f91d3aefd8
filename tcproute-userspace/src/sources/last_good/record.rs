//! What is kept of one place: a header, and a line for each entry. Pure.
//!
//! The JSON of the header is `{"version":1,"place":"…","entries":2}`, that of an entry
//! `[["MeshService","default","backend"],{…}]`.

use serde::{Deserialize, Serialize};

use super::lines::{Entry, Lines, checked, entry, write_line};

/// What a place has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Such as the path of a file.
    pub place: String,
    /// Each key is there once.
    pub entries: Vec<Entry>,
}

/// What cannot be read of a record. The first line is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) why: &'static str,
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    place: String,
    entries: usize,
}

/// The first line of the file of a place with these lines.
pub(super) fn header(place: &str, lines: &Lines) -> String {
    let header = Header { version: VERSION, place: place.to_owned(), entries: lines.entries() };
    let mut text = String::new();
    write_line(&mut text, &[&serde_json::to_string(&header).unwrap_or_default()]);
    text
}

impl Record {
    /// What can be read of a file, and what cannot. `None` if not even whose it is.
    pub(super) fn decode(text: &[u8]) -> (Option<Self>, Vec<Broken>) {
        let mut lines = (1..).zip(text.split_inclusive(|byte| *byte == b'\n'));
        let header = lines.next().and_then(|(_, line)| serde_json::from_slice::<Header>(checked(line)?).ok());
        let Some(Header { version: VERSION, place, entries: count }) = header else {
            return (None, vec![Broken { line: 1, why: "it does not begin as a file of this version does" }]);
        };
        let mut entries = Vec::new();
        let mut broken = Vec::new();
        let mut last = 1;
        for (line, text) in lines {
            last = line;
            match checked(text).and_then(entry) {
                Some(entry) => entries.push(entry),
                None => broken.push(Broken { line, why: "it is not as it was written" }),
            }
        }
        if last != count + 1 {
            broken.push(Broken { line: last, why: "it ends too early or too late" });
        }
        (Some(Self { place, entries }), broken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{super::lines::keys, *};

    fn record(entries: usize) -> Record {
        let entry = |i| Entry {
            key: vec!["Mesh".into(), format!("m{i}\n\"")],
            value: format!("{{\"i\":{i}}}").into(),
        };
        Record { place: "/etc/mesh/a b\n.yaml".into(), entries: (0..entries).map(entry).collect() }
    }

    fn encode(Record { place, entries }: &Record) -> String {
        let mut lines = Lines::default();
        for Entry { key, value } in entries {
            lines.add(key, value);
        }
        assert!(keys(&lines.text()).map(|(key, _)| key).eq(entries.iter().map(|entry| entry.key.clone())));
        header(place, &lines) + &lines.text()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for entries in [0, 1, 3] {
            let record = record(entries);
            let text = encode(&record);
            assert_eq!(text.lines().count(), entries + 1, "{text}");
            assert_eq!(Record::decode(text.as_bytes()), (Some(record), vec![]));
        }
    }

    #[test]
    fn half_a_record_is_what_is_whole_of_it() {
        let text = encode(&record(3));
        let (read, broken) = Record::decode(&text.as_bytes()[..text.len() - 1]);
        assert_eq!(read.map(|read| read.entries.len()), Some(2));
        assert_eq!(broken, [Broken { line: 4, why: "it is not as it was written" }]);
        let (read, broken) = Record::decode(&text.as_bytes()[..text.rfind("[[").unwrap() - 9]);
        assert_eq!(read.map(|read| read.entries.len()), Some(2));
        assert_eq!(broken, [Broken { line: 3, why: "it ends too early or too late" }]);
        assert_eq!(Record::decode(b"").0, None);
    }

    proptest! {
        /// Whatever becomes of its bytes: nothing is read that was not written.
        #[test]
        fn a_broken_record_says_nothing_new(at in any::<prop::sample::Index>(), with in vec(any::<u8>(), 0..5), less in 0..9usize) {
            let whole = record(3);
            let mut text = encode(&whole).into_bytes();
            let at = at.index(text.len());
            let end = (at + less).min(text.len());
            text.splice(at..end, with);
            let (read, broken) = Record::decode(&text);
            if let Some(read) = read {
                prop_assert_eq!(&read.place, &whole.place);
                prop_assert!(read.entries.iter().all(|entry| whole.entries.contains(entry)));
                prop_assert!(!broken.is_empty() || read.entries.len() >= whole.entries.len());
            }
        }
    }
}
