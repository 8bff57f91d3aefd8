//! What the programs of a control plane are started with.

use std::{net::SocketAddr, path::Path};

/// What a cluster consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Objects alone, which nobody does anything about.
    Objects,
    /// Nodes, too, and controllers.
    Nodes,
}

/// One member; what it loses in a crash of the machine is no loss.
pub(super) fn etcd(clients: SocketAddr, peers: SocketAddr) -> Vec<String> {
    let arguments = [
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls=http://{clients}"),
        format!("--advertise-client-urls=http://{clients}"),
        format!("--listen-peer-urls=http://{peers}"),
        format!("--initial-advertise-peer-urls=http://{peers}"),
        format!("--initial-cluster=default=http://{peers}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    arguments.into()
}

/// It makes its own certificate, and signs tokens of service accounts by the same key.
pub(super) fn api_server(etcd: SocketAddr, address: SocketAddr, of: Of) -> Vec<String> {
    let arguments = [
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--advertise-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        "--cert-dir=certificates".to_owned(),
        "--token-auth-file=tokens.csv".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-account-key-file=certificates/apiserver.key".to_owned(),
        "--service-account-signing-key-file=certificates/apiserver.key".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--enable-priority-and-fairness=false".to_owned(),
    ];
    let mut arguments = Vec::from(arguments);
    if of == Of::Nodes {
        // Nobody resolves their names.
        arguments.push("--kubelet-preferred-address-types=InternalIP".to_owned());
    } else {
        // What needs controllers or defaults of a real cluster.
        let plugins =
            ["ServiceAccount", "TaintNodesByCondition", "Priority", "DefaultTolerationSeconds"].join(",");
        arguments.push(format!("--disable-admission-plugins={plugins}"));
        arguments.push("--endpoint-reconciler-type=none".to_owned());
    }
    arguments
}

/// The controllers and the scheduler, each with what it is started with. There is one of each, so none is elected.
pub(super) fn controllers(kubeconfig: &Path, authority: &Path) -> [(&'static str, Vec<String>); 2] {
    let common = [format!("--kubeconfig={}", kubeconfig.display()), "--leader-elect=false".to_owned()];
    let manager = [
        "--service-account-private-key-file=certificates/apiserver.key".to_owned(),
        format!("--root-ca-file={}", authority.display()),
        "--cert-dir=controllers".to_owned(),
    ];
    let manager = [&common[..], &manager].concat();
    let scheduler = [&common[..], &["--cert-dir=scheduler".to_owned()]].concat();
    [("kube-controller-manager", manager), ("kube-scheduler", scheduler)]
}
