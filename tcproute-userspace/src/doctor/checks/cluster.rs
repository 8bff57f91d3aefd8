//! Judging a node of a cluster: how kubelet keeps its pods, what runs them, and the sidecars beside them. Another node
//! is told nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Status};
use crate::{
    doctor::{
        cluster::{
            Cluster, Driver, Runtime,
            sidecars::{Redirection, Sidecars},
        },
        node::Node,
    },
    sidecar::{Backend, Redirector},
};

pub(super) fn checks(node: &Node) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(cluster) = &node.cluster {
        checks.extend([pods(cluster), driver(cluster), runtime(cluster)]);
        checks.extend(hidden(cluster));
    }
    checks.extend(versions(&node.sidecars, node.cluster.is_some()));
    checks.extend(redirections(&node.sidecars));
    if let Some(why) = &node.sidecars.blind {
        checks.push(Check::new("sidecar-rules", Status::Unknown, format!("not all is seen: {why}")));
    }
    checks
}

fn pods(cluster: &Cluster) -> Check {
    const ID: &str = "pods";
    if let [at, ..] = &cluster.in_v1[..] {
        let found = format!("in cgroup v1 alone, such as at {}: they cannot be workloads", at.display());
        return Check::new(ID, Status::Warning, found)
            .remedy("boot the node with cgroup2 alone, or have kubelet use the driver systemd");
    }
    let at: Vec<String> = cluster.roots.keys().map(|root| root.display().to_string()).collect();
    match (&cluster.blind, &at[..]) {
        (Some(why), _) => Check::new(ID, Status::Unknown, format!("not all are seen: {why}")),
        (None, []) => Check::new(ID, Status::Unknown, "kubelet runs, and has made no cgroup for pods yet"),
        (None, _) => Check::new(ID, Status::Ok, format!("{} at {}", cluster.pods.len(), at.join(", "))),
    }
}

fn driver(cluster: &Cluster) -> Check {
    const ID: &str = "cgroup-driver";
    let drivers: BTreeSet<Driver> = cluster.roots.values().copied().collect();
    let found = match drivers.into_iter().collect::<Vec<_>>()[..] {
        [] => return Check::new(ID, Status::Unknown, "seen when kubelet has made cgroups"),
        [Driver::Systemd] => "systemd",
        [Driver::Cgroupfs] => "cgroupfs",
        _ => "systemd and cgroupfs: kubelet has left directories of the one that it had before",
    };
    Check::new(ID, Status::Ok, found)
}

fn runtime(cluster: &Cluster) -> Check {
    const ID: &str = "runtime";
    let name = |runtime: Runtime| match runtime {
        Runtime::Containerd => "containerd",
        Runtime::CriO => "CRI-O",
        Runtime::Docker => "Docker",
        Runtime::Unnamed => "containers that are called by their ids alone",
    };
    let listening = match &cluster.sockets[..] {
        [] => None,
        sockets => Some(format!("a runtime listens at {}", sockets.join(", "))),
    };
    let containers = cluster.containers.iter().map(|(runtime, count)| format!("{}: {count}", name(*runtime)));
    let found: Vec<String> = containers.chain(listening).collect();
    let is_known =
        !cluster.sockets.is_empty() || cluster.containers.keys().any(|runtime| *runtime != Runtime::Unnamed);
    match (is_known, &found[..]) {
        (true, _) => Check::new(ID, Status::Ok, found.join("; ")),
        (false, []) => Check::new(ID, Status::Unknown, "no container, and no runtime at its usual place"),
        (false, _) => Check::new(ID, Status::Unknown, found.join("; ")),
    }
}

/// Pods' processes are looked for in their network namespaces.
fn hidden(cluster: &Cluster) -> Option<Check> {
    (cluster.hidden > 0).then(|| {
        let found = format!(
            "{} processes of pods are not seen from here: their sidecars cannot be got past",
            cluster.hidden
        );
        Check::new("pod-processes", Status::Warning, found)
            .remedy("run it in the node's own PID namespace: hostPID: true in the pod's spec")
    })
}

fn versions(sidecars: &Sidecars, in_cluster: bool) -> Vec<Check> {
    const ID: &str = "sidecar-version";
    let (mut known, mut unknown) = (BTreeMap::<_, usize>::new(), BTreeMap::<&str, usize>::new());
    for proxy in &sidecars.proxies {
        match &proxy.versions {
            Ok(versions) => *known.entry(versions).or_default() += 1,
            Err(why) => *unknown.entry(why).or_default() += 1,
        }
    }
    let known = known.into_iter().map(|(versions, count)| {
        let envoy = versions.envoy.as_ref().map(|envoy| format!(" with Envoy {envoy}")).unwrap_or_default();
        Check::new(ID, Status::Ok, format!("{count} of kuma-dp {}{envoy}", versions.kuma_dp))
    });
    let unknown = unknown.into_iter().map(|(why, count)| {
        Check::new(ID, Status::Unknown, format!("{count} of kuma-dp, whose version is not known: {why}"))
    });
    let none = in_cluster && sidecars.proxies.is_empty() && sidecars.blind.is_none();
    let none = none.then(|| Check::new(ID, Status::Ok, "no kuma-dp is seen"));
    known.chain(unknown).chain(none).collect()
}

fn redirections(sidecars: &Sidecars) -> Vec<Check> {
    let all = &sidecars.redirections;
    let mut checks: Vec<Check> = kumas(all).into_iter().collect();
    checks.extend(twice(all));
    let places = |of: Redirector| {
        let namespaces: BTreeSet<u64> =
            all.iter().filter(|it| it.redirector == of).map(|it| it.namespace).collect();
        (!namespaces.is_empty()).then(|| of_namespaces(namespaces.len()))
    };
    checks.extend(places(Redirector::IstioAmbient).map(|places| {
        let found = format!(
            "Istio's ztunnel takes connections in {places}: both get along, for it takes them after tcproute has \
             chosen, with the endpoint as where they go"
        );
        Check::new("istio", Status::Ok, found)
    }));
    checks.extend(places(Redirector::IstioSidecar).map(|places| {
        let found = format!(
            "a sidecar of Istio takes connections in {places}, after tcproute has chosen, and may choose anew"
        );
        Check::new("istio", Status::Warning, found)
            .remedy("have each pod either be in Istio's mesh or have routes of tcproute")
    }));
    checks
}

fn kumas(all: &[Redirection]) -> Option<Check> {
    let mut by_backend = BTreeMap::<Backend, BTreeSet<u64>>::new();
    for redirection in all.iter().filter(|it| it.redirector == Redirector::Kuma) {
        by_backend.entry(redirection.backend).or_default().insert(redirection.namespace);
    }
    let found: Vec<String> = by_backend
        .into_iter()
        .map(|(backend, namespaces)| {
            format!("by {} in {}", backend_name(backend), of_namespaces(namespaces.len()))
        })
        .collect();
    (!found.is_empty())
        .then(|| Check::new("sidecar-rules", Status::Ok, format!("Kuma redirects {}", found.join(", "))))
}

/// Rules of both backends in one namespace: those of one are left from before, or of another iptables.
fn twice(all: &[Redirection]) -> Vec<Check> {
    let mut backends = BTreeMap::<u64, BTreeSet<Backend>>::new();
    for redirection in all.iter().filter(|it| it.redirector == Redirector::Kuma) {
        backends.entry(redirection.namespace).or_default().insert(redirection.backend);
    }
    let twice = backends.into_iter().filter(|(_, backends)| backends.len() > 1);
    twice
        .map(|(namespace, _)| {
            let found = format!(
                "network namespace {namespace} has Kuma's rules of iptables-nft and of iptables-legacy"
            );
            Check::new("sidecar-rules", Status::Warning, found)
                .remedy("make the pod anew, with one iptables that its node and kuma-init agree on")
        })
        .collect()
}

/// For people.
pub(in crate::doctor) const fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::IptablesNft => "iptables-nft",
        Backend::IptablesLegacy => "iptables-legacy",
        Backend::Nftables => "nftables",
    }
}

fn of_namespaces(count: usize) -> String {
    if count == 1 { "1 network namespace".to_owned() } else { format!("{count} network namespaces") }
}

#[cfg(test)]
mod tests;
