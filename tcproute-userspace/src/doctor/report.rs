//! What was found, for programs. Fields are added to it, and none is called anew.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::{
    Check, Status,
    checks::{self, cluster::backend_name, rights},
    cluster::{self, Driver, Runtime, Versions, sidecars},
    node::Node,
    peers::Peer,
};
use crate::{
    bpf::{AttachMode, LoadedProgram, attached::AttachedProgram, requirements},
    sidecar::Redirector,
};

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of tcproute.
    pub version: &'static str,
    /// Release of the kernel.
    pub kernel: String,
    /// Whether nothing is missing.
    pub ready: bool,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// What the kernel has beyond the oldest one.
    pub features: Features,
    /// The programs as this kernel has them; empty if they could not be loaded.
    pub programs: Vec<Program>,
    /// Programs of others, where tcproute's are attached; empty if that could not be told.
    pub others: Vec<Other>,
    /// How kubelet keeps its pods; none if this is no node of a cluster.
    pub cluster: Option<Cluster>,
    /// The sidecars of Kuma that were seen.
    pub sidecars: Vec<Sidecar>,
    /// Who redirects connections in network namespaces.
    pub redirections: Vec<Redirection>,
    /// Those that tcproute uses and this process does not have; none if that could not be told.
    pub missing_capabilities: Option<Vec<String>>,
    /// What an API server does not allow; none if there was none to be asked, or it has not told.
    pub api_denies: Option<Vec<String>>,
}

/// How kubelet keeps its pods.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// More than one if kubelet was changed over.
    cgroup_drivers: Vec<Driver>,
    /// How many containers there are of each.
    containers: BTreeMap<Runtime, usize>,
    /// Where runtimes listen.
    runtime_sockets: Vec<&'static str>,
    pods: usize,
    /// Processes of pods that are not seen.
    hidden_processes: usize,
}

/// A sidecar.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Of kuma-dp.
    pid: u32,
    network_namespace: Option<u64>,
    #[serde(flatten)]
    versions: Option<Versions>,
    /// Why its version is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// Who redirects connections in a network namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirection {
    network_namespace: u64,
    by: &'static str,
    backend: &'static str,
}

/// What the kernel has beyond the oldest one, where that could be told.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    refusal: Option<&'static str>,
    mptcp_peer_names: Option<bool>,
    failure_causes: Option<bool>,
    trace_processes: Option<bool>,
}

/// A program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    name: String,
    translated_bytes: u32,
    jited_bytes: u32,
    /// From 5.16 on.
    verified_instructions: Option<u32>,
}

/// A program of somebody else.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    cgroup: PathBuf,
    attach_type: &'static str,
    attach_mode: &'static str,
    name: String,
    id: u32,
    /// Whose it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Peer>,
}

impl Report {
    pub(super) fn of(node: Node) -> Self {
        let checks = checks::checks(&node);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            ready: checks.iter().all(|check| check.status != Status::Missing),
            checks,
            features: node.features.map(Features::from).unwrap_or_default(),
            programs: node.programs.unwrap_or_default().into_iter().map(Program::from).collect(),
            others: node.attached.map(|attached| others(attached.programs)).unwrap_or_default(),
            cluster: node.cluster.as_ref().map(Cluster::from),
            sidecars: node.sidecars.proxies.into_iter().map(Sidecar::from).collect(),
            redirections: node.sidecars.redirections.into_iter().map(Redirection::from).collect(),
            missing_capabilities: node.capabilities.as_ref().ok().map(rights::missing),
            api_denies: node
                .api
                .and_then(Result::ok)
                .map(|denied| denied.into_iter().map(|denied| denied.what).collect()),
            kernel: node.release,
        }
    }
}

fn others(attached: Vec<AttachedProgram>) -> Vec<Other> {
    attached.into_iter().filter(|program| !program.ours).map(Other::from).collect()
}

impl From<requirements::Features> for Features {
    fn from(found: requirements::Features) -> Self {
        let refusal = if found.refuses_with_econnrefused { "ECONNREFUSED" } else { "EPERM" };
        Self {
            refusal: Some(refusal),
            mptcp_peer_names: Some(found.names_mptcp_peers),
            failure_causes: Some(found.socket_error_offset.is_some()),
            trace_processes: Some(found.names_processes),
        }
    }
}

impl From<AttachedProgram> for Other {
    fn from(program: AttachedProgram) -> Self {
        let owner = Peer::of(&program);
        let AttachedProgram { cgroup, hook, mode, id, name, .. } = program;
        let attach_mode = match mode {
            AttachMode::Exclusive => "none",
            AttachMode::Override => "override",
            AttachMode::Multi => "multi",
        };
        Self { cgroup, attach_type: hook, attach_mode, name, id, owner }
    }
}

impl From<LoadedProgram> for Program {
    fn from(LoadedProgram { id: _, name, translated, jited, verified }: LoadedProgram) -> Self {
        Self { name, translated_bytes: translated, jited_bytes: jited, verified_instructions: verified }
    }
}

impl From<&cluster::Cluster> for Cluster {
    fn from(found: &cluster::Cluster) -> Self {
        let mut cgroup_drivers: Vec<Driver> = found.roots.values().copied().collect();
        cgroup_drivers.sort_unstable();
        cgroup_drivers.dedup();
        Self {
            cgroup_drivers,
            containers: found.containers.clone(),
            runtime_sockets: found.sockets.clone(),
            pods: found.pods.len(),
            hidden_processes: found.hidden,
        }
    }
}

impl From<sidecars::Proxy> for Sidecar {
    fn from(sidecars::Proxy { process, namespace, versions }: sidecars::Proxy) -> Self {
        let unknown = versions.as_ref().err().cloned();
        Self { pid: process, network_namespace: namespace, versions: versions.ok(), unknown }
    }
}

impl From<sidecars::Redirection> for Redirection {
    fn from(sidecars::Redirection { namespace, redirector, backend }: sidecars::Redirection) -> Self {
        let by = match redirector {
            Redirector::Kuma => "kuma",
            Redirector::IstioSidecar => "istio-sidecar",
            Redirector::IstioAmbient => "istio-ambient",
        };
        Self { network_namespace: namespace, by, backend: backend_name(backend) }
    }
}
