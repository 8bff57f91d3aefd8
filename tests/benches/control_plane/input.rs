//! A mesh of any size: Dataplanes of some services, a workload that dials one of them, and a policy about that.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tcproute_tests::control_plane::Server;

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) dataplanes: u32,
    pub(crate) services: u32,
}

/// The Dataplane of the workload.
pub(crate) const LOCAL: &str = "web";

/// The service that it dials.
const DIALLED: u32 = 0;

/// Puts the workload and the policy there.
pub(crate) fn fill_local(server: &Server, dialled: SocketAddr) {
    server.put(&json!({"type": "Dataplane", "mesh": "default", "name": LOCAL, "networking": {
        "address": "192.0.2.1",
        "inbound": [{"port": 80, "tags": {"kuma.io/service": LOCAL, "kuma.io/protocol": "tcp"}}],
        "outbound": [{"address": dialled.ip(), "port": dialled.port(), "tags": {"kuma.io/service": service(DIALLED)}}],
    }}));
    server.put(&route(50));
}

/// The same with all Dataplanes behind it.
pub(crate) fn fill(server: &Server, size: Size, dialled: SocketAddr) {
    fill_local(server, dialled);
    for number in 0..size.dataplanes {
        server.put(&dataplane(size, number, 8080));
    }
}

fn service(number: u32) -> String {
    format!("service-{number}")
}

/// A Dataplane as a deployment on virtual machines writes it, with what nobody here asks for.
fn dataplane(size: Size, number: u32, port: u16) -> Value {
    let [_, b, c, d] = number.to_be_bytes();
    let name = service(number % size.services);
    let version = if (number / size.services).is_multiple_of(2) { "v1" } else { "v2" };
    let tags = json!({
        "kuma.io/service": name, "kuma.io/protocol": "tcp", "version": version,
        "team": "shop", "env": "production", "host": format!("host-{number:05}"),
    });
    json!({"type": "Dataplane", "mesh": "default", "name": format!("{name}-{number:05}"), "networking": {
        "address": format!("10.{}.{c}.{d}", 100 + b),
        "inbound": [{"port": port, "servicePort": 5432, "tags": tags}],
        "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001},
        "admin": {"port": 9901},
    }})
}

/// One of those behind what is dialled, with another port.
pub(crate) fn moved_endpoint(size: Size, port: u16) -> Value {
    dataplane(size, DIALLED + size.services, port)
}

/// The policy: so much in a hundred goes to the first version.
pub(crate) fn route(weight: u32) -> Value {
    let name = service(DIALLED);
    let backend = |version: &str, weight: u32| json!({"kind": "MeshServiceSubset", "name": name, "tags": {"version": version}, "weight": weight});
    json!({"type": "MeshTCPRoute", "mesh": "default", "name": "split", "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
        "targetRef": {"kind": "MeshService", "name": name},
        "rules": [{"default": {"backendRefs": [backend("v1", weight), backend("v2", 100 - weight)]}}],
    }]}})
}
