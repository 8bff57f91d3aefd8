//! Bodies of answers: piece by piece as they come, until they are to end otherwise.

use std::{io, pin::pin};

use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    stream,
};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use tokio::task::yield_now;

use super::forward::Told;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How a body ends before its time.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Cut,
    Hang,
}

/// It is there already.
pub(super) fn whole(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

/// What comes from the API server, or only so many bytes of it.
pub(super) fn passed(upstream: Incoming, end: Option<(usize, End)>, told: Told) -> Body {
    let passing = Passing { upstream, end, told };
    let frames = stream::unfold(passing, |mut passing| async {
        let frame = passing.next().await?;
        Some((frame, passing))
    });
    StreamBody::new(frames).boxed_unsync()
}

struct Passing {
    upstream: Incoming,
    end: Option<(usize, End)>,
    told: Told,
}

impl Passing {
    /// An error closes the client's connection.
    async fn next(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        if let Some((0, end)) = self.end {
            match end {
                // What was given before is sent first.
                End::Cut => yield_now().await,
                End::Hang => self.told.closing().await,
            }
            return Some(Err(cut()));
        }
        let frame = match select(pin!(self.upstream.frame()), pin!(self.told.closing())).await {
            Either::Left((frame, _)) => frame?,
            Either::Right(_) => return Some(Err(cut())),
        };
        Some(frame.map_err(io::Error::other).map(|frame| self.shortened(frame)))
    }

    fn shortened(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let Some((left, _)) = &mut self.end else { return frame };
        frame.map_data(|mut data| {
            data.truncate(*left);
            *left -= data.len();
            data
        })
    }
}

fn cut() -> io::Error {
    io::Error::other("cut")
}
