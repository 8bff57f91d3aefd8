//! The resources: whom the workloads are sent to.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use tcproute_tests::Loopback;

/// What the resources say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mesh {
    /// Which of two versions has all the weight.
    pub(crate) second: bool,
    /// Whether the endpoints of both are elsewhere.
    pub(crate) moved: bool,
    /// So many more outbounds of `web`, which lead to the same.
    pub(crate) more: u16,
}

/// Who answers `web` and the pods, by [`Mesh::number`].
pub(crate) const SERVERS: [&str; 4] = ["first", "second", "first-moved", "second-moved"];

/// Addresses of a node.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// What `web` and the pods dial.
    pub(crate) dialled: SocketAddr,
    /// What `calm` dials.
    pub(crate) calm_dialled: SocketAddr,
    pub(crate) servers: [SocketAddr; SERVERS.len()],
    pub(crate) calm: SocketAddr,
    pub(crate) net: Loopback,
}

impl Addresses {
    /// What `web` dials beside it: where no server is.
    pub(crate) fn more(&self, number: u16) -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        let ip: Ipv4Addr = self.net.ip(high + 10, low);
        (ip, 5432).into()
    }
}

impl Mesh {
    pub(crate) const FIRST: Self = Self { second: false, moved: false, more: 0 };

    fn number(self) -> usize {
        usize::from(self.second) + 2 * usize::from(self.moved)
    }

    /// Who answers `web` and the pods.
    pub(crate) fn answers(self) -> &'static str {
        SERVERS[self.number()]
    }

    /// As a file.
    pub(crate) fn text(self, addresses: &Addresses) -> String {
        let Addresses { dialled, calm_dialled, servers, calm, .. } = addresses;
        let mut text = String::new();
        let moved = 2 * usize::from(self.moved);
        for (name, service, address) in
            [("db-1", "db", servers[moved]), ("db-2", "db", servers[moved + 1]), ("calm-1", "calm", *calm)]
        {
            let (ip, port) = (address.ip(), address.port());
            let _ = write!(
                text,
                "type: Dataplane\nname: {name}\nnetworking:\n  address: {ip}\n  inbound:\n  \
                 - {{port: {port}, tags: {{kuma.io/service: {service}, kuma.io/protocol: tcp, v: {name}}}}}\n---\n"
            );
        }
        let more = (0..self.more).map(|n| ("db", addresses.more(n)));
        let web = [("db", *dialled)].into_iter().chain(more).collect::<Vec<_>>();
        for (name, outbounds) in
            [("web", &web[..]), ("pod", &web[..1]), ("quiet", &[("calm", *calm_dialled)])]
        {
            let _ = write!(
                text,
                "type: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
                 - {{port: 80, tags: {{kuma.io/service: {name}, kuma.io/protocol: tcp}}}}\n  outbound:\n"
            );
            for (service, address) in outbounds {
                let (ip, port) = (address.ip(), address.port());
                let _ = writeln!(
                    text,
                    "  - {{address: {ip}, port: {port}, tags: {{kuma.io/service: {service}}}}}"
                );
            }
            text += "---\n";
        }
        let (first, second) = if self.second { (0, 1) } else { (1, 0) };
        let _ = write!(
            text,
            "type: MeshTCPRoute\nname: split\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
             - targetRef: {{kind: MeshService, name: db}}\n    rules: [{{default: {{backendRefs: [\
             {{kind: MeshServiceSubset, name: db, tags: {{v: db-1}}, weight: {first}}}, \
             {{kind: MeshServiceSubset, name: db, tags: {{v: db-2}}, weight: {second}}}]}}}}]\n"
        );
        text
    }
}
