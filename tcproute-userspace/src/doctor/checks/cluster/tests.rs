use std::path::PathBuf;

use super::*;
use crate::doctor::{
    checks::{
        checks as all_checks,
        tests::{complaints, good},
    },
    cluster::{Versions, sidecars::Proxy},
};

/// What was found of these names, in order.
fn found(node: &Node, ids: &[&str]) -> Vec<String> {
    let checks = all_checks(node);
    checks.into_iter().filter(|check| ids.contains(&check.id)).map(|check| check.found).collect()
}

fn in_cluster() -> Node {
    let mut node = good();
    node.cluster = Some(Cluster {
        roots: [(PathBuf::from("/sys/fs/cgroup/kubepods.slice"), Driver::Systemd)].into(),
        pods: vec!["/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice".into()],
        containers: [(Runtime::Containerd, 2)].into(),
        ..Cluster::default()
    });
    node
}

fn cluster(node: &mut Node) -> &mut Cluster {
    node.cluster.as_mut().unwrap()
}

#[test]
fn a_node_of_no_cluster_is_told_nothing_of_one() {
    let ids =
        ["pods", "cgroup-driver", "runtime", "pod-processes", "sidecar-version", "sidecar-rules", "istio"];
    assert!(found(&good(), &ids).is_empty());
}

#[test]
fn driver_and_runtime_are_told() {
    let mut node = in_cluster();
    assert_eq!(complaints(&node), []);
    assert_eq!(
        found(&node, &["pods", "cgroup-driver", "runtime", "sidecar-version"]),
        ["1 at /sys/fs/cgroup/kubepods.slice", "systemd", "containerd: 2", "no kuma-dp is seen"]
    );
    cluster(&mut node).roots.insert("/sys/fs/cgroup/kubepods".into(), Driver::Cgroupfs);
    assert!(found(&node, &["cgroup-driver"])[0].starts_with("systemd and cgroupfs"));
    cluster(&mut node).containers = [(Runtime::Unnamed, 2)].into();
    assert_eq!(complaints(&node), [("runtime", Status::Unknown)]);
    cluster(&mut node).sockets = vec!["/run/crio/crio.sock"];
    assert_eq!(complaints(&node), []);
    assert_eq!(
        found(&node, &["runtime"]),
        ["containers that are called by their ids alone: 2; a runtime listens at /run/crio/crio.sock"]
    );
}

#[test]
fn what_is_not_seen_is_told_as_that() {
    let mut node = in_cluster();
    cluster(&mut node).hidden = 7;
    assert_eq!(complaints(&node), [("pod-processes", Status::Warning)]);
    node = in_cluster();
    cluster(&mut node).blind = Some("/c: I/O error".to_owned());
    assert_eq!(complaints(&node), [("pods", Status::Unknown)]);
    node.cluster = Some(Cluster::default());
    let unknown = ["pods", "cgroup-driver", "runtime"].map(|id| (id, Status::Unknown));
    assert_eq!(complaints(&node), unknown);
    cluster(&mut node).in_v1 = vec!["/sys/fs/cgroup/pids/kubepods".into()];
    assert_eq!(complaints(&node)[0], ("pods", Status::Warning));
}

fn proxy(kuma_dp: Result<&str, &str>) -> Proxy {
    let versions = |kuma_dp: &str| Versions { kuma_dp: kuma_dp.to_owned(), envoy: Some("1.22.7".to_owned()) };
    Proxy { process: 1, namespace: None, versions: kuma_dp.map(versions).map_err(str::to_owned) }
}

#[test]
fn sidecars_are_counted_by_version() {
    let mut node = in_cluster();
    let proxies = [Ok("2.4.10"), Ok("2.14.3"), Ok("2.4.10"), Err("its Envoy does not run")];
    node.sidecars.proxies = proxies.map(proxy).to_vec();
    assert_eq!(complaints(&node), [("sidecar-version", Status::Unknown)]);
    assert_eq!(
        found(&node, &["sidecar-version"]),
        [
            "1 of kuma-dp 2.14.3 with Envoy 1.22.7",
            "2 of kuma-dp 2.4.10 with Envoy 1.22.7",
            "1 of kuma-dp, whose version is not known: its Envoy does not run"
        ]
    );
    // Where Kuma runs without a cluster, too.
    node.cluster = None;
    assert_eq!(found(&node, &["sidecar-version"]).len(), 3);
}

#[test]
fn backends_of_rules_are_told_by_network_namespace() {
    let redirection = |namespace, redirector, backend| Redirection { namespace, redirector, backend };
    let (nft, legacy) = (Backend::IptablesNft, Backend::IptablesLegacy);
    let mut node = in_cluster();
    node.sidecars.redirections = vec![
        redirection(1, Redirector::Kuma, nft),
        redirection(2, Redirector::Kuma, nft),
        redirection(3, Redirector::Kuma, legacy),
    ];
    assert_eq!(complaints(&node), []);
    assert_eq!(
        found(&node, &["sidecar-rules"]),
        ["Kuma redirects by iptables-nft in 2 network namespaces, by iptables-legacy in 1 network namespace"]
    );
    node.sidecars.redirections.push(redirection(3, Redirector::Kuma, nft));
    assert_eq!(complaints(&node), [("sidecar-rules", Status::Warning)]);
    node.sidecars.redirections = vec![redirection(4, Redirector::IstioAmbient, Backend::Nftables)];
    assert_eq!(complaints(&node), []);
    assert!(
        found(&node, &["istio"])[0]
            .contains("ztunnel takes connections in 1 network namespace: both get along")
    );
    node.sidecars.redirections = vec![redirection(4, Redirector::IstioSidecar, nft)];
    assert_eq!(complaints(&node), [("istio", Status::Warning)]);
}
