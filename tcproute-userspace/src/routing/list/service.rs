//! Services and their endpoints.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    policy::is_ready,
    resources::{Labels, MeshName, SERVICE_TAG, ServiceName, Tags},
    routing::{
        Resolver,
        describe::EndpointDescription,
        service::{ServiceId, ServiceKey},
    },
};

/// A service, or one port of one that is a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceItem {
    /// Its mesh.
    pub mesh: String,
    /// Its name, on Kubernetes `name.namespace` if it is a resource.
    pub name: String,
    /// Its namespace, if it is a resource.
    pub namespace: Option<String>,
    /// What makes it: the kind of the resource, or `kuma.io/service` for the tag.
    pub kind: String,
    /// Its port, if it is a resource.
    pub port: Option<u16>,
    /// The protocol that is declared or that its endpoints agree on.
    pub protocol: String,
    /// To how many of its endpoints connections may go.
    pub endpoints: usize,
    /// To how many not.
    pub out: usize,
    /// The labels of the resource.
    pub labels: Labels,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

/// An endpoint of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointItem {
    /// The mesh of the service.
    pub mesh: String,
    /// The service.
    pub service: String,
    /// Its tags, one by one.
    #[serde(rename = "labels")]
    pub tags: Tags,
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointDescription,
}

/// How many inbounds of a tag are not to be used.
type NotReady<'a> = HashMap<(&'a MeshName, &'a ServiceName), usize>;

impl Resolver {
    /// All services that exist, by mesh, name and port.
    pub fn list_services(&self) -> Vec<ServiceItem> {
        let not_ready = self.all_not_ready();
        let there = self.services.all().filter(|id| self.services.exists(*id));
        let mut all: Vec<ServiceItem> = there.map(|id| self.service_item(id, &not_ready)).collect();
        all.sort_by(|a, b| (&a.mesh, &a.name, a.port).cmp(&(&b.mesh, &b.name, b.port)));
        all
    }

    /// All endpoints of all services, by mesh and service. What is of two services is in the list twice.
    pub fn list_endpoints(&self) -> Vec<EndpointItem> {
        let there = self.services.all().filter(|id| self.services.exists(*id));
        let mut all: Vec<EndpointItem> = there.flat_map(|id| self.endpoint_items(id)).collect();
        let resources = self.resources().dataplanes.values();
        all.extend(resources.flat_map(|dataplane| {
            let out = dataplane.inbounds.iter().filter(|it| !is_ready(self.options().compat, it));
            out.filter_map(|inbound| {
                Some(EndpointItem {
                    mesh: dataplane.mesh.to_string(),
                    service: inbound.service.as_ref()?.to_string(),
                    tags: Tags::clone(&inbound.tags),
                    endpoint: EndpointDescription::not_ready(dataplane, inbound),
                })
            })
        }));
        all.sort_by(|a, b| {
            (&a.mesh, &a.service, &a.endpoint.address).cmp(&(&b.mesh, &b.service, &b.endpoint.address))
        });
        all
    }

    fn all_not_ready(&self) -> NotReady<'_> {
        let mut counts = NotReady::new();
        for dataplane in self.resources().dataplanes.values() {
            for inbound in dataplane.inbounds.iter().filter(|it| !is_ready(self.options().compat, it)) {
                if let Some(service) = &inbound.service {
                    *counts.entry((&dataplane.mesh, service)).or_default() += 1;
                }
            }
        }
        counts
    }

    fn service_item(&self, id: ServiceId, not_ready: &NotReady<'_>) -> ServiceItem {
        let chosen = self.services.chosen(id, None);
        let guard = &self.options().guard;
        let (mut endpoints, mut out) = (0, 0);
        for endpoint in chosen.with(None) {
            let mut addresses = self.services.addresses(endpoint).peekable();
            if addresses.peek().is_none() {
                out += 1;
            }
            for address in addresses {
                let counts = guard.judge(address.ip(), endpoint.provenance).is_ok();
                *(if counts { &mut endpoints } else { &mut out }) += 1;
            }
        }
        let port = self.services.port(id);
        let meta = port.map(|port| &port.meta);
        let (kind, number) = match self.services.key_of(id) {
            ServiceKey::Tag(mesh, name) => {
                out += not_ready.get(&(mesh, name)).copied().unwrap_or_default();
                (SERVICE_TAG, None)
            }
            ServiceKey::Port(kind, _, port) => (kind.name(), Some(*port)),
        };
        ServiceItem {
            mesh: self.services.mesh_of(id).to_string(),
            name: self.services.name(id).to_string(),
            namespace: meta.and_then(|meta| meta.namespace()).map(str::to_owned),
            kind: kind.to_owned(),
            port: number,
            protocol: self.services.protocol(id, &chosen).unwrap_or("tcp").to_owned(),
            endpoints,
            out,
            labels: meta.map(|meta| meta.labels.clone()).unwrap_or_default(),
            created: meta.and_then(|meta| meta.created),
        }
    }

    fn endpoint_items(&self, id: ServiceId) -> Vec<EndpointItem> {
        let (mesh, service) = (self.services.mesh_of(id).to_string(), self.services.name(id).to_string());
        let chosen = self.services.chosen(id, None);
        let each = chosen.with(None).flat_map(|endpoint| {
            let tags = Tags::clone(&endpoint.tags);
            self.describe_endpoint(endpoint).into_iter().map(move |described| (tags.clone(), described))
        });
        let item =
            |(tags, endpoint)| EndpointItem { mesh: mesh.clone(), service: service.clone(), tags, endpoint };
        each.map(item).collect()
    }
}
