//! A collector: OTLP over HTTP by the messages of the protocol, and answers as a test wants them.

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use tcproute_tests::control_plane::Tls;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
};

/// What is said to a batch.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Taken,
    /// Taken, but for so many.
    Partial(i64),
    /// A status, and after how many seconds to come again.
    Status(u16, Option<u64>),
    /// Nothing, ever.
    Silence,
}

/// A batch that came.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) request: ExportTraceServiceRequest,
}

struct State {
    answer: Answer,
    batches: Vec<Batch>,
    taken: Vec<Span>,
}

type Shared = Arc<Mutex<State>>;

/// It listens until it is dropped.
pub(crate) struct Collector {
    state: Shared,
    runtime: Option<Runtime>,
}

impl Collector {
    pub(crate) fn start(address: impl Into<SocketAddr>, answer: Answer) -> Self {
        Self::start_with(address.into(), answer, None)
    }

    pub(crate) fn start_with(address: SocketAddr, answer: Answer, tls: Option<&Tls>) -> Self {
        let state = Arc::new(Mutex::new(State { answer, batches: Vec::new(), taken: Vec::new() }));
        let acceptor = tls.map(|tls| tls.acceptor().unwrap());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    match acceptor {
                        None => speak(stream, state).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                speak(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { state, runtime: Some(runtime) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub(crate) fn say(&self, answer: Answer) {
        self.state().answer = answer;
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.state().batches.clone()
    }

    /// The spans of batches that were taken.
    pub(crate) fn taken(&self) -> Vec<Span> {
        self.state().taken.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, state: Shared) {
    let service = service_fn(|request| answer(request, Arc::clone(&state)));
    // How it ends is the client's to tell.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, state: Shared) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let spans: Vec<Span> = request
        .resource_spans
        .iter()
        .flat_map(|it| &it.scope_spans)
        .flat_map(|it| it.spans.clone())
        .collect();
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, headers) = (head.uri.path().to_owned(), head.headers);
        state.batches.push(Batch { at: Instant::now(), path, headers, request });
        if matches!(state.answer, Answer::Taken | Answer::Partial(_)) {
            state.taken.extend(spans);
        }
        state.answer.clone()
    };
    let mut response = Response::builder().header(CONTENT_TYPE, "application/x-protobuf");
    let partial = match answer {
        Answer::Silence => return pending().await,
        Answer::Taken => None,
        Answer::Partial(rejected_spans) => {
            let error_message = "these are too old".to_owned();
            Some(ExportTracePartialSuccess { rejected_spans, error_message })
        }
        Answer::Status(code, after) => {
            if let Some(after) = after {
                response = response.header(RETRY_AFTER, after.to_string());
            }
            return Ok(response.status(code).body(Full::default()).unwrap());
        }
    };
    let body = ExportTraceServiceResponse { partial_success: partial }.encode_to_vec();
    Ok(response.body(Full::from(body)).unwrap())
}

/// An attribute as a text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|it| it.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}
