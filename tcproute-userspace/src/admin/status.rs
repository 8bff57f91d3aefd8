//! `/v1/status`: its JSON, which `tcproute status` reads.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use anyhow::Result;
use jiff::Timestamp;
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

use crate::{
    agent::{DrainState, EjectedState, GivenUpState, State, WaitingState, WorkloadState},
    bpf::attached,
    confined::is_confined,
    otlp::{self, Exported},
    outcomes::timestamp,
    privileges,
    routing::Plaintext,
    sidecar::{self, NamespaceState},
    sources::{
        SourceState, dns,
        last_good::Keeping,
        snapshot::{Health, Rejection, Subject},
    },
};

/// The daemon at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Of tcproute.
    pub version: String,
    /// Of the daemon.
    pub pid: u32,
    /// When the daemon was started.
    pub started: Timestamp,
    /// The kernel's release.
    pub kernel: String,
    /// The capabilities that the daemon has (capabilities(7)).
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Whether the kernel refuses it the system calls that it never makes.
    #[serde(default)]
    pub confined: bool,
    /// What the kernel can do; absent while the daemon starts.
    pub features: Option<Features>,
    /// Whether the kernel holds what was last resolved.
    pub ready: bool,
    /// Whether changes of files are seen at once. Otherwise, why they are only found at an interval.
    pub unwatched: Option<String>,
    /// The last time that something outside changed.
    pub last_reconcile: Option<LastReconcile>,
    /// What keeps the daemon from putting the resources in force, if anything does.
    pub error: Option<Error>,
    /// Where the resources come from.
    pub sources: Vec<Source>,
    /// What cannot be used.
    pub rejected: Vec<Rejected>,
    /// The local workloads.
    pub workloads: Vec<Workload>,
    /// Local workloads whose cgroups are not there.
    pub waiting: Vec<Waiting>,
    /// The network namespaces of workloads, where sidecars are got past.
    #[serde(default)]
    pub network_namespaces: Vec<NetworkNamespace>,
    /// Endpoints that were taken out for a while, since they do not answer.
    pub ejected: Vec<Ejected>,
    /// What is given up where connections bypass the proxy, of 100 routes at most: `/v1/routes` has all.
    #[serde(default)]
    pub given_up: Vec<GivenUp>,
    /// What becomes of connections to endpoints that have left; absent if they are kept.
    pub drain: Option<Drain>,
    /// Where connections are told of by OpenTelemetry; absent if they are not (`--otlp`).
    #[serde(default)]
    pub otlp: Option<Otlp>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// How full the maps are.
    pub maps: Vec<MapUse>,
    /// What they take.
    pub map_memory: MapMemory,
}

/// What the kernel can do beyond the oldest one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each tells of something else")]
pub struct Features {
    /// A refused connection fails with ECONNREFUSED; otherwise with EPERM.
    pub refuses_with_econnrefused: bool,
    /// `getpeername` of an MPTCP socket answers with the dialled address.
    pub names_mptcp_peers: bool,
    /// Connections that fail are told apart by cause.
    pub tells_failures_apart: bool,
    /// `trace` names the process that connects.
    pub names_processes: bool,
}

/// One pass from a change outside to the kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastReconcile {
    /// When it ended.
    pub at: Timestamp,
    /// Since the change.
    pub duration_seconds: f64,
    /// `applied`, `unchanged` or `failed`.
    pub result: String,
}

/// Why the last good state is in force and not what the resources say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// Since when.
    pub since: Timestamp,
    /// Every single thing that is wrong.
    pub violations: Vec<String>,
}

/// A source of resources.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Such as `files`.
    pub name: String,
    /// How many resources it has that can be used.
    pub resources: usize,
    /// When it last said something.
    pub changed: Timestamp,
    /// When it was last heard, which may have been that nothing has changed.
    #[serde(default)]
    pub answered: Option<Timestamp>,
    /// What server it is, if it is one that says so.
    #[serde(default)]
    pub server: Option<String>,
    /// Why it does not answer, or only in part, if so. What it said last stands.
    pub failing: Option<Failing>,
    /// So many of the resources are as an earlier daemon has read them: the source has not told them since.
    pub stale: usize,
    /// What is kept of it for the next start; absent if nothing is.
    pub kept: Option<Kept>,
}

/// What is kept for the next start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Whether all is kept that the source has said.
    pub whole: bool,
    /// How much it takes.
    pub bytes: u64,
    /// What it may take.
    pub most_bytes: u64,
    /// Why not all is kept, if that has failed.
    pub error: Option<String>,
}

/// Why a source does not answer, or only in part, or why a collector does not take what it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: String,
}

/// Something that cannot be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The source that has it.
    pub source: String,
    /// A resource, such as `MeshTCPRoute split of mesh default`, or the place of something that cannot be told.
    pub subject: String,
    /// The kind of the resource, if it can be told.
    pub kind: Option<String>,
    /// Everything that is wrong with it.
    pub violations: Vec<String>,
    /// When it was first seen to be so.
    pub since: Timestamp,
    /// Whether its last good form stays in force.
    pub kept: bool,
}

/// A workload of this node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its Dataplane.
    pub dataplane: String,
    /// The Dataplane's mesh.
    pub mesh: String,
    /// Its cgroup.
    pub cgroup: PathBuf,
    /// How many outbounds it has.
    pub routes: usize,
    /// How many of its routes are left to the proxy, since a workload may take no more (`--max-routes-per-workload`).
    pub beyond: usize,
    /// Whether the programs are attached there, as the kernel tells it.
    pub attached: bool,
    /// Whether processes were there before the programs: what they dialled until then went where it was dialled.
    #[serde(default)]
    pub late: bool,
}

/// A network namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkNamespace {
    /// Its number, as lsns(8) shows it.
    pub inode: u64,
    /// What becomes of routed connections: `plain`, they are routed; `past`, they are routed past a sidecar; `held`,
    /// they are left to where they are dialled.
    pub way: String,
    /// Why they are held, or how a sidecar takes connections.
    pub why: String,
    /// The sidecar's user there, as this host numbers it.
    pub sidecar_uid: u32,
    /// The Dataplanes of the workloads that have processes in it.
    pub dataplanes: Vec<String>,
}

/// Cgroups that were named, none of which is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// The Dataplane.
    pub dataplane: String,
    /// The Dataplane's mesh.
    pub mesh: String,
    /// As it was named: a path or a pattern.
    pub cgroup: PathBuf,
    /// How many outbounds it will have.
    pub routes: usize,
}

/// What becomes of connections to endpoints that have left.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long they are kept.
    pub grace_seconds: f64,
    /// How many endpoints have left whose connections are still kept.
    pub waiting_endpoints: usize,
    /// How many connections were closed.
    pub closed_connections: u64,
}

/// What has become of the spans of connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Otlp {
    /// Where they are sent.
    pub url: String,
    /// Why the last batch was not taken, if it was not.
    pub failing: Option<Failing>,
    /// When a batch was last taken.
    pub taken: Option<Timestamp>,
    /// How many wait to be sent.
    pub queued_spans: usize,
    /// Those that the collector has.
    pub delivered_spans: u64,
    /// Those for which there was no room.
    pub crowded_out_spans: u64,
    /// Those that the collector did not want.
    pub rejected_spans: u64,
    /// Those that were given up, since the collector was away for too long.
    pub given_up_spans: u64,
    /// Events of which there could have been spans, lost on the way from the kernel.
    pub lost_events: u64,
}

/// An endpoint that was taken out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ejected {
    /// Of whose route.
    pub dataplane: String,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The target of the backendRef.
    pub backend: String,
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// When it is put in again.
    pub until: Timestamp,
}

/// What is given up on a route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenUp {
    /// Of whose route.
    pub dataplane: String,
    /// Where it leads.
    pub service: String,
    /// What the application dials.
    pub dialled: SocketAddr,
    /// The policies that nobody enforces there.
    pub not_enforced: Vec<String>,
    /// What the servers make of it.
    pub plaintext: Plaintext,
}

/// What all maps take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapMemory {
    /// At their size, when they are full.
    pub bytes: u64,
    /// What they may take (`--max-map-memory`).
    pub most_bytes: u64,
}

/// How full a map is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapUse {
    /// As the kernel has it.
    pub name: String,
    /// How many are taken, those among them that wait to be reused.
    pub entries: u32,
    /// How many there can be.
    pub capacity: u32,
}

impl Status {
    pub(super) fn new(state: &State, attached: &[bool]) -> Self {
        let error = state
            .kernel_error
            .as_ref()
            .map(|failure| Error { since: timestamp(failure.since), violations: failure.violations.clone() });
        Self {
            version: crate::version::VERSION.to_owned(),
            pid: std::process::id(),
            started: started(),
            kernel: uname()
                .map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned()),
            confined: is_confined(),
            capabilities: privileges::effective().map(|all| privileges::names(&all)).unwrap_or_default(),
            features: state.features.map(|features| Features {
                refuses_with_econnrefused: features.refuses_with_econnrefused,
                names_mptcp_peers: features.names_mptcp_peers,
                tells_failures_apart: features.socket_error_offset.is_some(),
                names_processes: features.names_processes,
            }),
            ready: state.ready,
            unwatched: state.blind.clone(),
            last_reconcile: state.last.map(|last| LastReconcile {
                at: timestamp(last.at),
                duration_seconds: last.duration.as_secs_f64(),
                result: last.result.name().to_owned(),
            }),
            error,
            sources: state.sources.iter().map(source).collect(),
            rejected: state.rejected.iter().map(rejected).collect(),
            workloads: state.workloads.values().zip(attached).map(workload).collect(),
            waiting: state.waiting.iter().map(waiting).collect(),
            network_namespaces: state.sidecars.namespaces.iter().map(|it| namespace(it, state)).collect(),
            ejected: state.ejected.iter().map(ejected).collect(),
            given_up: state.given_up.iter().map(given_up).collect(),
            drain: state.drain.map(drain),
            otlp: None,
            warnings: state
                .unpinned
                .iter()
                .map(|why| {
                    format!("not all that is in force is pinned, and it may end with the daemon: {why}")
                })
                .chain(state.unattached.iter().cloned())
                .chain(state.missing.iter().cloned())
                .chain(state.sidecars.failures.iter().cloned())
                .chain(state.names.left_out.iter().map(left_out))
                .chain(state.workloads.values().filter_map(|workload| beyond(workload)))
                .chain(state.noticed.iter().map(|(_, line)| line.clone()))
                .chain(state.warnings.iter().cloned())
                .collect(),
            maps: maps(state),
            map_memory: MapMemory { bytes: state.map_memory.0, most_bytes: state.map_memory.1 },
        }
    }
}

impl From<Exported> for Otlp {
    fn from(exported: Exported) -> Self {
        let failing = exported.failing;
        Self {
            url: exported.url,
            failing: failing.map(|otlp::Failing { since, why }| Failing { since: timestamp(since), why }),
            taken: exported.taken.map(timestamp),
            queued_spans: exported.queued,
            delivered_spans: exported.delivered,
            crowded_out_spans: exported.crowded_out,
            rejected_spans: exported.rejected,
            given_up_spans: exported.given_up,
            lost_events: exported.events_lost,
        }
    }
}

fn source(source: &SourceState) -> Source {
    let failing = match &source.health {
        Health::Failing { why, since } => Some(Failing { since: timestamp(*since), why: why.clone() }),
        Health::Awaited => {
            let why = "it has not answered since the start".to_owned();
            Some(Failing { since: timestamp(source.changed), why })
        }
        Health::Well | Health::Late { .. } => None,
    };
    let kept = source.kept.keeping.as_ref().map(|Keeping { bytes: (bytes, most_bytes), whole, error }| {
        Kept { whole: *whole, bytes: *bytes, most_bytes: *most_bytes, error: error.clone() }
    });
    Source {
        name: source.name.to_owned(),
        resources: source.resources,
        changed: timestamp(source.changed),
        answered: source.answered.at().map(timestamp),
        server: source.server.as_ref().map(|server| server.name.clone()),
        failing,
        stale: source.kept.stale,
        kept,
    }
}

fn left_out((dataplane, count): (&dns::Owner, &usize)) -> String {
    let share = dns::SHARE;
    format!(
        "Dataplane {dataplane} leads to more than {share} DNS names: {count} are not looked up and have no endpoint"
    )
}

fn rejected((subject, rejection): (&Subject, &Arc<Rejection>)) -> Rejected {
    Rejected {
        source: rejection.source.to_owned(),
        subject: subject.to_string(),
        kind: subject.kind().map(str::to_owned),
        violations: rejection.violations.iter().map(ToString::to_string).collect(),
        since: timestamp(rejection.since),
        kept: rejection.kept,
    }
}

fn workload((workload, attached): (&Arc<WorkloadState>, &bool)) -> Workload {
    Workload {
        dataplane: workload.routes.dataplane.clone(),
        mesh: workload.routes.mesh.to_string(),
        cgroup: workload.cgroup.clone(),
        routes: workload.routes.routes.len(),
        beyond: workload.beyond,
        attached: *attached,
        late: workload.late,
    }
}

fn namespace(namespace: &NamespaceState, state: &State) -> NetworkNamespace {
    let NamespaceState { inode, way, why, sidecar, workloads } = namespace;
    let dataplane = |cgroup| state.workloads.get(cgroup).map(|workload| workload.routes.dataplane.clone());
    NetworkNamespace {
        inode: *inode,
        way: sidecar::name_of(*way).to_owned(),
        why: why.clone(),
        sidecar_uid: *sidecar,
        dataplanes: workloads.iter().filter_map(dataplane).collect(),
    }
}

/// What a workload has more than it may take.
fn beyond(workload: &WorkloadState) -> Option<String> {
    let WorkloadState { cgroup, routes, beyond, .. } = workload;
    (*beyond > 0).then(|| {
        format!(
            "{beyond} routes of {} in the cgroup {} are left to the proxy: a workload may take no more (--max-routes-per-workload)",
            routes.dataplane,
            cgroup.display()
        )
    })
}

fn drain(drain: DrainState) -> Drain {
    Drain {
        grace_seconds: drain.grace.as_secs_f64(),
        waiting_endpoints: drain.waiting,
        closed_connections: drain.closed,
    }
}

fn ejected(ejected: &EjectedState) -> Ejected {
    Ejected {
        dataplane: ejected.dataplane.clone(),
        dialled: ejected.dialled,
        backend: ejected.backend.clone(),
        endpoint: ejected.endpoint,
        until: timestamp(ejected.until),
    }
}

fn given_up(given_up: &GivenUpState) -> GivenUp {
    GivenUp {
        dataplane: given_up.dataplane.clone(),
        service: given_up.service.to_string(),
        dialled: given_up.dialled,
        not_enforced: given_up.not_enforced.clone(),
        plaintext: given_up.plaintext,
    }
}

fn waiting(waiting: &WaitingState) -> Waiting {
    Waiting {
        dataplane: waiting.dataplane.to_string(),
        mesh: waiting.mesh.to_string(),
        cgroup: waiting.cgroup.clone(),
        routes: waiting.routes.as_ref().map_or(0, |routes| routes.routes.len()),
    }
}

/// How full the maps are.
pub(super) fn maps(state: &State) -> Vec<MapUse> {
    let Some((taken, limits)) = state.maps else { return Vec::new() };
    let of = |name: &str, entries, capacity| MapUse { name: name.to_owned(), entries, capacity };
    vec![
        of("routes", taken.routes, limits.routes),
        of("backends", taken.backends, limits.backends),
        of("endpoints", taken.endpoints, limits.endpoints),
        of("turns", taken.turns, limits.turns),
        of("cursors", taken.cursors, limits.cursors),
        of("outcomes", taken.outcomes, limits.outcomes),
    ]
}

/// Whether each workload's cgroup is there and has the programs, as the kernel tells it.
pub(super) fn attached(state: &State) -> Result<Vec<bool>> {
    let attached =
        |workload: &Arc<WorkloadState>| attached::has_all(&workload.cgroup, workload.id, &state.programs);
    state.workloads.values().map(attached).collect()
}

/// When this process was started, as far as it matters here: when that was asked first.
pub(super) fn started() -> Timestamp {
    static STARTED: OnceLock<Timestamp> = OnceLock::new();
    *STARTED.get_or_init(Timestamp::now)
}
