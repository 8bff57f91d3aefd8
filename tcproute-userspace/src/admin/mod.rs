//! What the daemon tells of itself, over HTTP on a unix socket and, when asked, on loopback TCP. All of it is for
//! reading only.
//!
//! | Path | What |
//! |---|---|
//! | `/healthz` | 200 as long as the agent runs |
//! | `/readyz` | 200 if the kernel holds what was resolved, else 503 and why |
//! | `/metrics` | OpenMetrics text, as Prometheus reads it |
//! | `/v1/status` | the daemon, its workloads, errors and warnings, as JSON |
//! | `/v1/outcomes` | how connections were split and what became of them, by route and backendRef, as JSON |
//! | `/v1/trace` | decisions as they are made and what comes of each, a JSON value a line, for as long as it is read |
//! | `/v1/routes` | the routes in force, as JSON like that of `tcproute resolve --all` |

pub mod client;
mod listen;
mod metrics;
mod outcome_metrics;
pub mod status;

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use serde_json::json;
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tracing::{debug, error, info};

use crate::{agent::Handle, bpf::CounterValue, trace::Record};
use listen::Socket;
use status::Status;

/// So long answers that are on their way are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The admin endpoint. It is closed when this is dropped.
pub struct Admin {
    _socket: Socket,
    servers: JoinSet<()>,
    closing: watch::Sender<()>,
}

impl Admin {
    /// Opens it. To be called inside of the runtime.
    pub fn open(socket: &Path, loopback: Option<SocketAddr>, handle: Handle) -> Result<Self> {
        status::started();
        let router = router(handle);
        let (guard, listener) = Socket::bind(socket)?;
        let mut servers = JoinSet::new();
        let (closing, closed) = watch::channel(());
        servers.spawn(serve(listener, router.clone(), closed.clone()));
        if let Some(address) = loopback {
            let listener = listen::tcp(address)?;
            info!("admin endpoint at http://{}", listener.local_addr()?);
            servers.spawn(serve(listener, router, closed));
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

async fn serve<L: axum::serve::Listener>(listener: L, router: Router, mut closed: watch::Receiver<()>)
where
    L::Addr: std::fmt::Debug,
{
    // Nothing is ever told but that the sender is gone.
    let end = async move { while closed.changed().await.is_ok() {} };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
        error!("the admin endpoint has failed: {error}");
    }
}

fn router(handle: Handle) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/v1/status", get(show_status))
        .route("/v1/routes", get(show_routes))
        .route("/v1/outcomes", get(show_outcomes))
        .route("/v1/trace", get(trace))
        .with_state(handle)
}

async fn healthz(State(handle): State<Handle>) -> Response {
    if handle.is_alive() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the agent has stopped\n").into_response()
    }
}

async fn readyz(State(handle): State<Handle>) -> Response {
    let state = handle.state();
    if handle.is_alive() && state.ready {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let why = match &state.kernel_error {
        Some(failure) => failure.violations.join("\n"),
        None => "the routes are not in force yet".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response()
}

async fn scrape(State(handle): State<Handle>) -> Result<Response, Failed> {
    let counters = counters(&handle).await?;
    let outcomes = if is_started(&handle) { handle.outcomes().await? } else { Vec::new() };
    let attached = attached(&handle).await?;
    let text = metrics::text(&handle, &counters, &outcomes, &attached)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn show_status(State(handle): State<Handle>) -> Result<Response, Failed> {
    let counters = counters(&handle).await?;
    let attached = attached(&handle).await?;
    Ok(Json(Status::new(&handle.state(), &attached, &counters)).into_response())
}

async fn show_routes(State(handle): State<Handle>) -> Response {
    let state = handle.state();
    let mut routes: Vec<_> = state.workloads.values().map(|workload| &workload.routes).collect();
    // Several cgroups may have the routes of one Dataplane.
    let mut seen = BTreeSet::new();
    routes.retain(|routes| seen.insert((&routes.mesh, &routes.dataplane)));
    Json(routes).into_response()
}

async fn show_outcomes(State(handle): State<Handle>) -> Result<Response, Failed> {
    Ok(Json(handle.outcomes().await?).into_response())
}

async fn trace(State(handle): State<Handle>) -> Result<Response, Failed> {
    let records = handle.listen().await?;
    let lines = stream::unfold(records, async |mut records| {
        let record = match records.recv().await {
            Ok(record) => record,
            Err(RecvError::Lagged(records)) => Arc::new(Record::Lost { records }),
            Err(RecvError::Closed) => return None,
        };
        let line = serde_json::to_string(&*record).map(|line| line + "\n");
        Some((line, records))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// While the daemon starts there is nobody to ask.
fn is_started(handle: &Handle) -> bool {
    handle.state().features.is_some()
}

async fn counters(handle: &Handle) -> Result<Vec<CounterValue>> {
    if is_started(handle) { handle.counters().await } else { Ok(Vec::new()) }
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
