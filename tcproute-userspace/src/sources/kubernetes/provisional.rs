//! The Dataplane that a pod will have, from the pod and the Services that select it, for the time until the control
//! plane has written it (`pod_converter.go` and `inbound_converter.go` of Kuma). Pure.
//!
//! It is made as the object that the control plane would write, and read as that is.

use serde_json::{Map, Value, json};

use super::{
    pod::{Container, Pod},
    service::{Service, ServicePort, TargetPort},
};
use crate::{policy::Compat, resources::MeshName};

/// The port of an inbound that nobody can dial.
const NO_SERVICE_PORT: u16 = 49151;

/// The name of the sidecar's container.
const SIDECAR: &str = "kuma-sidecar";

/// Of a pod, by its Services and its zone; `None` as long as it has no address.
pub(super) fn provisional(
    pod: &Pod,
    mesh: &MeshName,
    services: &[&Service],
    zone: Option<&str>,
    compat: Compat,
) -> Option<Value> {
    let address = pod.status.pod_ip.as_ref().filter(|ip| !ip.is_empty())?;
    let mut inbounds = Vec::new();
    for service in services.iter().filter(|service| service.selects(&pod.metadata.labels)) {
        for port in service.tcp_ports() {
            let Some((number, container)) = target(pod, port) else { continue };
            let tag = format!("{}_{}_svc_{}", service.metadata.name, pod.metadata.namespace, port.port);
            let mut tags = tags(pod, &tag, zone);
            tags.insert("kuma.io/protocol".to_owned(), service.protocol(port).into());
            tags.insert("k8s.kuma.io/service-name".to_owned(), service.metadata.name.as_str().into());
            tags.insert("k8s.kuma.io/service-port".to_owned(), port.port.to_string().into());
            if service.is_headless() {
                tags.insert("kuma.io/instance".to_owned(), pod.metadata.name.as_str().into());
            }
            let mut inbound = json!({ "port": number, "tags": tags });
            if let Some(ready) = is_ready(pod, container) {
                inbound["health"] = if ready { json!({ "ready": true }) } else { json!({}) };
            }
            inbounds.push(inbound);
        }
    }
    if inbounds.is_empty() {
        let owner = pod.metadata.owner_references.iter().find(|owner| owner.controller);
        let owner = owner.map_or(pod.metadata.name.as_str(), |owner| deployment(&owner.kind, &owner.name));
        let tags = tags(pod, &format!("{owner}_{}_svc", pod.metadata.namespace), zone);
        inbounds.push(json!({ "port": NO_SERVICE_PORT, "tags": tags }));
    }
    if compat == Compat::V3 {
        // Services are found by labels there.
        for inbound in &mut inbounds {
            let protocol = inbound["tags"]["kuma.io/protocol"].take();
            if let Some(inbound) = inbound.as_object_mut() {
                inbound.remove("tags");
                if protocol.is_string() {
                    inbound.insert("protocol".to_owned(), protocol);
                }
            }
        }
    }
    let gateway = pod.metadata.annotations.get("kuma.io/gateway").map(String::as_str);
    let networking = match gateway {
        Some("enabled" | "provided") => {
            let tags = inbounds.swap_remove(0)["tags"].take();
            json!({ "address": address, "gateway": { "tags": tags } })
        }
        _ => json!({ "address": address, "inbound": inbounds }),
    };
    let mut labels: Map<String, Value> =
        pod.metadata.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    labels.insert("kuma.io/mesh".to_owned(), mesh.as_str().into());
    labels.insert("k8s.kuma.io/namespace".to_owned(), pod.metadata.namespace.as_str().into());
    if let Some(zone) = zone {
        labels.insert("kuma.io/zone".to_owned(), zone.into());
    }
    Some(json!({
        "apiVersion": "kuma.io/v1alpha1",
        "kind": "Dataplane",
        "mesh": mesh.as_str(),
        "metadata": { "name": pod.metadata.name, "namespace": pod.metadata.namespace, "labels": labels },
        "spec": { "networking": networking },
    }))
}

/// The port of the pod behind that of a Service, and the container that declares it.
fn target<'p>(pod: &'p Pod, port: &ServicePort) -> Option<(u16, Option<&'p Container>)> {
    let declared = |is_it: &dyn Fn(&str, u16) -> bool| {
        pod.spec.containers.iter().find_map(|container| {
            let ports = container.ports.iter().filter(|port| port.is_tcp());
            let mut numbers = ports
                .filter(|port| is_it(port.name.as_deref().unwrap_or_default(), port.container_port))
                .map(|port| port.container_port);
            Some((numbers.next()?, container))
        })
    };
    match &port.target_port {
        Some(TargetPort::Name(name)) => {
            declared(&|declared, _| declared == name).map(|(number, container)| (number, Some(container)))
        }
        target => {
            let number = match target {
                Some(TargetPort::Number(number)) if *number > 0 => *number,
                _ => port.port,
            };
            Some((number, declared(&|_, declared| declared == number).map(|(_, container)| container)))
        }
    }
}

/// Whether the inbound is to be used; `None` where nothing tells.
fn is_ready(pod: &Pod, container: Option<&Container>) -> Option<bool> {
    if pod.is_terminating() {
        return Some(false);
    }
    let of_container = container.and_then(|container| pod.is_ready(&container.name));
    match (of_container, pod.is_ready(SIDECAR)) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(true) && other.unwrap_or(true)),
    }
}

fn tags(pod: &Pod, service: &str, zone: Option<&str>) -> Map<String, Value> {
    let labels =
        pod.metadata.labels.iter().filter(|(name, value)| !name.contains("kuma.io/") && !value.is_empty());
    let mut tags: Map<String, Value> =
        labels.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    tags.insert("kuma.io/service".to_owned(), service.into());
    tags.insert("k8s.kuma.io/namespace".to_owned(), pod.metadata.namespace.as_str().into());
    if let Some(zone) = zone {
        tags.insert("kuma.io/zone".to_owned(), zone.into());
    }
    tags
}

/// A ReplicaSet of a Deployment has its name and a hash behind it.
fn deployment<'n>(kind: &str, name: &'n str) -> &'n str {
    if kind == "ReplicaSet" { name.rsplit_once('-').map_or(name, |(name, _)| name) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(rest: &Value) -> Pod {
        let mut pod = json!({
            "metadata": {
                "name": "web-7d4b9-x", "namespace": "shop", "uid": "u",
                "labels": { "app": "web", "version": "v1", "empty": "", "kuma.io/mesh": "m" },
                "ownerReferences": [{ "kind": "ReplicaSet", "name": "web-7d4b9", "controller": true }],
            },
            "spec": { "containers": [{ "name": "app", "ports": [{ "name": "http", "containerPort": 8080 }] }] },
            "status": { "phase": "Running", "podIP": "10.0.0.9" },
        });
        for (name, value) in rest.as_object().cloned().unwrap_or_default() {
            pod[name.as_str()] = value;
        }
        serde_json::from_value(pod).unwrap()
    }

    fn service(spec: &Value) -> Service {
        let metadata = json!({ "name": "web", "annotations": { "81.service.kuma.io/protocol": "kafka" } });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn inbounds(pod: &Pod, services: &[&Service]) -> Vec<Value> {
        let dataplane = provisional(pod, &MeshName::default(), services, Some("z"), Compat::V2_4).unwrap();
        dataplane["spec"]["networking"]["inbound"].as_array().unwrap().clone()
    }

    #[test]
    fn each_tcp_port_of_each_service_is_an_inbound() {
        let service = service(&json!({
            "selector": { "app": "web" },
            "ports": [
                { "port": 80, "targetPort": "http", "appProtocol": "http" },
                { "port": 81, "targetPort": 9090 },
                { "port": 82, "protocol": "UDP" },
                { "port": 83, "targetPort": "nowhere" },
            ],
        }));
        let inbounds = inbounds(&pod(&json!({})), &[&service]);
        assert_eq!(inbounds.len(), 2, "{inbounds:?}");
        assert_eq!(
            inbounds[0],
            json!({ "port": 8080, "health": {}, "tags": {
                "app": "web", "version": "v1", "kuma.io/service": "web_shop_svc_80", "kuma.io/protocol": "http",
                "k8s.kuma.io/namespace": "shop", "k8s.kuma.io/service-name": "web",
                "k8s.kuma.io/service-port": "80", "kuma.io/zone": "z",
            } })
        );
        assert_eq!(inbounds[1]["port"], 9090);
        assert_eq!(inbounds[1]["tags"]["kuma.io/protocol"], "kafka");
        assert_eq!(inbounds[1].get("health"), None, "no container declares it");
    }

    #[test]
    fn a_pod_without_services_has_an_inbound_that_nobody_dials() {
        let inbounds = inbounds(&pod(&json!({})), &[&service(&json!({ "selector": { "app": "db" } }))]);
        assert_eq!(inbounds.len(), 1);
        assert_eq!(
            (&inbounds[0]["port"], &inbounds[0]["tags"]["kuma.io/service"]),
            (&json!(49151), &json!("web_shop_svc"))
        );
    }

    #[test]
    fn without_an_address_there_is_none() {
        let pod = pod(&json!({ "status": { "phase": "Pending" } }));
        assert_eq!(provisional(&pod, &MeshName::default(), &[], None, Compat::V2_4), None);
    }
}
