//! Answers the connections of a listener. Each has its time: for TLS and for a request to come, and for an answer to be
//! read.

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
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tracing::debug;

use super::{
    connections::{Connections, Seat},
    guard,
    remote::Access,
};

/// So long the head of a request may take, a connection may be without one, and TLS may take before.
const REQUEST: Duration = Duration::from_secs(10);

/// Whoever reads nothing of an answer for so long is cut off.
const UNREAD: Duration = Duration::from_secs(10);

/// What a connection may have in memory, and the head of a request take.
const BUFFER: usize = 16 << 10;

const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n";

/// Who can reach a listener.
#[derive(Debug, Clone)]
pub(super) enum Reach {
    /// Programs of the user that it belongs to, and whatever he leads there: `ssh -L` makes it a port of his own host.
    User,
    /// Whoever is on this node, and the pages that browsers there show.
    Node,
    /// Whoever reaches its address, as far as he is let in.
    Others(Arc<Access>),
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
                Some(seat) => {
                    drop(open.spawn(connection(stream, reach.clone(), router.clone(), seat, closed.clone())));
                }
                // In words that whoever speaks TLS takes for an end. What does not fit into the socket's buffer is
                // given up.
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
    let stream = Box::pin(stream);
    let acceptor = match &reach {
        Reach::Others(access) => access.acceptor().await,
        Reach::User | Reach::Node => None,
    };
    let Some(acceptor) = acceptor else { return speak(stream, &reach, router, seat, closed).await };
    let shaken = tokio::select! {
        () = seat.displaced() => return,
        _ = closed.changed() => return,
        shaken = timeout(REQUEST, acceptor.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => speak(stream, &reach, router, seat, closed).await,
        Ok(Err(error)) => debug!("no TLS with somebody who came for metrics: {error}"),
        Err(_) => debug!("somebody who came for metrics took too long for TLS"),
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    reach: &Reach,
    router: Router,
    seat: Arc<Seat>,
    mut closed: watch::Receiver<()>,
) {
    let service = service_fn(|request| answer(request, reach, router.clone(), &seat));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
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
    reach: &Reach,
    router: Router,
    seat: &Arc<Seat>,
) -> Result<Response<Body>, Infallible> {
    let busy = seat.busy();
    let (uri, headers) = (request.uri(), request.headers());
    let admitted = match reach {
        Reach::User | Reach::Node => guard::admit(uri, headers).map_err(IntoResponse::into_response),
        Reach::Others(access) => access.admit(uri, headers).await,
    };
    if let Err(refusal) = admitted {
        return Ok(refusal);
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
