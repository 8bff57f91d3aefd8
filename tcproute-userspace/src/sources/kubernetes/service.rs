//! What is used of a Service beside its addresses: which pods it selects, and at which of their ports.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::namespace::KumaMarks;

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Service {
    pub(super) metadata: ServiceMeta,
    #[serde(default)]
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ServiceMeta {
    pub(super) name: String,
    pub(super) annotations: KumaMarks,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    r#type: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: Option<BTreeMap<String, String>>,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: Option<String>,
    protocol: String,
    pub(super) port: u16,
    pub(super) target_port: Option<TargetPort>,
    pub(super) app_protocol: Option<String>,
}

/// A port of the pod by number, or by the name that the container gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum TargetPort {
    Number(u16),
    Name(String),
}

impl Service {
    /// Whether pods with these labels are behind it, as far as Kuma is concerned.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let is_ignored = self
            .metadata
            .annotations
            .get("kuma.io/ignore")
            .is_some_and(|value| matches!(value, "true" | "enabled"));
        let selector = self.spec.selector.as_ref().filter(|selector| !selector.is_empty());
        self.spec.r#type != "ExternalName"
            && !is_ignored
            && selector
                .is_some_and(|selector| selector.iter().all(|(name, value)| labels.get(name) == Some(value)))
    }

    pub(super) fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Its TCP ports.
    pub(super) fn tcp_ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.spec.ports.iter().filter(|port| matches!(port.protocol.as_str(), "" | "TCP"))
    }

    /// The protocol of a port, as Kuma has it.
    pub(super) fn protocol<'a>(&'a self, port: &'a ServicePort) -> &'a str {
        let known =
            |protocol: &&str| matches!(*protocol, "tcp" | "http" | "http2" | "grpc" | "kafka" | "tls");
        let of_annotation =
            || self.metadata.annotations.get(&format!("{}.service.kuma.io/protocol", port.port));
        port.app_protocol.as_deref().filter(known).or_else(of_annotation).unwrap_or("tcp")
    }
}
