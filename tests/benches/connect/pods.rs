//! Pods, with Kuma's redirection to a sidecar and without: all have the same routes of the same daemon.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::Command,
};

use anyhow::Result;
use tcproute_tests::{
    bench::balancer::Balancer,
    cgroup::TestCgroup,
    mesh::Mesh,
    process::Process,
    server::Server,
    sidecar::{Backend, Families, Pod, Redirection, Version},
    tcproute::{Daemon, binary},
    wait_for,
};

use crate::{relay, site::Contender};

const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 43, 0, 20), 3001);
const ENDPOINTS: [SocketAddrV4; 2] = [on_node(1), on_node(2)];
/// No route leads here, and no redirection takes it.
const EXCLUDED: SocketAddrV4 = on_node(3);

const fn on_node(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 43, 1, last), 8080)
}

/// A pod and who is in it. Processes end before the cgroups that they are in.
struct Side {
    /// Beside a redirection.
    _relay: Option<Process>,
    /// By it the daemon finds the pod's network namespace.
    _pause: Process,
    /// One for all addresses, so that every contender wakes the same thread.
    _server: Server,
    /// In which connections are routed.
    routed: TestCgroup,
    /// Of which tcproute knows nothing.
    plain: TestCgroup,
    pod: Pod,
}

/// All pods, and the daemon.
pub(crate) struct Pods {
    _daemon: Daemon,
    _mesh: Mesh,
    none: Side,
    nft: Side,
    legacy: Option<Side>,
}

impl Pods {
    /// `None`, having said so, where there cannot be such pods.
    pub(crate) fn build() -> Result<Option<Self>> {
        let redirected = |backend| Side::build(Some(backend));
        let (Some(none), Some(nft)) = (Side::build(None)?, redirected(Backend::Nft)?) else {
            return Ok(None);
        };
        let legacy = redirected(Backend::Legacy)?;
        let mut mesh = Mesh::new();
        mesh.outbound("backend", SERVICE.into());
        for address in ENDPOINTS {
            mesh.endpoint("backend", "1", address.into());
        }
        let sides: Vec<&Side> = [&none, &nft].into_iter().chain(&legacy).collect();
        let workloads: Vec<(&str, &Path)> = sides.iter().map(|side| ("web", side.routed.path())).collect();
        let daemon =
            Daemon::start_with(&mut Command::new(binary()), &mesh.file(), &workloads, &["--sidecar", "auto"]);
        wait_for("the ways of the pods are known", || {
            let status = daemon.json("/v1/status");
            let namespaces = status["networkNamespaces"].as_array().map_or(&[][..], Vec::as_slice);
            let count = |way: &str| namespaces.iter().filter(|namespace| namespace["way"] == way).count();
            count("past") == sides.len() - 1 && count("plain") >= 1
        });
        Ok(Some(Self { _daemon: daemon, _mesh: mesh, none, nft, legacy }))
    }

    /// The second is what the others are compared with.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let mut all = vec![
            self.none.contender("no sidecar: direct", false, ENDPOINTS[0]),
            self.none.contender("no sidecar: tcproute", true, SERVICE),
            self.nft.contender("iptables-nft: tcproute", true, SERVICE),
            self.nft.contender("iptables-nft: excluded", false, EXCLUDED),
            self.nft.contender("iptables-nft: proxy", false, SERVICE),
        ];
        if let Some(legacy) = &self.legacy {
            all.push(legacy.contender("iptables-legacy: tcproute", true, SERVICE));
            all.push(legacy.contender("iptables-legacy: excluded", false, EXCLUDED));
            all.push(legacy.contender("iptables-legacy: proxy", false, SERVICE));
        }
        all
    }

    /// A routed connection without a sidecar, and one beside it.
    pub(crate) fn with_programs(&self) -> [Contender<'_>; 2] {
        [&self.none, &self.nft].map(|side| side.contender("", true, SERVICE))
    }

    /// Adds the empty program beside the others.
    pub(crate) fn attach_empty(&self, balancer: &mut Balancer) -> Result<()> {
        [&self.none, &self.nft].into_iter().try_for_each(|side| balancer.attach("lb_empty", &side.routed))
    }
}

impl Side {
    fn build(backend: Option<Backend>) -> Result<Option<Self>> {
        const WHAT: &str = "what a connection costs beside a sidecar";
        let Some(pod) = Pod::of(WHAT) else { return Ok(None) };
        let mut relay = None;
        if let Some(backend) = backend {
            let mut redirection = Redirection::new(backend, Families::Both, Version::V2_14);
            if !redirection.is_possible(&pod, WHAT) {
                return Ok(None);
            }
            redirection.exclude_outbound_ips.push(EXCLUDED.ip().to_string());
            redirection.install(&pod);
            relay = Some(relay::start(&pod, ENDPOINTS[0])?);
            // Else connections that are long gone take part, and ports that come again are found among them.
            let [inside, _] = pod.namespaces();
            inside.set("netfilter/nf_conntrack_tcp_timeout_close", 1);
        }
        for namespace in pod.namespaces() {
            namespace.set("ipv4/tcp_congestion_control", "reno");
        }
        let addresses = [ENDPOINTS[0], ENDPOINTS[1], EXCLUDED].map(|address| (*address.ip()).into());
        let server = Server::start_on(pod.listen(EXCLUDED.port(), &addresses), "x");
        let [routed, plain] = [(); 2].map(|()| TestCgroup::create());
        let pause = pod.pause(&routed);
        Ok(Some(Self { _relay: relay, _pause: pause, _server: server, routed, plain, pod }))
    }

    const fn contender(&self, name: &'static str, routed: bool, dials: SocketAddrV4) -> Contender<'_> {
        let cgroup = if routed { &self.routed } else { &self.plain };
        Contender { name, cgroup, pod: Some(&self.pod), dials }
    }
}
