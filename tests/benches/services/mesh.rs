//! What is routed: services with two backends of five endpoints each, as values and as resources of Kuma. All addresses
//! are of loopback.

use std::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
};

use tcproute_tests::bench::{markdown::number, site::WEIGHTS};

/// Of each service.
pub(crate) const ENDPOINTS: u32 = 2 * OF_A_BACKEND;

const OF_A_BACKEND: u32 = 5;

/// Where services are dialled, and where endpoints listen.
const PORTS: [u16; 2] = [3001, 8080];

/// The second part of the first address of services, and of endpoints.
const FIRST: [u32; 2] = [1, 64];

/// As many have addresses.
pub(crate) const MOST: i64 = 16_000;

/// Of the two backends, in percent.
pub(crate) type Weights = [u32; 2];

/// At first.
pub(crate) const SPLIT: Weights = WEIGHTS;

/// So that all connections lead to one backend.
pub(crate) const ALL_TO: [Weights; 2] = [[100, 0], [0, 100]];

/// So many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Services(pub(crate) u32);

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} service{}", number(self.0.into(), 0), if self.0 == 1 { "" } else { "s" })
    }
}

impl Services {
    /// From the first to the last.
    pub(crate) fn all(self) -> impl Iterator<Item = u32> {
        0..self.0
    }

    /// The one that is measured, and whose weights change.
    pub(crate) const fn last(self) -> u32 {
        self.0 - 1
    }

    /// The others.
    pub(crate) fn others(self) -> impl Iterator<Item = u32> {
        0..self.last()
    }
}

fn address(kind: usize, service: u32, last: u32) -> SocketAddrV4 {
    let [.., high, low] = service.to_be_bytes();
    let [.., second] = (FIRST[kind] + u32::from(high)).to_be_bytes();
    let [.., last] = last.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(127, second, low, last), PORTS[kind])
}

/// What clients dial.
pub(crate) fn dialled(service: u32) -> SocketAddrV4 {
    address(0, service, 1)
}

/// Those of a backend. The last digit of each is the backend's (`bench::protocol`).
pub(crate) fn endpoints(service: u32, backend: u32) -> impl Iterator<Item = SocketAddrV4> {
    (0..OF_A_BACKEND).map(move |nth| address(1, service, 10 * nth + backend + 1))
}

/// An endpoint and how many of a hundred connections it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) endpoint: SocketAddrV4,
    pub(crate) percent: u32,
    /// With those of all endpoints after it.
    pub(crate) left: u32,
}

/// Of the endpoints of a service that have any.
pub(crate) fn shares(service: u32, weights: Weights) -> Vec<Share> {
    let mut left = weights.iter().sum();
    let mut shares = Vec::new();
    for (backend, weight) in (0..).zip(weights) {
        let percent = weight / OF_A_BACKEND;
        for endpoint in endpoints(service, backend).filter(|_| percent > 0) {
            shares.push(Share { endpoint, percent, left });
            left -= percent;
        }
    }
    shares
}

/// The Dataplane of the clients, which dials all services.
pub(crate) const CLIENT: &str = "client";

/// A document of the clients' Dataplane.
pub(crate) fn client(services: Services) -> String {
    let mut text = format!(
        "---\ntype: Dataplane\nmesh: default\nname: {CLIENT}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
         - {{port: 80, tags: {{kuma.io/service: {CLIENT}}}}}\n  outbound:\n"
    );
    for service in services.all() {
        let (ip, port) = (*dialled(service).ip(), dialled(service).port());
        let _ = writeln!(
            text,
            "  - {{address: {ip}, port: {port}, tags: {{kuma.io/service: service-{service}}}}}"
        );
    }
    text
}

/// A Dataplane for each endpoint.
pub(crate) fn dataplanes(services: Services) -> String {
    let mut text = String::new();
    for service in services.all() {
        for backend in 0..2 {
            for (nth, endpoint) in endpoints(service, backend).enumerate() {
                let (ip, port) = (endpoint.ip(), endpoint.port());
                let _ = write!(
                    text,
                    "---\ntype: Dataplane\nmesh: default\nname: service-{service}-v{backend}-{nth}\nnetworking:\n  \
                     address: {ip}\n  inbound:\n  - port: {port}\n    tags: {{kuma.io/service: service-{service}, \
                     kuma.io/protocol: tcp, version: v{backend}}}\n"
                );
            }
        }
    }
    text
}

/// A policy of a service.
pub(crate) fn policy(service: u32, weights: Weights) -> String {
    let mut text = format!(
        "---\ntype: MeshTCPRoute\nmesh: default\nname: split-{service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
         - targetRef: {{kind: MeshService, name: service-{service}}}\n    rules:\n    - default:\n        backendRefs:\n"
    );
    for (backend, weight) in weights.into_iter().enumerate() {
        let _ = writeln!(
            text,
            "          - {{kind: MeshServiceSubset, name: service-{service}, tags: {{version: v{backend}}}, \
             weight: {weight}}}"
        );
    }
    text
}
