//! A cluster of any size: Services, the Dataplanes behind them, policies, and the pods of one node.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    clock::{self, Time},
    cluster::{
        Api, Kind,
        kinds::{self, DATAPLANE, MESH, MESH_TCP_ROUTE, POD, SERVICE},
    },
    server::Server,
};

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) services: u32,
    pub(crate) endpoints: u32,
    pub(crate) policies: u32,
    pub(crate) pods: u32,
}

/// Where everything is.
pub(crate) const NAMESPACE: &str = "shop";

/// Whose pods are workloads.
pub(crate) const NODE: &str = "node-1";

const PORT: u16 = 5432;

/// So many write at once.
const WRITERS: usize = 8;

/// A cluster that was filled, with the directories of the node's pods.
pub(crate) struct Cluster {
    size: Size,
    pods: Vec<TestCgroup>,
    probed: SocketAddr,
    _slice: TestCgroup,
    _servers: [Server; 2],
}

pub(crate) fn place(name: &str) -> String {
    format!("{NAMESPACE}/{name}")
}

pub(crate) fn service(number: u32) -> String {
    format!("service-{number}")
}

pub(crate) fn endpoint(service: u32, number: u32) -> String {
    format!("service-{service}-{number}")
}

fn tag(service: u32) -> String {
    format!("service-{service}_{NAMESPACE}_svc_{PORT}")
}

/// A Dataplane as a control plane writes it, with what nobody here asks for.
pub(crate) fn dataplane(service: u32, number: u32, ready: bool) -> Value {
    let [a, b, c, _] = (service * 16 + number).to_be_bytes()[..] else { return Value::Null };
    let address = format!("10.{}.{}.{}", 100 + b, c, 1 + (service * 16 + number) % 250);
    let version = if number.is_multiple_of(2) { "v1" } else { "v2" };
    with_address(service, &address, 8000 + u16::from(a), version, ready)
}

fn with_address(service: u32, address: &str, port: u16, version: &str, ready: bool) -> Value {
    let name = self::service(service);
    let tags = json!({
        "kuma.io/service": tag(service), "kuma.io/protocol": "tcp", "kuma.io/zone": "zone-1", "app": name,
        "version": version, "k8s.kuma.io/namespace": NAMESPACE, "k8s.kuma.io/service-name": name,
        "k8s.kuma.io/service-port": PORT.to_string(), "pod-template-hash": "5d4f8c7b9",
    });
    let health = if ready { json!({"ready": true}) } else { json!({}) };
    json!({"mesh": "default", "spec": {"networking": {
        "address": address,
        "inbound": [{"port": port, "tags": tags, "health": health}],
        "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001},
    }}})
}

/// A policy of everybody about a service: so much in a hundred of it to the first version.
pub(crate) fn route(service: u32, weight: u32) -> Value {
    let backend = |version: &str, weight: u32| json!({"kind": "MeshServiceSubset", "name": tag(service), "tags": {"version": version}, "weight": weight});
    json!({"metadata": {"labels": {"kuma.io/mesh": "default"}}, "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
        "targetRef": {"kind": "MeshService", "name": tag(service)},
        "rules": [{"default": {"backendRefs": [backend("v1", weight), backend("v2", 100 - weight)]}}],
    }]}})
}

impl Cluster {
    /// Writes all of it.
    pub(crate) fn fill(api: &Api, size: Size) -> Result<Self> {
        let Size { services, endpoints, policies, pods } = size;
        let injecting = json!({"metadata": {"labels": {"kuma.io/sidecar-injection": "enabled"}}});
        api.create(&kinds::NAMESPACE, &kinds::NAMESPACE.object(NAMESPACE, injecting));
        api.create(&MESH, &MESH.object("default", json!({"spec": {}})));
        let net = Loopback::claim();
        let servers =
            [(1, "v1"), (2, "v2")].map(|(last, version)| Server::start((net.ip(1, last), 0), version));
        let measured = |number: u32| {
            let (server, version) =
                (&servers[number as usize % 2], if number.is_multiple_of(2) { "v1" } else { "v2" });
            let address = server.address();
            with_address(0, &address.ip().to_string(), address.port(), version, true)
        };
        let spec = |service: u32| json!({"spec": {"selector": {"app": self::service(service)}, "ports": [{"port": PORT}]}});
        write_all(api, &SERVICE, services, |number| (service(number), spec(number)));
        write_all(api, &DATAPLANE, services * endpoints, |number| {
            let (service, number) = (number / endpoints, number % endpoints);
            let object = if service == 0 { measured(number) } else { dataplane(service, number, true) };
            (endpoint(service, number), object)
        });
        let first = |number: u32| if number == 0 { 100 } else { 50 };
        write_all(api, &MESH_TCP_ROUTE, policies, |number| (service(number), route(number, first(number))));
        let slice = TestCgroup::create_slice();
        let object = json!({"spec": {
            "nodeName": NODE, "containers": [{"name": "app", "image": "app"}], "automountServiceAccountToken": false,
        }});
        let mut directories = Vec::new();
        for number in 0..pods {
            let name = format!("client-{number}");
            let made = api.create(&POD, &POD.object(&place(&name), object.clone()));
            let ip = format!("10.99.0.{}", 1 + number % 250);
            api.patch_status(&POD, &place(&name), &json!({"phase": "Running", "podIP": ip}));
            let uid = made["metadata"]["uid"].as_str().context("a pod has a uid")?;
            directories.push(slice.descendant(&format!("kubepods/besteffort/pod{uid}")));
        }
        let dialled = api.get(&SERVICE, &place(&service(0))).context("it was made")?;
        let ip: IpAddr = dialled["spec"]["clusterIP"].as_str().context("it has an address")?.parse()?;
        let probed = SocketAddr::new(ip, PORT);
        Ok(Self { size, pods: directories, probed, _slice: slice, _servers: servers })
    }

    pub(crate) const fn objects(&self) -> u32 {
        let Size { services, endpoints, policies, pods } = self.size;
        services + services * endpoints + policies + pods
    }

    /// The pod that dials.
    pub(crate) fn probed_pod(&self) -> &TestCgroup {
        &self.pods[0]
    }

    /// What it dials.
    pub(crate) const fn probed(&self) -> SocketAddr {
        self.probed
    }
}

/// Has all of what is probed go to a version, and tells when the server has acknowledged it.
pub(crate) fn turn_to(api: &Api, version: &str) -> Result<Time> {
    let weight = if version == "v1" { 100 } else { 0 };
    api.patch(&MESH_TCP_ROUTE, &place(&service(0)), &route(0, weight));
    clock::now()
}

fn write_all(api: &Api, kind: &Kind, count: u32, object: impl Fn(u32) -> (String, Value) + Sync) {
    let object = &object;
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let numbers = (0..count).filter(|number| *number as usize % WRITERS == writer);
                for (name, object) in numbers.map(object) {
                    api.create(kind, &kind.object(&place(&name), object));
                }
            });
        }
    });
}
