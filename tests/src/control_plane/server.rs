//! A control plane of ours, which answers as a real one and fails as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use serde_json::Value;
use tokio::{runtime, sync::oneshot};

use super::{
    ControlPlane,
    fault::Fault,
    options::Options,
    port::Port,
    request::Request,
    resource,
    serve::serve,
    state::{Injected, State},
};

/// It listens at a port of loopback until it is stopped or dropped.
///
/// Faults and counts are of what comes over the network. What a test puts and takes away by the methods here is done at
/// once.
pub struct Server {
    port: Port,
    state: Arc<Mutex<State>>,
    running: Mutex<Option<Running>>,
}

/// The thread on which all connections are.
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts one that holds the mesh `default`, as a real one that has never run before.
    pub fn start(options: Options) -> Self {
        let state = Arc::new(Mutex::new(State::new(options)));
        let server = Self { port: Port::claim(), state, running: Mutex::default() };
        server.restart();
        server
    }

    /// Where it is, such as `http://127.0.0.1:40001`. It stays there.
    pub fn url(&self) -> String {
        let scheme = if self.state().options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The same as an address.
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Puts a resource there, in the place of the one that has its name. One without a mesh is of `default`.
    pub fn put(&self, document: &Value) {
        self.state().put(document);
    }

    /// The same with all documents of a text.
    pub fn put_yaml(&self, documents: &str) {
        let documents = resource::of_yaml(documents);
        let mut state = self.state();
        for document in &documents {
            state.put(document);
        }
    }

    /// Takes a resource away, which must be there. `mesh` says nothing for kinds that are within none.
    pub fn delete(&self, kind: &str, mesh: &str, name: &str) {
        let mut state = self.state();
        let path = resource::path(state.options.version, kind, mesh, name);
        let answer = state.write("DELETE", &path, "");
        assert_eq!(answer.status, 200, "DELETE {path}: {answer:?}");
    }

    /// The names of a kind in a mesh, sorted as lists are.
    pub fn names(&self, kind: &str, mesh: &str) -> Vec<String> {
        let state = self.state();
        let kind = state.options.version.kind_named(kind);
        let kind = kind.unwrap_or_else(|| panic!("{} has no such kind", state.options.version.number()));
        let mesh = kind.in_mesh.then_some(mesh);
        state.store.list(kind, mesh).iter().map(|document| document.name.clone()).collect()
    }

    /// Everything that was put is gone, as after a restart without a database.
    pub fn forget(&self) {
        self.state().begin();
    }

    /// From now on, or for the next so many requests, what is asked of a path that has this text in it goes wrong so.
    /// The query is part of the path here. Of several that fit, the last one counts; and of requests only those count
    /// to which it makes a difference.
    pub fn fault(&self, path_part: &str, fault: Fault, times: Option<usize>) {
        self.state().faults.push(Injected { part: path_part.to_owned(), fault, left: times });
    }

    /// From now on nothing goes wrong. Answers that have begun to go wrong still do.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// What was asked, in its order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How often anything was asked.
    pub fn requests_count(&self) -> usize {
        self.state().requests.len()
    }

    /// Begins to count requests anew.
    pub fn forget_requests(&self) {
        self.state().requests.clear();
    }

    /// How many connections were accepted since it was started first.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Makes it another one, such as a later release or one with another token. It goes on with what it holds. Another
    /// certificate takes effect when it is started again.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// Closes all connections. Nobody listens at its port until it is started again; who connects is refused.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            drop(stop);
            thread.join().expect("the server does not panic");
        }
    }

    /// Starts it again, at the same port and with the same resources.
    pub fn restart(&self) {
        self.stop();
        let tls = self.state().options.tls.clone();
        let acceptor = tls.map(|tls| tls.acceptor().expect("the certificate can be used"));
        let (address, state) = (self.address(), Arc::clone(&self.state));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new().name("control-plane".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            // What is open ends with the runtime.
            runtime.block_on(serve(address, acceptor, state, stopped, ready));
        });
        let thread = thread.expect("a thread can be started");
        let bound = is_ready.recv().expect("it tells whether it listens");
        bound.unwrap_or_else(|error| panic!("cannot listen at {address}: {error}"));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { stop, thread });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ControlPlane for Server {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn put_yaml(&self, documents: &str) {
        Self::put_yaml(self, documents);
    }

    fn delete(&self, kind: &str, mesh: &str, name: &str) {
        Self::delete(self, kind, mesh, name);
    }
}
