//! A mesh as documents.

use serde_json::{Value, json};

use super::{Backend, Destination, Mesh, Policy, Reference, Service, Top, Workload};

pub(super) fn yaml(mesh: &Mesh) -> String {
    let externals = mesh.externals.iter().map(|external| {
        json!({"type": "ExternalService", "name": external.name, "tags": external.tags,
               "networking": {"address": external.address, "tls": {"enabled": external.tls}}})
    });
    let all = mesh.dataplanes.iter().map(dataplane).chain(externals);
    let all = all.chain(mesh.services.iter().map(service));
    let all = all.chain(mesh.tcp.iter().map(|policy| route(policy, "MeshTCPRoute")));
    let all = all.chain(mesh.http.iter().map(|policy| route(policy, "MeshHTTPRoute")));
    all.map(|document| serde_yaml::to_string(&document).unwrap()).collect::<Vec<_>>().join("---\n")
}

/// Without what is null.
fn set(mut value: Value, field: &str, to: Option<Value>) -> Value {
    if let Some(to) = to {
        value[field] = to;
    }
    value
}

fn dataplane(workload: &Workload) -> Value {
    let inbounds = workload.inbounds.iter().map(|inbound| {
        let value = json!({"port": inbound.port, "tags": inbound.tags});
        let value = set(value, "name", inbound.name.as_ref().map(|name| json!(name)));
        let value = set(value, "address", inbound.address.as_ref().map(|address| json!(address)));
        let value = set(value, "health", (!inbound.healthy).then(|| json!({"ready": false})));
        set(value, "state", (!inbound.ready).then(|| json!("NotReady")))
    });
    let inbounds: Vec<Value> = inbounds.collect();
    let outbounds =
        workload.outbounds.iter().map(|outbound| json!({"port": outbound.port, "tags": outbound.tags}));
    let networking = json!({"address": workload.address, "outbound": outbounds.collect::<Vec<_>>()});
    let networking = set(networking, "inbound", (!inbounds.is_empty()).then(|| json!(inbounds)));
    let networking = set(networking, "advertisedAddress", workload.advertised.as_ref().map(|ip| json!(ip)));
    let networking = set(networking, "gateway", workload.gateway.as_ref().map(|tags| json!({"tags": tags})));
    json!({"type": "Dataplane", "name": workload.name, "labels": workload.labels, "networking": networking})
}

fn service(service: &Service) -> Value {
    let port = json!({"port": service.port, "targetPort": service.target, "appProtocol": service.protocol});
    let port = set(port, "name", service.port_name.as_ref().map(|name| json!(name)));
    json!({"type": "MeshService", "name": service.name, "labels": service.labels,
           "creationTime": format!("2026-01-01T00:00:{:02}Z", service.created),
           "spec": {"selector": {"dataplaneTags": service.selector}, "ports": [port]},
           "status": {"vips": [{"ip": service.vip}]}})
}

fn route(policy: &Policy, kind: &str) -> Value {
    let top = match &policy.top {
        Top::Mesh => json!({"kind": "Mesh"}),
        Top::DataplaneName(name) => json!({"kind": "Dataplane", "name": name}),
        Top::DataplaneLabels(labels) => json!({"kind": "Dataplane", "labels": labels}),
        Top::MeshSubset(tags) => json!({"kind": "MeshSubset", "tags": tags}),
        Top::MeshService(name) => json!({"kind": "MeshService", "name": name}),
        Top::MeshServiceSubset(name, tags) => {
            json!({"kind": "MeshServiceSubset", "name": name, "tags": tags})
        }
    };
    let top = set(top, "proxyTypes", policy.proxies.map(|proxies| json!([proxies])));
    let to = policy.to.iter().map(|(destination, refs)| {
        let (target, section) = match destination {
            Destination::Name(name, section) => (json!({"kind": "MeshService", "name": name}), section),
            Destination::Labels(labels, section) => {
                (json!({"kind": "MeshService", "labels": labels}), section)
            }
        };
        let target = set(target, "sectionName", section.as_ref().map(|section| json!(section)));
        let refs: Vec<Value> = refs.iter().map(backend).collect();
        let rule = json!({"default": {"backendRefs": refs}});
        let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
        let rule = set(rule, "matches", (kind == "MeshHTTPRoute").then_some(matches));
        json!({"targetRef": target, "rules": [rule]})
    });
    let spec = json!({"targetRef": top, "to": to.collect::<Vec<_>>()});
    json!({"type": kind, "name": policy.name, "labels": policy.labels, "spec": spec})
}

fn backend(Reference { to, weight }: &Reference) -> Value {
    let value = match to {
        Backend::MeshService(name) => json!({"kind": "MeshService", "name": name}),
        Backend::MeshServiceSubset(name, tags) => {
            json!({"kind": "MeshServiceSubset", "name": name, "tags": tags})
        }
        Backend::Port(name, port) => json!({"kind": "MeshService", "name": name, "port": port}),
        Backend::PortOfLabels(labels, port) => json!({"kind": "MeshService", "labels": labels, "port": port}),
    };
    set(value, "weight", weight.map(|weight| json!(weight)))
}
