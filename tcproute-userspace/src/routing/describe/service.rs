//! A service: its endpoints, which of them are in and why the others are not, and who has a say in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    policy::{Referrer, is_ready},
    resources::{Dataplane, Health, Identity, Inbound, MeshName, Pairs, ServiceName, did_you_mean},
    routing::{
        Resolver,
        endpoints::Endpoint,
        policies::{Asked, Route},
        service::ServiceId,
    },
};

/// A service of a mesh.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDescription {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub service: String,
    /// The protocol that its endpoints agree on, or that is declared; `tcp` where none is.
    pub protocol: String,
    /// Where connections may go, and where they may not.
    pub endpoints: Vec<EndpointDescription>,
    /// The policies that name it.
    pub policies: Vec<About>,
    /// The Dataplanes whose outbounds name it.
    pub dialled_by: Vec<String>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointDescription {
    /// An address and port, or a DNS name and port.
    pub address: String,
    /// What it is of, such as `Dataplane backend-1`.
    pub of: String,
    /// Its tags.
    pub tags: String,
    /// Its zone, if that is said.
    pub zone: Option<String>,
    /// Whether connections may go there.
    #[serde(flatten)]
    pub state: EndpointState,
}

/// Whether connections may go to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum EndpointState {
    /// They may.
    In,
    /// Its resource says that they may not.
    Out(String),
    /// Its address does not count.
    Denied(String),
    /// It is out for a while, since it does not answer.
    Ejected(String),
}

/// A policy that names a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// `MeshTCPRoute` or `MeshHTTPRoute`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The proxies it is for.
    pub target: String,
}

/// No service is called so.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("mesh {mesh} has no service {name:?}{hint}")]
pub struct UnknownServiceName {
    mesh: MeshName,
    name: String,
    /// What may have been meant.
    hint: String,
}

impl EndpointDescription {
    /// An inbound to which no connection may go.
    pub(in crate::routing) fn not_ready(dataplane: &Dataplane, inbound: &Inbound) -> Self {
        let why = match inbound.health {
            Health::Unhealthy => "a health check of it has failed",
            Health::Excluded | Health::Ready => "its state says that it is not to be used",
        };
        Self {
            address: inbound.address.to_string(),
            of: Identity { kind: Dataplane::KIND, key: dataplane.key() }.to_string(),
            tags: Pairs(&inbound.tags).to_string(),
            zone: None,
            state: EndpointState::Out(why.to_owned()),
        }
    }
}

impl Resolver {
    /// Describes the service with this name, as routes have it.
    pub fn describe_service(
        &self,
        mesh: &MeshName,
        name: &str,
    ) -> Result<ServiceDescription, UnknownServiceName> {
        let of_mesh = || self.services.all().filter(|id| self.services.mesh_of(*id) == mesh);
        let is_it = |id: &ServiceId| &**self.services.name(*id) == name && self.services.exists(*id);
        let Some(id) = of_mesh().find(is_it) else {
            let names: BTreeSet<&str> = of_mesh().map(|id| &**self.services.name(id)).collect();
            let hint = did_you_mean(name, names);
            return Err(UnknownServiceName { mesh: mesh.clone(), name: name.to_owned(), hint });
        };
        let chosen = self.services.chosen(id, None);
        let protocol = self.services.protocol(id, &chosen).unwrap_or("tcp").to_owned();
        let mut endpoints: Vec<EndpointDescription> =
            chosen.with(None).flat_map(|endpoint| self.describe_endpoint(endpoint)).collect();
        endpoints.extend(self.not_ready(mesh, name));
        let resources = self.resources();
        let tcp = resources.tcp_routes.values().filter_map(|policy| self.about(&**policy, mesh, id));
        let http = resources.http_routes.values().filter_map(|policy| self.about(&**policy, mesh, id));
        let reference = self.services.reference(id);
        let dialled_by = resources.dataplanes.values().filter(|dataplane| {
            let mut outbounds = dataplane.outbounds.iter();
            dataplane.mesh == *mesh && outbounds.any(|outbound| outbound.service == *reference)
        });
        Ok(ServiceDescription {
            mesh: mesh.clone(),
            service: name.to_owned(),
            protocol,
            endpoints,
            policies: tcp.chain(http).collect(),
            dialled_by: dialled_by.map(|dataplane| dataplane.name.to_string()).collect(),
        })
    }

    /// At each of its addresses.
    pub(in crate::routing) fn describe_endpoint(&self, endpoint: &Endpoint) -> Vec<EndpointDescription> {
        let describe = |address: String, state| EndpointDescription {
            address,
            of: endpoint.source.identity().to_string(),
            tags: Pairs(&endpoint.tags).to_string(),
            zone: endpoint.zone.as_deref().map(ToOwned::to_owned),
            state,
        };
        let at: Vec<EndpointDescription> = self
            .services
            .addresses(endpoint)
            .map(|address| match self.options().guard.judge(address.ip(), endpoint.provenance) {
                Ok(()) => describe(address.to_string(), EndpointState::In),
                Err(why) => describe(address.to_string(), EndpointState::Denied(format!("it {why}"))),
            })
            .collect();
        if !at.is_empty() {
            return at;
        }
        let state = EndpointState::Out("the name has no address".to_owned());
        vec![describe(endpoint.address.to_string(), state)]
    }

    /// The inbounds with this tag to which no connection may go.
    fn not_ready(&self, mesh: &MeshName, name: &str) -> Vec<EndpointDescription> {
        let compat = self.options().compat;
        let is_of = |service: &ServiceName| service.as_str() == name;
        let of_mesh = self.resources().dataplanes.values().filter(|dataplane| dataplane.mesh == *mesh);
        let all =
            of_mesh.flat_map(|dataplane| dataplane.inbounds.iter().map(move |inbound| (dataplane, inbound)));
        let out = all
            .filter(|(_, inbound)| inbound.service.as_ref().is_some_and(is_of) && !is_ready(compat, inbound));
        out.map(|(dataplane, inbound)| EndpointDescription::not_ready(dataplane, inbound)).collect()
    }

    fn about<R: Route>(&self, policy: &R, mesh: &MeshName, service: ServiceId) -> Option<About> {
        let header = policy.header();
        let compat = self.options().compat;
        let about = self.services.about(service);
        let from = Referrer::new(compat, &header.meta);
        let names = |to: &R::To| {
            let destination = R::destination(to);
            [false, true].into_iter().any(|by_number| Asked::names(&about, destination, &from, by_number))
        };
        (header.mesh == *mesh && policy.to().iter().any(names)).then(|| About {
            kind: R::KIND,
            name: header.name.to_string(),
            target: policy.selector().to_string(),
        })
    }
}
