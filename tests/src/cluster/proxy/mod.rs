//! A proxy between a client and an API server, which fails as it is told and counts what is asked.
//!
//! The client speaks HTTP/1.1 without TLS to it. Bodies are handed on piece by piece, so watches go through it.

mod body;
mod fault;
mod forward;
mod requests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::broadcast,
    task::{AbortHandle, JoinSet},
};

pub use self::{
    fault::Fault,
    requests::{Asked, Requests},
};
use super::{
    Api, ControlPlane, User,
    connection::{Endpoint, runtime},
};

/// A proxy that listens at a free port of loopback until it is dropped. It acts as one user if the client shows no
/// token, as some do without TLS.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

/// What is known to all connections.
struct Shared {
    endpoint: Endpoint,
    user: User,
    faults: Mutex<Vec<Injected>>,
    asked: Mutex<Vec<Asked>>,
    /// Tells open connections which of them are to be closed.
    cuts: broadcast::Sender<Requests>,
}

struct Injected {
    requests: Requests,
    fault: Fault,
    /// For how many requests more, if not for all.
    left: Option<usize>,
}

impl Proxy {
    /// Starts one in front of this API server.
    pub fn start(cluster: &ControlPlane, user: User) -> Self {
        let (cuts, _) = broadcast::channel(16);
        let shared = Arc::new(Shared {
            endpoint: cluster.endpoint().clone(),
            user,
            faults: Mutex::default(),
            asked: Mutex::default(),
            cuts,
        });
        let bound = runtime().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bound.expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let listening = runtime().spawn(listen(listener, Arc::clone(&shared))).abort_handle();
        Self { address, shared, listening }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of the API server that goes through it.
    pub fn api(&self) -> Api {
        Api::new(Endpoint::plain(self.address), None)
    }

    /// From now on these requests go wrong so. Of several that fit, the last one counts.
    pub fn inject(&self, requests: Requests, fault: Fault) {
        self.shared.faults().push(Injected { requests, fault, left: None });
    }

    /// The next so many of these requests go wrong so.
    pub fn inject_times(&self, times: usize, requests: Requests, fault: Fault) {
        self.shared.faults().push(Injected { requests, fault, left: Some(times) });
    }

    /// From now on nothing goes wrong. Answers that have begun to go wrong still do.
    pub fn heal(&self) {
        self.shared.faults().clear();
    }

    /// Closes the connections of those requests that are being answered, watches and hanging ones among them.
    pub fn cut(&self, requests: Requests) {
        // Nobody may be there.
        let _ = self.shared.cuts.send(requests);
    }

    /// What was asked since it was started or has last forgotten, in its order.
    pub fn asked(&self, requests: &Requests) -> Vec<Asked> {
        let asked = self.shared.asked();
        asked.iter().filter(|it| requests.include(it)).cloned().collect()
    }

    /// How often these were asked.
    pub fn count(&self, requests: &Requests) -> usize {
        self.asked(requests).len()
    }

    /// Begins to count anew.
    pub fn forget(&self) {
        self.shared.asked().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Shared {
    /// Notes a request, and tells what is to go wrong with it.
    fn take_in(&self, asked: &Asked) -> Option<Fault> {
        self.asked().push(asked.clone());
        let mut faults = self.faults();
        let fits = |it: &Injected| it.left != Some(0) && it.requests.include(asked);
        let injected = faults.iter_mut().rev().find(|it| fits(it))?;
        injected.left = injected.left.map(|left| left - 1);
        Some(injected.fault.clone())
    }

    fn faults(&self) -> MutexGuard<'_, Vec<Injected>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections end with it.
async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| forward::answer(Arc::clone(&shared), request));
        // How a connection ends is the client's to tell.
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}
