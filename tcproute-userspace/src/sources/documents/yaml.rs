//! YAML text to documents. The only file that knows the crate that parses YAML, beside `input`.
//!
//! The parser hands out one event after the other, so what is too deep or too much is refused before it takes time and
//! memory. Of a list, which may be nearly all of a file, one item is there at a time.

use saphyr_parser::{Event, Marker, Parser};

use super::{
    content::{Content, Fault},
    grow::Growing,
    input::{Ahead, Bounded},
    limits::Limits,
    mark::Mark,
    segments::{Segment, segments},
};

/// A document as far as it is read.
pub(super) enum Document {
    Whole(Content),
    /// One with `items`, which are left out. They can be had one by one, or all together with the rest.
    WithItems(Content),
}

/// The documents of a text; JSON is YAML. Nothing can be said of what follows a fault.
pub(super) struct Documents<'t> {
    segments: Box<dyn Iterator<Item = Segment<'t>> + 't>,
    limits: Limits,
    events: Option<Events<'t>>,
    /// The document whose items are still to be read, and where they begin.
    open: Option<(Growing, Mark)>,
}

impl<'t> Documents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { segments: Box::new(segments(text)), limits: Limits::of(text.len()), events: None, open: None }
    }

    /// The next document; `None` behind the last. To be called until then, or until there is a fault.
    pub(super) fn next(&mut self) -> Result<Option<Document>, Fault> {
        loop {
            let Some(events) = &mut self.events else {
                let Some(segment) = self.segments.next() else { return Ok(None) };
                self.events = Some(Events::new(segment, self.limits));
                continue;
            };
            match events.document(Growing::new(self.limits))? {
                Some((content, None)) => return Ok(Some(Document::Whole(content))),
                Some((head, open)) => {
                    self.open = open;
                    return Ok(Some(Document::WithItems(head)));
                }
                None => self.events = None,
            }
        }
    }

    /// All of the document with items, as one.
    pub(super) fn whole(&mut self) -> Result<Option<Content>, Fault> {
        let (Some((mut growing, at)), Some(events)) = (self.open.take(), &mut self.events) else {
            return Ok(None);
        };
        growing.take(Event::SequenceStart(0, None), at)?;
        events.rest(growing).map(Some)
    }

    /// The next item of the document with items; `None` behind the last.
    pub(super) fn item(&mut self) -> Result<Option<&Content>, Fault> {
        let (Some((growing, _)), Some(events)) = (&mut self.open, &mut self.events) else { return Ok(None) };
        growing.next_item();
        let around = growing.depth();
        while let Some((event, at)) = events.next()? {
            if growing.depth() == around && matches!(event, Event::SequenceEnd) {
                events.skip_document()?;
                break;
            }
            growing.take(event, at)?;
            if growing.depth() == around {
                return Ok(self.open.as_ref().map(|(growing, _)| growing.content()));
            }
        }
        self.open = None;
        Ok(None)
    }
}

/// A document, and what is before its items if they are left out, with the place of those.
type Read = (Content, Option<(Growing, Mark)>);

/// What the parser says of a segment.
#[derive(Clone)]
struct Events<'t> {
    segment: Segment<'t>,
    parser: Parser<'t, Bounded<'t>>,
    ahead: Ahead,
    limits: Limits,
}

impl<'t> Events<'t> {
    fn new(segment: Segment<'t>, limits: Limits) -> Self {
        let ahead = Ahead::new(limits.ahead);
        let input = Bounded::new(segment.text, segment.is_collection, ahead.clone());
        Self { segment, parser: Parser::new(input), ahead, limits }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Mark)>, Fault> {
        let Some(event) = self.parser.next_event() else { return Ok(None) };
        let place = |marker: &Marker| self.segment.place(marker.line() as u32, marker.col() as u32 + 1);
        let at = match &event {
            Ok((_, span)) => place(&span.start),
            Err(error) => place(error.marker()),
        };
        if self.ahead.is_too_far() {
            let most = self.limits.ahead;
            let message = format!(
                "is in braces or brackets, or inside of such, and has more than {most} values and signs between them: write it in lines"
            );
            return Err(Fault { at, message });
        }
        self.ahead.reset();
        match event {
            Ok((Event::StreamEnd, _)) => Ok(None),
            Ok((event, _)) => Ok(Some((event, at))),
            Err(error) => Err(Fault { at, message: error.info().to_owned() }),
        }
    }

    /// The next document of the segment.
    fn document(&mut self, mut growing: Growing) -> Result<Option<Read>, Fault> {
        while let Some((event, at)) = self.next()? {
            if matches!(event, Event::DocumentEnd) {
                return Ok(Some((growing.finish(), None)));
            }
            if growing.is_at_items() && matches!(event, Event::SequenceStart(0, _)) {
                let open = growing.clone();
                growing.take(event, at)?;
                // What is wrong behind the items is wrong with the document, and is known before any of them is read.
                if let Some(head) = self.clone().head(growing.clone())? {
                    return Ok(Some((head, Some((open, at)))));
                }
            } else {
                growing.take(event, at)?;
            }
        }
        Ok(None)
    }

    /// A document that is at its items, without them; `None` if they have anchors, so that there may be aliases to
    /// them.
    fn head(mut self, mut growing: Growing) -> Result<Option<Content>, Fault> {
        let inside = growing.depth();
        growing.pass(true);
        while let Some((event, at)) = self.next()? {
            match event {
                Event::DocumentEnd => return Ok(Some(growing.finish())),
                Event::Scalar(_, _, anchor, _)
                | Event::SequenceStart(anchor, _)
                | Event::MappingStart(anchor, _)
                    if anchor > 0 && growing.depth() >= inside =>
                {
                    return Ok(None);
                }
                event => growing.take(event, at)?,
            }
            if growing.depth() < inside {
                growing.pass(false);
            }
        }
        Ok(Some(growing.finish()))
    }

    fn rest(&mut self, mut growing: Growing) -> Result<Content, Fault> {
        while let Some((event, at)) = self.next()? {
            if matches!(event, Event::DocumentEnd) {
                break;
            }
            growing.take(event, at)?;
        }
        Ok(growing.finish())
    }

    fn skip_document(&mut self) -> Result<(), Fault> {
        while let Some((event, _)) = self.next()? {
            if matches!(event, Event::DocumentEnd) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
