//! What others may know of the agent: a snapshot that it replaces after each change, and a way to ask it for
//! what only the kernel knows.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use imbl::OrdMap;
use tcproute_common::Counter;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    reconciles::{Reconciled, Reconciles},
    shares::SharesState,
};
use crate::{
    bpf::{CounterValue, requirements::Features},
    outcomes::{EndpointConnections, RecentConnections, WorkloadOutcomes},
    plan::Limits,
    resources::{Denial, MeshName},
    routing::{
        DataplaneRoutes, Plaintext,
        list::{DataplaneItem, EndpointItem, PolicyItem, ServiceItem},
    },
    sidecar,
    sources::{
        SourceState,
        dns::Shares,
        snapshot::{Rejection, Subject},
    },
    trace::{Record, RoutedConnection},
    workloads::cgroups::CgroupId,
};

/// A moment of the agent.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Whether the kernel holds what was last resolved. Files that cannot be used do not change that.
    pub ready: bool,
    /// What the kernel can do; `None` until it was asked.
    pub features: Option<Features>,
    /// The last time that something outside changed.
    pub last: Option<Reconcile>,
    /// What the sources have that cannot be used.
    pub rejected: OrdMap<Subject, Arc<Rejection>>,
    /// How each source is.
    pub sources: Vec<SourceState>,
    /// How many DNS names are looked up.
    pub names: Shares,
    /// Why the kernel does not hold what was resolved, if it does not.
    pub kernel_error: Option<Failure>,
    /// The workloads, with the routes that are in force.
    pub workloads: OrdMap<CgroupId, Arc<WorkloadState>>,
    /// The programs that are to be attached to each of them, by the kernel's numbers.
    pub programs: Arc<[u32]>,
    /// The network namespaces of workloads, and what becomes of routed connections there.
    pub sidecars: Arc<sidecar::State>,
    /// Cgroups that were named and are not there.
    pub waiting: Vec<WaitingState>,
    /// Why cgroups that are there are not attached, or have not the routes that they shall have.
    pub unattached: Vec<String>,
    /// Why what is in force ends with the daemon, if it does: it is not pinned.
    pub unpinned: Option<String>,
    /// Local Dataplanes that are not among the resources, and what that means for them.
    pub missing: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What the programs have met with that he should know, too.
    pub noticed: Vec<(Counter, String)>,
    /// How many addresses of resources do not count, by why.
    pub denied: BTreeMap<Denial, u32>,
    /// What is given up on routes, of the first of them.
    pub given_up: Vec<GivenUpState>,
    /// How many entries of the maps are taken, and how many there are.
    pub maps: Option<(Limits, Limits)>,
    /// What all maps take at most, in bytes, and what they may.
    pub map_memory: (u64, u64),
    /// Endpoints that were taken out, since they do not answer.
    pub ejected: Vec<EjectedState>,
    /// How often that happened; `None` if it never does.
    pub ejections: Option<u64>,
    /// The closing of connections to endpoints that have left, if there is any.
    pub drain: Option<DrainState>,
    /// Who listens to events.
    pub listeners: usize,
    /// Why changes of files are only found at an interval, if so.
    pub blind: Option<String>,
}

/// One pass from a change outside to the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Reconcile {
    /// When it ended.
    pub at: SystemTime,
    /// Since the change.
    pub duration: Duration,
    /// What came of it.
    pub result: Reconciled,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Since when.
    pub since: SystemTime,
    /// Every single thing.
    pub violations: Vec<String>,
}

impl Failure {
    /// From now on.
    pub(super) fn new(violations: Vec<String>) -> Self {
        Self { since: SystemTime::now(), violations }
    }
}

/// A workload of this node.
#[derive(Debug, Clone)]
pub struct WorkloadState {
    /// The directory of its cgroup.
    pub cgroup: PathBuf,
    /// The number of its cgroup.
    pub id: CgroupId,
    /// Its routes.
    pub routes: Arc<DataplaneRoutes>,
    /// How many of them are left to the proxy, since a workload may take no more.
    pub beyond: usize,
    /// Whether processes were there before the programs were attached.
    pub late: bool,
}

/// What is given up on a route that bypasses the proxy.
#[derive(Debug, Clone)]
pub struct GivenUpState {
    /// Of whose route.
    pub dataplane: String,
    /// Where it leads.
    pub service: Arc<str>,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The policies that nobody enforces there, as `kind name`.
    pub not_enforced: Vec<String>,
    /// What the servers make of it.
    pub plaintext: Plaintext,
}

/// An endpoint that was taken out.
#[derive(Debug, Clone)]
pub struct EjectedState {
    /// Of whose route.
    pub dataplane: String,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The target of the backendRef.
    pub backend: String,
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// When it is put in again.
    pub until: SystemTime,
}

/// What became of connections to endpoints that have left.
#[derive(Debug, Clone, Copy)]
pub struct DrainState {
    /// How long they are kept.
    pub grace: Duration,
    /// How many endpoints have left whose connections are still kept.
    pub waiting: usize,
    /// How many were closed.
    pub closed: u64,
}

/// A Dataplane whose cgroup is not there.
#[derive(Debug, Clone)]
pub struct WaitingState {
    /// As it was named: a path or a pattern.
    pub cgroup: PathBuf,
    /// The mesh of its Dataplane.
    pub mesh: MeshName,
    /// The name of its Dataplane, as it was written.
    pub dataplane: Arc<str>,
    /// The routes that it will have, if its Dataplane is there.
    pub routes: Option<Arc<DataplaneRoutes>>,
}

/// A question to the agent about what only the kernel knows, with the way back.
#[derive(Debug)]
pub(super) enum Question {
    /// The programs' counters.
    Counters(Answer<Vec<CounterValue>>),
    /// What workloads have taken of what all share.
    Shares(Answer<SharesState>),
    /// What became of the connections.
    Outcomes(Answer<Vec<WorkloadOutcomes>>),
    /// How many connections there were in the last minutes.
    Recent(Answer<Option<RecentConnections>>),
    /// Connections by endpoint.
    Endpoints(Answer<Vec<EndpointConnections>>),
    /// What was decided for the socket with this cookie.
    Routed(u64, Answer<Option<RoutedConnection>>),
    /// The Dataplanes that the sources have.
    Dataplanes(Answer<Vec<DataplaneItem>>),
    /// The services that these make.
    Services(Answer<Vec<ServiceItem>>),
    /// Where services are.
    ServiceEndpoints(Answer<Vec<EndpointItem>>),
    /// The MeshTCPRoutes that the sources have.
    Policies(Answer<Vec<PolicyItem>>),
    /// What is decided from now on.
    Trace(Answer<broadcast::Receiver<Arc<Record>>>),
}

type Answer<T> = oneshot::Sender<Result<T>>;

/// The agent's side.
pub struct Desk {
    pub(super) state: watch::Sender<Arc<State>>,
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) reconciles: Reconciles,
}

/// The side of those who want to know.
#[derive(Debug, Clone)]
pub struct Handle {
    state: watch::Receiver<Arc<State>>,
    questions: mpsc::Sender<Question>,
    reconciles: Reconciles,
}

/// How long an answer of the agent may take: it may be busy with a large change.
const PATIENCE: Duration = Duration::from_secs(5);

/// A desk, and the way to it.
pub fn desk() -> (Desk, Handle) {
    let (state, states) = watch::channel(Arc::default());
    let (sender, questions) = mpsc::channel(16);
    let reconciles = Reconciles::default();
    (
        Desk { state, questions, reconciles: reconciles.clone() },
        Handle { state: states, questions: sender, reconciles },
    )
}

impl Handle {
    /// As the agent has it at present.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// Whether the agent still runs.
    pub fn is_alive(&self) -> bool {
        self.state.has_changed().is_ok()
    }

    /// The programs' counters, as they are in the kernel.
    pub async fn counters(&self) -> Result<Vec<CounterValue>> {
        self.ask(Question::Counters).await
    }

    /// What workloads have taken of what all share.
    pub async fn shares(&self) -> Result<SharesState> {
        self.ask(Question::Shares).await
    }

    /// What became of the connections of each workload, as it is in the kernel.
    pub async fn outcomes(&self) -> Result<Vec<WorkloadOutcomes>> {
        self.ask(Question::Outcomes).await
    }

    /// How many connections routes have had in the last minutes; `None` if that is not kept, since there are too many.
    pub async fn recent(&self) -> Result<Option<RecentConnections>> {
        self.ask(Question::Recent).await
    }

    /// What is decided from now on. Events are made for as long as the answer is kept.
    pub async fn listen(&self) -> Result<broadcast::Receiver<Arc<Record>>> {
        self.ask(Question::Trace).await
    }

    /// Connections by endpoint, as far as sockets have places. The kernel is asked very often for it.
    pub async fn endpoints(&self) -> Result<Vec<EndpointConnections>> {
        self.ask(Question::Endpoints).await
    }

    /// What was decided for the socket with this cookie, if it is remembered.
    pub async fn routed(&self, cookie: u64) -> Result<Option<RoutedConnection>> {
        self.ask(|answer| Question::Routed(cookie, answer)).await
    }

    /// The Dataplanes of all meshes that the sources have.
    pub async fn dataplanes(&self) -> Result<Vec<DataplaneItem>> {
        self.ask(Question::Dataplanes).await
    }

    /// The services of all meshes.
    pub async fn services(&self) -> Result<Vec<ServiceItem>> {
        self.ask(Question::Services).await
    }

    /// Where these are.
    pub async fn service_endpoints(&self) -> Result<Vec<EndpointItem>> {
        self.ask(Question::ServiceEndpoints).await
    }

    /// The MeshTCPRoutes of all meshes that the sources have.
    pub async fn policies(&self) -> Result<Vec<PolicyItem>> {
        self.ask(Question::Policies).await
    }

    async fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Question) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let asked = async {
            self.questions.send(question(sender)).await.ok().context("the agent has stopped")?;
            answer.await.context("the agent has stopped")?
        };
        tokio::time::timeout(PATIENCE, asked).await.context("the agent is busy")?
    }

    /// What was counted of reconciles.
    pub const fn reconciles(&self) -> &Reconciles {
        &self.reconciles
    }
}
