//! Dataplanes.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    policy::is_ready,
    resources::{Dataplane, Inbound, Labels, Tags},
    routing::Resolver,
};

/// A Dataplane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataplaneItem {
    /// Its mesh.
    pub mesh: String,
    /// Its name, on Kubernetes `name.namespace`.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Where it is, if that is no DNS name.
    pub address: Option<IpAddr>,
    /// Whether it is a gateway.
    pub gateway: bool,
    /// How many cgroups of this node it is the Dataplane of; absent if no daemon tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<usize>,
    /// What it serves.
    pub inbounds: Vec<InboundItem>,
    /// How many outbounds are written in it.
    pub outbounds: usize,
    /// Its labels.
    pub labels: Labels,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

/// An inbound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundItem {
    /// The service, by its tag.
    pub service: Option<String>,
    /// Where it is reached.
    pub address: String,
    /// Its tags.
    pub tags: Tags,
    /// Whether connections may go there.
    pub ready: bool,
}

impl Resolver {
    /// All Dataplanes, by mesh and name.
    pub fn list_dataplanes(&self) -> Vec<DataplaneItem> {
        self.resources().dataplanes.values().map(|dataplane| self.dataplane_item(dataplane)).collect()
    }

    fn dataplane_item(&self, dataplane: &Dataplane) -> DataplaneItem {
        let compat = self.options().compat;
        let inbound = |inbound: &Inbound| InboundItem {
            service: inbound.service.as_ref().map(ToString::to_string),
            address: inbound.address.to_string(),
            tags: Tags::clone(&inbound.tags),
            ready: is_ready(compat, inbound),
        };
        DataplaneItem {
            mesh: dataplane.mesh.to_string(),
            name: dataplane.name.to_string(),
            namespace: dataplane.meta.namespace().map(str::to_owned),
            address: dataplane.address,
            gateway: dataplane.gateway.is_some(),
            workloads: None,
            inbounds: dataplane.inbounds.iter().map(inbound).collect(),
            outbounds: dataplane.outbounds.len(),
            labels: dataplane.meta.labels.clone(),
            created: dataplane.meta.created,
        }
    }
}
