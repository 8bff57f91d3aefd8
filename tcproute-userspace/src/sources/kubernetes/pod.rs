//! What is used of a Pod: whether it runs, whether it is meshed, and what its Dataplane will be made of.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::namespace::Namespace;
use crate::{policy::Compat, resources::MeshName, workloads::pods::PodUid};

/// A Pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: PodMeta,
    #[serde(default)]
    pub(super) spec: PodSpec,
    #[serde(default)]
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodMeta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: Option<String>,
    pub(super) container_port: u16,
    protocol: String,
}

impl ContainerPort {
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.protocol.as_str(), "" | "TCP")
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    ready: bool,
}

/// Marks a static pod: what its directory is called by.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Asks for a sidecar.
const INJECTION: &str = "kuma.io/sidecar-injection";

/// Tells that there is one, or that the Dataplane is wanted nevertheless.
const INJECTED: &str = "kuma.io/sidecar-injected";

const MESH: &str = "kuma.io/mesh";

impl Pod {
    /// Whether it may still have processes: what has come to an end shares its address with others.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    pub(super) fn is_running(&self) -> bool {
        self.status.phase == "Running"
    }

    pub(super) const fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// What its directory is called by.
    pub(super) fn directory_uid(&self) -> Option<PodUid> {
        PodUid::new(self.metadata.annotations.get(CONFIG_HASH).unwrap_or(&self.metadata.uid))
    }

    /// Whether Kuma is to give it a sidecar and a Dataplane, or has done so.
    pub(super) fn is_injected(&self, namespace: Option<&Namespace>) -> bool {
        let is_on = |value: &str| match value {
            "enabled" | "true" => Some(true),
            "disabled" | "false" => Some(false),
            _ => None,
        };
        let annotation = |name: &str| self.metadata.annotations.get(name).map(String::as_str);
        if annotation(INJECTED).and_then(is_on) == Some(true) {
            return true;
        }
        let own = self.metadata.labels.get(INJECTION).map(String::as_str);
        let of_namespace = || namespace.and_then(|namespace| namespace.metadata.labels.get(INJECTION));
        own.or_else(of_namespace).and_then(is_on).unwrap_or(false)
    }

    /// The mesh it belongs to, by the rules of a version. `None` if that is no name.
    pub(super) fn mesh(&self, namespace: Option<&Namespace>, compat: Compat) -> Option<MeshName> {
        mesh_of(Some(self), namespace, compat)
    }

    /// Whether a container is ready, if the pod has one of this name.
    pub(super) fn is_ready(&self, container: &str) -> Option<bool> {
        let has =
            self.spec.containers.iter().chain(&self.spec.init_containers).any(|it| it.name == container);
        let mut statuses = self.status.container_statuses.iter().chain(&self.status.init_container_statuses);
        has.then(|| statuses.any(|status| status.name == container && status.ready))
    }
}

/// The mesh of a pod, or of those of a namespace that do not say otherwise.
pub(super) fn mesh_of(pod: Option<&Pod>, namespace: Option<&Namespace>, compat: Compat) -> Option<MeshName> {
    let labels = || {
        let own = pod.and_then(|pod| pod.metadata.labels.get(MESH)).map(String::as_str);
        own.or_else(|| namespace.and_then(|namespace| namespace.metadata.labels.get(MESH)))
    };
    let annotations = || {
        let own = pod.and_then(|pod| pod.metadata.annotations.get(MESH)).map(String::as_str);
        own.or_else(|| namespace.and_then(|namespace| namespace.metadata.annotations.get(MESH)))
    };
    let named = match compat {
        Compat::V2_4 => annotations(),
        Compat::Latest => labels().or_else(annotations),
        Compat::V3 => labels(),
    };
    named.map_or_else(|| Some(MeshName::default()), |name| MeshName::try_from(name.to_owned()).ok())
}
