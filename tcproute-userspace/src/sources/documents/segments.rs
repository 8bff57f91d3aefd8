//! A text in parts that are parsed one by one: a document in braces or brackets begins a part of its own, for the
//! parser to be told that it is no key.

use super::{
    input::{INDENT, begins_with_key},
    mark::Mark,
};

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'t> {
    pub(super) text: &'t str,
    /// Whether it begins with a collection in braces or brackets that is no key.
    pub(super) is_collection: bool,
    /// How many lines are before it.
    lines: u32,
    /// How many characters of its first line are before it.
    columns: u32,
}

impl Segment<'_> {
    /// Where in the whole text something is that the parser has found here, both counted from 1.
    pub(super) const fn place(&self, line: u32, column: u32) -> Mark {
        let told = if self.is_collection { INDENT as u32 } else { 0 };
        let column = if line == 1 { (column + self.columns).saturating_sub(told) } else { column };
        Mark { line: line + self.lines, column }
    }
}

/// The parts of a text; what is before the first document may be left out.
pub(super) fn segments(text: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut cuts = Cuts { text, start: 0, lines: 0, columns: 0, is_collection: false, done: false };
    // Directives are for the document that follows.
    let may_be_cut = !text.starts_with('%') && !text.contains("\n%");
    if may_be_cut && let Some(first) = collection(text, 0) {
        cuts.move_to(first);
    }
    std::iter::from_fn(move || cuts.next(may_be_cut))
}

struct Cuts<'t> {
    text: &'t str,
    /// Where the next part begins, and what is before that.
    start: usize,
    lines: u32,
    columns: u32,
    is_collection: bool,
    done: bool,
}

impl<'t> Cuts<'t> {
    fn next(&mut self, may_be_cut: bool) -> Option<Segment<'t>> {
        if self.done {
            return None;
        }
        let Self { text, start, lines, columns, is_collection, .. } = *self;
        let next = if may_be_cut { self.cut() } else { None };
        let end = next.map_or(text.len(), |(end, _)| end);
        match next {
            Some((_, start)) => self.move_to(start),
            None => self.done = true,
        }
        Some(Segment { text: &text[start..end], is_collection, lines, columns })
    }

    /// Where this part ends and the next one begins.
    fn cut(&self) -> Option<(usize, usize)> {
        let mut from = self.start;
        loop {
            let line = from + self.text[from..].find("\n---")? + 1;
            let behind = line + 3;
            let rest = &self.text[behind..];
            if rest.starts_with([' ', '\t', '\r', '\n'])
                && let Some(start) = collection(self.text, behind)
            {
                return Some((line, start));
            }
            from = behind;
        }
    }

    fn move_to(&mut self, start: usize) {
        let passed = &self.text[self.start..start];
        let breaks = passed.bytes().filter(|byte| *byte == b'\n').count();
        // A carriage return alone breaks a line as well.
        let returns = passed.matches('\r').count() - passed.matches("\r\n").count();
        self.lines += (breaks + returns) as u32;
        let line = self.text[..start].rfind(['\n', '\r']).map_or(0, |end| end + 1);
        self.columns = self.text[line..start].chars().count() as u32;
        self.start = start;
        self.is_collection = true;
    }
}

/// Where a document that begins here has its first collection, if that is the first thing in it, in braces or brackets
/// and no key.
fn collection(text: &str, from: usize) -> Option<usize> {
    let mut rest = text[from..].trim_start_matches([' ', '\t', '\r', '\n']);
    let is_comment = |rest: &str| {
        let before = &text[..text.len() - rest.len()];
        rest.starts_with('#') && (before.is_empty() || before.ends_with([' ', '\t', '\r', '\n']))
    };
    while is_comment(rest) {
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        rest = rest[end..].trim_start_matches([' ', '\t', '\r', '\n']);
    }
    (rest.starts_with(['{', '[']) && !begins_with_key(rest)).then_some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, Mark)> {
        segments(text)
            .map(|segment| {
                let column = if segment.is_collection { INDENT as u32 + 1 } else { 1 };
                (segment.text, segment.place(1, column))
            })
            .collect()
    }

    const fn at(line: u32, column: u32) -> Mark {
        Mark { line, column }
    }

    #[test]
    fn a_text_is_cut_before_collections_and_nowhere_else() {
        assert_eq!(cut(""), [("", at(1, 1))]);
        assert_eq!(cut("a: 1\n---\nb: 2\n"), [("a: 1\n---\nb: 2\n", at(1, 1))]);
        assert_eq!(cut("\n # x\n  {a: 1}\n"), [("{a: 1}\n", at(3, 3))]);
        assert_eq!(
            cut("a: 1\r\n---\r\n{b: 2}\r\n---\n---x\n--- # é\n [c]"),
            [("a: 1\r\n", at(1, 1)), ("{b: 2}\r\n---\n---x\n", at(3, 1)), ("[c]", at(7, 2))]
        );
    }

    #[test]
    fn keys_and_what_directives_are_about_are_not_cut_off() {
        for text in ["{a: b}: c\n", "[a]: {b: c}\n", "%YAML 1.2\n---\n{a: b}\n"] {
            assert_eq!(cut(text), [(text, at(1, 1))]);
        }
        for text in ["{{a: b}: c}", "{[a]: b}", "[{a: b}: c]", "{a: '}: b'}", "{\n}: a"] {
            assert_eq!(cut(text).len(), 1);
            assert!(segments(text).all(|segment| segment.is_collection), "{text}");
        }
    }
}
