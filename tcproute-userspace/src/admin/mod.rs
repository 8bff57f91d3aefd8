//! What the daemon tells of itself, over HTTP on a unix socket and, when asked, on loopback TCP; of it metrics and
//! health also on an address that others reach (`remote`). All of it is for reading only.
//!
//! | Path | What |
//! |---|---|
//! | `/healthz` | 200 as long as the agent runs |
//! | `/readyz` | 200 if the kernel holds what was resolved, else 503 and why |
//! | `/metrics` | as Prometheus reads them, in OpenMetrics or the older text |
//! | `/v1/status` | the daemon, its workloads, errors and warnings, as JSON |
//! | `/v1/outcomes` | how connections were split and what became of them, by route and backendRef, as JSON |
//! | `/v1/recent` | how many connections routes have had in the last minutes, or null, as JSON |
//! | `/v1/trace` | decisions as they are made and what comes of each, a JSON value a line, for as long as it is read |
//! | `/v1/connections/COOKIE` | what was decided for the socket with this cookie, or null, as JSON |
//! | `/v1/routes` | the routes in force, as JSON like that of `tcproute resolve --all` |
//! | `/v1/list/KIND` | what there is of `dataplanes`, `services` and others (`lists`), a value each, as JSON |
//! | `/` | a page that shows all of it, live |
//! | `/v1/view` | what the page draws, as server-sent events |

mod answers;
pub mod client;
mod connections;
mod guard;
mod listen;
mod lists;
mod metrics;
mod page;
pub mod remote;
mod serve;
pub mod status;

use std::{collections::BTreeSet, net::SocketAddr, path, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{broadcast::error::RecvError, watch},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tracing::{debug, info};

use crate::{
    agent::{Handle, SharesState},
    escaped::{self, Escaped},
    otlp::Told,
    trace::Record,
};
use connections::Connections;
use listen::Socket;
use metrics::{Answers, Format};
pub use metrics::{Detail, Extent};
use page::Looking;
use remote::Remote;
use serve::{Reach, serve};
use status::Status;

/// So long answers that are on their way are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many reasons `/readyz` tells.
const TOLD: usize = 20;

const JSON: &str = "application/json";

/// The admin endpoint. It is closed when this is dropped.
pub struct Admin {
    _socket: Socket,
    servers: JoinSet<()>,
    closing: watch::Sender<()>,
}

impl Admin {
    /// Opens it. To be called inside of the runtime.
    pub fn open(
        socket: &path::Path,
        loopback: Option<SocketAddr>,
        remote: Option<Remote>,
        extent: Extent,
        handle: &Handle,
        otlp: Option<&Told>,
    ) -> Result<Self> {
        status::started();
        let (guard, unix) = Socket::bind(socket)?;
        let tcp = loopback.map(listen::tcp).transpose()?;
        let of_unix = Connections::new("unix");
        let of_tcp = tcp.is_some().then(|| Connections::new("tcp"));
        let of_remote = remote.is_some().then(|| Connections::new("metrics"));
        let all: Arc<[_]> = std::iter::once(&of_unix).chain(&of_tcp).chain(&of_remote).cloned().collect();
        let (closing, closed) = watch::channel(());
        let looking = Looking::new(handle.clone());
        let desk = |here: &Arc<Connections>| Desk {
            handle: handle.clone(),
            otlp: otlp.cloned(),
            here: here.clone(),
            all: all.clone(),
            extent,
            looking: looking.clone(),
            closed: closed.clone(),
        };
        let everything = |here: &Arc<Connections>| probed().merge(asked()).with_state(desk(here));
        let mut servers = JoinSet::new();
        servers.spawn(serve(unix, Reach::User, everything(&of_unix), of_unix, closed.clone()));
        if let (Some(tcp), Some(of_tcp)) = (tcp, of_tcp) {
            info!("admin endpoint at http://{}", tcp.local_addr()?);
            servers.spawn(serve(tcp, Reach::Node, everything(&of_tcp), of_tcp, closed.clone()));
        }
        if let (Some(remote), Some(of_remote)) = (remote, of_remote) {
            info!("metrics at {}", remote.url()?);
            let listener = TcpListener::from_std(remote.listener)?;
            let router = probed().with_state(desk(&of_remote));
            servers.spawn(serve(listener, Reach::Others(remote.access), router, of_remote, closed.clone()));
        }
        Ok(Self { _socket: guard, servers, closing })
    }

    /// Takes no more requests and ends the connections that there are.
    pub async fn close(mut self) {
        drop(self.closing);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if timeout(PATIENCE, ended).await.is_err() {
            debug!("somebody does not let go of the admin endpoint");
        }
    }
}

/// Where requests of one listener are answered.
#[derive(Clone)]
struct Desk {
    handle: Handle,
    /// If connections are told of elsewhere.
    otlp: Option<Told>,
    here: Arc<Connections>,
    /// Of each listener.
    all: Arc<[Arc<Connections>]>,
    extent: Extent,
    looking: Arc<Looking>,
    /// Whose sender is dropped at the end.
    closed: watch::Receiver<()>,
}

impl Desk {
    /// What is made when it is its turn.
    async fn json<T: Serialize>(&self, value: impl Future<Output = Result<T>>) -> Result<Response, Failed> {
        self.here.answers.give(JSON, async { Ok(escaped::json(&value.await?)?) }).await
    }
}

/// What a scraper and a probe ask for, and all that others are told.
fn probed() -> Router<Desk> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(scrape))
}

/// What is for this node alone.
fn asked() -> Router<Desk> {
    Router::new()
        .route("/v1/status", get(show_status))
        .route("/v1/routes", get(show_routes))
        .route("/v1/outcomes", get(show_outcomes))
        .route("/v1/recent", get(show_recent))
        .route("/v1/connections/{cookie}", get(show_connection))
        .route("/v1/list/{kind}", get(lists::show))
        .route("/v1/trace", get(trace))
        .route("/", get(page::document))
        .route("/v1/view", get(page::view))
}

async fn healthz(State(Desk { handle, .. }): State<Desk>) -> Response {
    if handle.is_alive() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the agent has stopped\n").into_response()
    }
}

async fn readyz(State(Desk { handle, .. }): State<Desk>) -> Response {
    let state = handle.state();
    if handle.is_alive() && state.ready {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let why = match &state.kernel_error {
        Some(failure) => failure
            .violations
            .iter()
            .take(TOLD)
            .flat_map(|why| [Escaped(why).to_string(), "\n".into()])
            .collect(),
        None => "the routes are not in force yet\n".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

async fn scrape(
    State(Desk { handle, otlp, here, all, extent, .. }): State<Desk>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let format = Format::asked(&headers);
    let text = async {
        // While the daemon starts there is nobody to ask.
        let is_asked = handle.state().features.is_some();
        let (counters, outcomes, shares) = if is_asked {
            (handle.counters().await?, handle.outcomes().await?, handle.shares().await?)
        } else {
            (Vec::new(), Vec::new(), SharesState::default())
        };
        let endpoints = if is_asked && extent.detail == Detail::Endpoints {
            handle.endpoints().await?
        } else {
            Vec::new()
        };
        let attached = attached(&handle).await?;
        let exported = otlp.as_ref().map(Told::shown);
        let answers = Answers { counters, outcomes, shares, attached, endpoints, exported };
        metrics::text(format, extent, &handle, answers, all)
    };
    Ok(here.answers.give(format.content_type(), text).await?)
}

async fn show_status(State(desk): State<Desk>) -> Result<Response, Failed> {
    let status = async {
        let attached = attached(&desk.handle).await?;
        let otlp = desk.otlp.as_ref().map(|told| told.shown().into());
        Ok(Status { otlp, ..Status::new(&desk.handle.state(), &attached) })
    };
    desk.json(status).await
}

async fn show_routes(State(desk): State<Desk>) -> Result<Response, Failed> {
    let routes = async {
        let state = desk.handle.state();
        // Several cgroups may have the routes of one Dataplane.
        let mut seen = BTreeSet::new();
        let routes = state.workloads.values().map(|workload| Arc::clone(&workload.routes));
        Ok(routes.filter(|it| seen.insert((it.mesh.clone(), it.dataplane.clone()))).collect::<Vec<_>>())
    };
    desk.json(routes).await
}

async fn show_outcomes(State(desk): State<Desk>) -> Result<Response, Failed> {
    desk.json(desk.handle.outcomes()).await
}

async fn show_recent(State(desk): State<Desk>) -> Result<Response, Failed> {
    desk.json(desk.handle.recent()).await
}

async fn show_connection(State(desk): State<Desk>, Path(cookie): Path<u64>) -> Result<Response, Failed> {
    desk.json(desk.handle.routed(cookie)).await
}

async fn trace(State(desk): State<Desk>) -> Result<Response, Failed> {
    let Some(place) = desk.here.trace() else {
        let why = json!({ "error": "too many listen to decisions already" });
        return Ok((StatusCode::SERVICE_UNAVAILABLE, Json(why)).into_response());
    };
    let records = desk.handle.listen().await?;
    let lines = stream::unfold((records, place), async |(mut records, place)| {
        let record = match records.recv().await {
            Ok(record) => record,
            Err(RecvError::Lagged(records)) => Arc::new(Record::Lost { records, dataplane: None }),
            Err(RecvError::Closed) => return None,
        };
        let line = escaped::json(&*record).map(|line| line + "\n");
        Some((line, (records, place)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Whether each of the workloads is attached, as the kernel tells it.
async fn attached(handle: &Handle) -> Result<Vec<bool>> {
    let state = handle.state();
    spawn_blocking(move || status::attached(&state)).await?
}

/// A request that could not be answered.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let error = format!("{:#}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": error }))).into_response()
    }
}
