//! Answers that may be large: of one listener's, one at a time is made, and those that are not sent yet have a bounded
//! share of memory, however many ask and however slowly they read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::{sync::Semaphore, time::timeout};

/// What waits to be sent may take so many KiB; a larger answer waits until it is alone.
const UNSENT: u32 = 64 << 10;

/// Handed on in pieces, so that what is kept for a slow reader is known.
const PIECE: usize = 64 << 10;

/// So long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whoever takes longer to read an answer is cut off.
const SLOWEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Answers {
    making: Semaphore,
    unsent: Arc<Semaphore>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { making: Semaphore::new(1), unsent: Arc::new(Semaphore::new(UNSENT as usize)) }
    }
}

impl Answers {
    /// Makes an answer when it is its turn.
    pub(super) async fn give<E>(
        &self,
        content_type: &'static str,
        make: impl Future<Output = Result<String, E>>,
    ) -> Result<Response, E> {
        let made = async {
            let _turn = self.making.acquire().await;
            let text = make.await?;
            let size = u32::try_from(text.len() / 1024 + 1).unwrap_or(UNSENT).min(UNSENT);
            // Neither semaphore is ever closed.
            Ok((text, Arc::clone(&self.unsent).acquire_many_owned(size).await.ok()))
        };
        let Ok(made) = timeout(PATIENCE, made).await else {
            return Ok((StatusCode::SERVICE_UNAVAILABLE, "too many ask at once\n").into_response());
        };
        let (text, room) = made?;
        let (length, until) = (text.len(), Instant::now() + SLOWEST);
        let pieces = stream::unfold((Bytes::from(text), room), move |(mut rest, room)| {
            let piece = rest.split_to(rest.len().min(PIECE));
            let piece = match piece.is_empty() {
                true => None,
                false if Instant::now() > until => Some(Err("read too slowly")),
                false => Some(Ok(piece)),
            };
            std::future::ready(piece.map(|piece| (piece, (rest, room))))
        });
        let head = [(CONTENT_TYPE, content_type.to_owned()), (CONTENT_LENGTH, length.to_string())];
        Ok((head, Body::from_stream(pieces)).into_response())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;

    use super::*;

    async fn answer(answers: &Answers, size: usize) -> Response {
        let make = async { Ok::<_, Infallible>("a".repeat(size)) };
        answers.give("text/plain", make).await.unwrap_or_else(|never| match never {})
    }

    #[tokio::test]
    async fn an_answer_is_whole_and_gives_its_room_back() {
        let answers = Answers::default();
        let response = answer(&answers, 3 * PIECE + 7).await;
        assert!(answers.unsent.available_permits() < UNSENT as usize);
        assert_eq!(response.headers()[CONTENT_LENGTH], (3 * PIECE + 7).to_string());
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 3 * PIECE + 7);
        assert_eq!(answers.unsent.available_permits(), UNSENT as usize);
        assert!(answer(&answers, 0).await.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_does_not_take_the_memory_of_more() {
        let answers = Answers::default();
        // Larger than all that may wait.
        let unread = answer(&answers, (UNSENT as usize) * 1024 + 1).await;
        assert_eq!(unread.status(), StatusCode::OK);
        assert_eq!(answer(&answers, 10).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(unread);
        assert_eq!(answer(&answers, 10).await.status(), StatusCode::OK);
    }
}
