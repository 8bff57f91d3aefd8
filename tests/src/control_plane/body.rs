//! Bodies as they are sent: whole, or as a fault wants them.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, Stream},
};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::{task::yield_now, time::sleep};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Go tells the length of what is shorter, and sends all else in chunks.
const BUFFER: usize = 2048;

/// All of it, in as many pieces as a real one sends.
pub(super) fn whole(text: String) -> Body {
    if text.len() <= BUFFER {
        return Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync();
    }
    let text = Bytes::from(text);
    let pieces = (0..text.len()).step_by(BUFFER).map(move |at| {
        let end = text.len().min(at + BUFFER);
        Ok(text.slice(at..end))
    });
    of(stream::iter(pieces))
}

/// The first half, and then the end of the connection.
pub(super) fn cut(text: &str) -> Body {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    of(stream::unfold(Some(half), |half| async {
        match half {
            Some(half) => Some((Ok(half), None)),
            None => {
                // What was given before is sent first.
                yield_now().await;
                Some((Err(io::Error::other("cut")), None))
            }
        }
    }))
}

/// The beginning of a list, and then space without an end.
pub(super) fn endless() -> Body {
    let space = Bytes::from(vec![b' '; 64 << 10]);
    let pieces = std::iter::once(Bytes::from_static(br#"{"total":1,"items":["#));
    of(stream::iter(pieces.chain(std::iter::repeat(space)).map(Ok)))
}

/// A byte each 100 ms.
pub(super) fn drip(text: String) -> Body {
    of(stream::unfold(Bytes::from(text), |mut left| async {
        sleep(Duration::from_millis(100)).await;
        let byte = (!left.is_empty()).then(|| left.split_to(1))?;
        Some((Ok(byte), left))
    }))
}

fn of(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}
