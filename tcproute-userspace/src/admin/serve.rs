//! Answers the connections of a listener. Each has its time: for a request to come, and for an answer to be read.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
    response::IntoResponse,
    serve::Listener,
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;
use tracing::debug;

use super::{
    connections::{Connections, Seat},
    guard,
};

/// So long the head of a request may take, and a connection may be without one.
const REQUEST: Duration = Duration::from_secs(10);

/// Whoever reads nothing of an answer for so long is cut off.
const UNREAD: Duration = Duration::from_secs(10);

/// What a connection may have in memory, and the head of a request take.
const BUFFER: usize = 16 << 10;

const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n";

/// Who can reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Programs of the user that it belongs to.
    User,
    /// Whoever is on this node, and the pages that browsers there show.
    Node,
}

/// Until the sender of `closed` is dropped; then what is on its way is completed. A failure to accept, as when there
/// are too many open files, is waited out by the listener.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    reach: Reach,
    router: Router,
    connections: Arc<Connections>,
    mut closed: watch::Receiver<()>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            // Nothing is ever told but that the sender is gone.
            _ = closed.changed() => break,
            Some(_) = open.join_next() => {}
            (mut stream, _) = listener.accept() => match connections.seat().await {
                Some(seat) => drop(open.spawn(connection(stream, reach, router.clone(), seat, closed.clone()))),
                // What does not fit into the socket's buffer is given up.
                None => drop(std::future::poll_fn(|cx| std::pin::Pin::new(&mut stream).poll_write(cx, FULL)).now_or_never()),
            },
        }
    }
    while open.join_next().await.is_some() {}
}

async fn connection<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    reach: Reach,
    router: Router,
    seat: Arc<Seat>,
    mut closed: watch::Receiver<()>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let service = service_fn(|request| answer(request, reach, router.clone(), &seat));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            () = seat.displaced() => return,
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!("a connection to the admin endpoint has ended: {error}");
                }
                return;
            }
            _ = closed.changed(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    reach: Reach,
    router: Router,
    seat: &Arc<Seat>,
) -> Result<Response<Body>, Infallible> {
    let busy = seat.busy();
    if reach == Reach::Node
        && let Err(refusal) = guard::admit(request.uri(), request.headers())
    {
        return Ok(refusal.into_response());
    }
    let response = TowerToHyperService::new(router).call(request).await?;
    // It is busy until the last of the answer is on its way.
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &busy;
            frame
        }))
    }))
}
