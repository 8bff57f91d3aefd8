//! The connections of a server.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use anyhow::Result;
use futures_util::future::select;
use http_body_util::BodyExt as _;
use hyper::{
    Response,
    body::Incoming,
    header::{
        ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, LOCATION,
        RETRY_AFTER,
    },
    http::response::Builder,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    answer::Answer,
    body::{self, Body},
    fault::Fault,
    port::Port,
    request::Request,
    state::State,
};

type Shared = Arc<Mutex<State>>;

const HTML: &str =
    "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><form></form></body></html>\n";

/// Takes connections until it is stopped.
pub(super) async fn serve(
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    state: Shared,
    stopped: oneshot::Receiver<()>,
    ready: mpsc::Sender<io::Result<()>>,
) {
    let listener = match Port::listen(address) {
        Ok(listener) => listener,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let listening = async {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            state.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
            connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&state)));
            while connections.try_join_next().is_some() {}
        }
    };
    select(pin!(listening), stopped).await;
}

/// How a connection ends is the client's to tell.
async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Shared) {
    let Some(acceptor) = acceptor else { return speak(stream, false, state).await };
    if let Ok(stream) = acceptor.accept(stream).await {
        let has_certificate = stream.get_ref().1.peer_certificates().is_some();
        speak(stream, has_certificate, state).await;
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    has_certificate: bool,
    state: Shared,
) {
    let service = service_fn(move |request| answer(request, has_certificate, Arc::clone(&state)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    has_certificate: bool,
    state: Shared,
) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        host: header(&head.headers, &HOST).unwrap_or_default(),
        authorization: header(&head.headers, &AUTHORIZATION),
        has_certificate,
    };
    let (answer, fault) = state.lock().unwrap_or_else(PoisonError::into_inner).react(request, &body);
    respond(answer, fault).await
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// An error would close the connection.
async fn respond(answer: Answer, fault: Option<Fault>) -> Result<Response<Body>> {
    let head = || {
        let mut head = Response::builder().status(answer.status);
        if let Some(kind) = answer.content_type {
            head = head.header(CONTENT_TYPE, kind);
        }
        if let Some(allow) = answer.allow {
            head = head.header(ALLOW, allow);
        }
        head
    };
    let text = answer.body();
    Ok(match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Status { status, body, retry_after }) => {
            let mut head = json(status);
            if let Some(retry_after) = retry_after {
                head = head.header(RETRY_AFTER, retry_after);
            }
            head.body(body::whole(body))
        }
        Some(Fault::Redirect(to)) => {
            Response::builder().status(302).header(LOCATION, to).body(body::whole(String::new()))
        }
        Some(Fault::Garbage) => {
            let head = Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8");
            head.body(body::whole(HTML.to_owned()))
        }
        Some(Fault::Cut) => head().header(CONTENT_LENGTH, text.len()).body(body::cut(&text)),
        Some(Fault::Truncated) => head().body(body::whole(half(&text).to_owned())),
        Some(Fault::Endless) => json(200).body(body::endless()),
        Some(Fault::Drip) => head().body(body::drip(text)),
        // These have changed the list already.
        None
        | Some(
            Fault::Empty
            | Fault::TotalMoves
            | Fault::Twice
            | Fault::Short
            | Fault::ShiftBetweenPages
            | Fault::DropsFields,
        ) => head().body(body::whole(text)),
    }?)
}

fn json(status: u16) -> Builder {
    Response::builder().status(status).header(CONTENT_TYPE, "application/json")
}

fn half(text: &str) -> &str {
    let mut end = text.len() / 2;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
