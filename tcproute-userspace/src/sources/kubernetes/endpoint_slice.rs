//! What is used of an EndpointSlice: where the pods of a Service are that have no Dataplane. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{head::ObjectName, service::Service};
use crate::resources::MeshName;

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct EndpointSlice {
    metadata: SliceMeta,
    #[serde(default)]
    endpoints: Vec<SliceEndpoint>,
    #[serde(default)]
    ports: Option<Vec<SlicePort>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct SliceMeta {
    labels: SliceLabels,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct SliceLabels {
    #[serde(rename = "kubernetes.io/service-name")]
    service: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SliceEndpoint {
    addresses: Vec<String>,
    conditions: Conditions,
    target_ref: Option<Target>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct SlicePort {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

impl EndpointSlice {
    /// The Service that it is of.
    pub(super) fn service(&self) -> Option<&str> {
        self.metadata.labels.service.as_deref()
    }

    /// The pods in it.
    pub(super) fn pods(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().filter_map(SliceEndpoint::pod)
    }

    /// What the control plane would write of its pods that have no Dataplane, as far as it is about this Service. A pod
    /// in several slices is several.
    pub(super) fn dataplanes(
        &self,
        slice: &ObjectName,
        service: &Service,
        mesh: &MeshName,
        has_dataplane: impl Fn(&str) -> bool,
    ) -> Vec<Value> {
        let namespace = slice.namespace.as_deref().unwrap_or_default();
        let name = &service.metadata.name;
        let mut found = Vec::new();
        for endpoint in &self.endpoints {
            let Some(pod) = endpoint.pod().filter(|pod| !has_dataplane(pod)) else { continue };
            let Some(address) = endpoint.addresses.first() else { continue };
            let inbound = |port: &SlicePort| {
                let of_service = service.tcp_ports().find(|of| of.name.as_deref() == port.name())?;
                let tags = json!({
                    "kuma.io/service": format!("{name}_{namespace}_svc_{}", of_service.port),
                    "kuma.io/protocol": service.protocol(of_service),
                    "k8s.kuma.io/namespace": namespace,
                    "k8s.kuma.io/service-name": name,
                    "k8s.kuma.io/service-port": of_service.port.to_string(),
                });
                // What is not said is so.
                let is_ready = endpoint.conditions.ready.unwrap_or(true);
                let health = if is_ready { json!({ "ready": true }) } else { json!({}) };
                Some(json!({ "port": port.port?, "tags": tags, "health": health }))
            };
            let ports = self.ports.iter().flatten().filter(|port| port.is_tcp());
            let inbounds: Vec<Value> = ports.filter_map(inbound).collect();
            if !inbounds.is_empty() {
                found.push(json!({
                    "apiVersion": "kuma.io/v1alpha1",
                    "kind": "Dataplane",
                    "mesh": mesh.as_str(),
                    "metadata": { "name": format!("{pod}.{}", slice.name), "namespace": namespace },
                    "spec": { "networking": { "address": address, "inbound": inbounds } },
                }));
            }
        }
        found
    }
}

impl SliceEndpoint {
    fn pod(&self) -> Option<&str> {
        self.target_ref.as_ref().filter(|target| target.kind == "Pod").map(|target| target.name.as_str())
    }
}

impl SlicePort {
    /// One that has no name has an empty one in a slice, and none in a Service.
    fn name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }

    fn is_tcp(&self) -> bool {
        matches!(self.protocol.as_deref(), None | Some("TCP"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_without_a_dataplane_are_where_the_slice_says() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": { "name": "db-x1", "labels": { "kubernetes.io/service-name": "db" } },
            "endpoints": [
                { "addresses": ["10.0.0.1"], "targetRef": { "kind": "Pod", "name": "db-0" } },
                { "addresses": ["10.0.0.2"], "conditions": { "ready": false }, "targetRef": { "kind": "Pod", "name": "db-1" } },
                { "addresses": ["10.0.0.3"], "targetRef": { "kind": "Pod", "name": "meshed" } },
                { "addresses": ["10.0.0.4"] },
            ],
            "ports": [
                { "name": "sql", "port": 15432 }, { "name": "other", "port": 1 },
                { "name": "udp", "port": 2, "protocol": "UDP" },
            ],
        }))
        .unwrap();
        let service: Service = serde_json::from_value(json!({
            "metadata": { "name": "db" },
            "spec": { "ports": [{ "name": "sql", "port": 5432 }, { "name": "udp", "port": 2, "protocol": "UDP" }] },
        }))
        .unwrap();
        let name = ObjectName { namespace: Some("shop".to_owned()), name: "db-x1".to_owned() };
        let all = slice.dataplanes(&name, &service, &MeshName::default(), |pod| pod == "meshed");
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0]["metadata"]["name"], "db-0.db-x1");
        let inbound = |it: &Value| it["spec"]["networking"]["inbound"][0].clone();
        assert_eq!(inbound(&all[0])["port"], 15432);
        assert_eq!(inbound(&all[0])["tags"]["kuma.io/service"], "db_shop_svc_5432");
        assert_eq!(
            (&inbound(&all[0])["health"]["ready"], &inbound(&all[1])["health"]),
            (&json!(true), &json!({}))
        );
        assert_eq!((slice.service(), slice.pods().count()), (Some("db"), 3));
    }
}
