//! A text as the YAML parser reads it.
//!
//! The parser keeps all that is in braces or brackets for as long as they may turn out to be a key: of a text in JSON
//! that is the whole, at 100 bytes for each sign. So it is told that such a document is no key, where that is so, and
//! the rest of what it keeps has a bound.

use std::{cell::Cell, rc::Rc};

use saphyr_parser::{Event, Input, Parser, StrInput, input::SkipTabs};

/// What tells the parser that a key cannot follow.
const NO_KEY: &str = "--- ";

/// By how much columns of the first line are too large then.
pub(super) const INDENT: usize = NO_KEY.len();

/// How far the parser has looked ahead.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    signs: Rc<Cell<usize>>,
    most: usize,
}

impl Ahead {
    pub(super) fn new(most: usize) -> Self {
        Self { signs: Rc::default(), most }
    }

    /// Something was read, so what it was kept for is known.
    pub(super) fn reset(&self) {
        if !self.is_too_far() {
            self.signs.set(0);
        }
    }

    pub(super) fn is_too_far(&self) -> bool {
        self.signs.get() > self.most
    }

    fn sign(&self) {
        self.signs.set(self.signs.get() + 1);
    }
}

/// A text that ends where the parser looks ahead too far.
#[derive(Clone)]
pub(super) struct Bounded<'t> {
    part: StrInput<'t>,
    /// What is left of the text before it, and the text itself.
    before: Option<(usize, &'t str)>,
    ahead: Ahead,
    /// How many characters the parser asked for last. It asks for four before each sign, and else before a word.
    asked: usize,
}

impl<'t> Bounded<'t> {
    /// `is_no_key` is whether it begins with a collection in braces or brackets that is known to be no key.
    pub(super) fn new(text: &'t str, is_no_key: bool, ahead: Ahead) -> Self {
        let (part, before) = if is_no_key { (NO_KEY, Some((INDENT, text))) } else { (text, None) };
        Self { part: StrInput::new(part), before, ahead, asked: 0 }
    }

    fn skipped(&mut self, count: usize) {
        if self.asked == 4 {
            self.asked = 0;
            self.ahead.sign();
            if self.ahead.is_too_far() {
                self.part = StrInput::new("");
            }
        }
        if let Some((left, text)) = &mut self.before {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.part = StrInput::new(text);
                self.before = None;
            }
        }
    }
}

/// Whether a text begins with a key in braces or brackets, which then ends in its line and within 1024 characters.
pub(super) fn begins_with_key(text: &str) -> bool {
    const MOST: usize = 1100;
    let end = text.char_indices().nth(MOST).map_or(text.len(), |(end, _)| end);
    let line = text[..end].split(['\n', '\r']).next().unwrap_or_default();
    let events = Parser::new_from_str(line).map_while(Result::ok).map(|(event, span)| (event, span.start));
    let mut events =
        events.skip_while(|(event, _)| matches!(event, Event::StreamStart | Event::DocumentStart(_)));
    // The mapping begins where its first key does.
    let (mapping, key) = (events.next(), events.next());
    mapping.zip(key).is_some_and(|((mapping, start), (key, at))| {
        matches!(mapping, Event::MappingStart(..))
            && matches!(key, Event::MappingStart(..) | Event::SequenceStart(..))
            && start == at
    })
}

impl Input for Bounded<'_> {
    fn lookahead(&mut self, count: usize) {
        self.asked = count;
        self.part.lookahead(count);
    }

    fn buflen(&self) -> usize {
        self.part.buflen()
    }

    fn bufmaxlen(&self) -> usize {
        // So much room is reserved for each word, however short.
        8
    }

    fn raw_read_ch(&mut self) -> char {
        self.part.raw_read_ch()
    }

    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        self.part.raw_read_non_breakz_ch()
    }

    fn skip(&mut self) {
        self.part.skip();
        self.skipped(1);
    }

    fn skip_n(&mut self, count: usize) {
        self.part.skip_n(count);
        self.skipped(count);
    }

    fn peek(&self) -> char {
        self.part.peek()
    }

    fn peek_nth(&self, n: usize) -> char {
        self.part.peek_nth(n)
    }

    fn peek_opt(&self) -> Option<char> {
        self.part.peek_opt()
    }

    // What follows has defaults, which take the text sign by sign.

    fn next_2_are(&self, first: char, second: char) -> bool {
        self.part.next_2_are(first, second)
    }

    fn next_3_are(&self, first: char, second: char, third: char) -> bool {
        self.part.next_3_are(first, second, third)
    }

    fn next_is_document_indicator(&self) -> bool {
        self.part.next_is_document_indicator()
    }

    fn next_is_document_start(&self) -> bool {
        self.part.next_is_document_start()
    }

    fn next_is_document_end(&self) -> bool {
        self.part.next_is_document_end()
    }

    fn skip_ws_to_eol(&mut self, tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>) {
        self.part.skip_ws_to_eol(tabs)
    }

    fn next_is_z(&self) -> bool {
        self.part.next_is_z()
    }

    fn skip_while_non_breakz(&mut self) -> usize {
        self.part.skip_while_non_breakz()
    }

    fn skip_while_blank(&mut self) -> usize {
        self.part.skip_while_blank()
    }

    fn fetch_while_is_alpha(&mut self, out: &mut String) -> usize {
        self.part.fetch_while_is_alpha(out)
    }

    fn fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize {
        self.part.fetch_while_is_yaml_non_space(out)
    }
}
