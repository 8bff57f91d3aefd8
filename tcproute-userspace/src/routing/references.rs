//! What a policy's references to services stand for.

use std::collections::HashMap;

use super::{
    pairs::PairIndex,
    services::{ServiceId, Services},
};
use crate::{
    policy::includes,
    resources::{Labels, PortRef, ResourceName, ServiceBy, ServiceKind, ServicePort, ServiceRef},
};

/// Whatever a reference may mean.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    /// The service with the tag.
    pub(super) tagged: Option<ServiceId>,
    /// Ports of resources.
    pub(super) ports: Vec<ServiceId>,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// There is no such service.
    Unknown,
    /// The service has several ports, and it is not said which.
    SeveralPorts,
}

impl Candidates {
    /// All that a `to` entry is about.
    pub(super) fn all(&self) -> impl Iterator<Item = ServiceId> {
        self.tagged.into_iter().chain(self.ports.iter().copied())
    }

    /// What a backendRef of a route to `destination` means. One that says neither port nor namespace means, as
    /// in all versions, the tag, and a resource only where nothing has the tag.
    pub(super) fn backend(
        &self,
        services: &Services,
        destination: ServiceId,
    ) -> Result<Vec<ServiceId>, Nowhere> {
        if let Some(tagged) = self.tagged.filter(|&tagged| services.exists(tagged)) {
            return Ok(vec![tagged]);
        }
        let port = |id: &ServiceId| services.port(*id);
        let (Some(first), wanted) = (self.ports.first(), services.port(destination)) else {
            return Err(Nowhere::Unknown);
        };
        if self.ports.iter().all(|id| port(id) == port(first)) {
            return Ok(self.ports.clone());
        }
        let same: Vec<ServiceId> = self.ports.iter().filter(|id| port(id) == wanted).copied().collect();
        if same.is_empty() { Err(Nowhere::SeveralPorts) } else { Ok(same) }
    }
}

/// The ports of the service resources of a mesh.
#[derive(Debug, Default)]
pub(super) struct Ports {
    ports: Vec<Port>,
    names: HashMap<String, Vec<usize>>,
    labels: PairIndex<usize>,
}

/// A port of a service resource.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) id: ServiceId,
    pub(super) port: u16,
    section: String,
    kind: ServiceKind,
    namespace: Option<String>,
    labels: Labels,
}

impl Ports {
    /// Adds the ports of a resource, which have these numbers in the same order.
    pub(super) fn add(
        &mut self,
        kind: ServiceKind,
        name: &ResourceName,
        labels: &Labels,
        ports: &[ServicePort],
        ids: &[ServiceId],
    ) {
        for (port, &id) in ports.iter().zip(ids) {
            let index = self.ports.len();
            self.names.entry(name.name.clone()).or_default().push(index);
            for (key, value) in labels {
                self.labels.insert(key, value, index);
            }
            self.ports.push(Port {
                id,
                port: port.port,
                section: port.name.clone().unwrap_or_else(|| port.port.to_string()),
                kind,
                namespace: name.namespace.clone(),
                labels: labels.clone(),
            });
        }
    }

    /// Those of a kind with all these labels.
    pub(super) fn with_labels<'a>(
        &'a self,
        kind: ServiceKind,
        labels: &'a Labels,
    ) -> impl Iterator<Item = &'a Port> {
        let candidates = self.labels.candidates(labels).iter().map(|&i| &self.ports[i]);
        candidates.filter(move |port| port.kind == kind && includes(&port.labels, labels))
    }

    /// Those that a reference names. Without a namespace it means that of who refers.
    pub(super) fn named<'a>(
        &'a self,
        namespace: Option<&'a str>,
        reference: &'a ServiceRef,
    ) -> impl Iterator<Item = ServiceId> {
        let (by_name, by_labels) = match &reference.by {
            ServiceBy::Name(name, own) => {
                let namespace = own.as_deref().or(namespace);
                let indices = self.names.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
                let ports = indices.iter().map(|&i| &self.ports[i]);
                let here = move |port: &&Port| {
                    port.kind == reference.kind
                        && match (namespace, &port.namespace) {
                            (Some(wanted), Some(own)) => wanted == own,
                            // On Universal nothing has a namespace.
                            _ => true,
                        }
                };
                (Some(ports.filter(here)), None)
            }
            ServiceBy::Labels(labels) => (None, Some(self.with_labels(reference.kind, labels))),
        };
        let is_port = |port: &&Port| match &reference.port {
            None => true,
            Some(PortRef::Number(number)) => port.port == *number,
            Some(PortRef::Section(section)) => port.section == *section,
        };
        let ports = by_name.into_iter().flatten().chain(by_labels.into_iter().flatten());
        ports.filter(is_port).map(|port| port.id)
    }
}
