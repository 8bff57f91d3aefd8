//! A service, and what stands for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::endpoints::{Endpoint, Source};
use crate::resources::{Key, Members, MeshName, Meta, ServiceKind, ServiceName, ServiceRef};

/// A number that stands for a [`ServiceKey`] as long as the Resolver lives, whatever comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServiceId(u32);

impl ServiceId {
    /// Of the service at this place among all that were ever named.
    pub(super) fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("memory ends before 2^32 services"))
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A service: what has a tag `kuma.io/service`, or a port of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ServiceKey {
    Tag(MeshName, ServiceName),
    Port(ServiceKind, Key, u16),
}

/// Services that have changed.
pub(super) type Touched = BTreeSet<ServiceId>;

/// What is known of a service.
pub(super) struct Service {
    pub(super) key: ServiceKey,
    /// As the operator knows it.
    pub(super) name: Arc<str>,
    /// Where the name stands among the names of all services, if they were in place when that was found out.
    pub(super) rank: Option<u32>,
    /// As a policy refers to it.
    pub(super) reference: ServiceRef,
    /// What a port is of, while its resource is there.
    pub(super) port: Option<Port>,
    /// By what they are of: of one that leaves many it must not take long to find them.
    pub(super) endpoints: BTreeMap<Source, Vec<Endpoint>>,
    /// The services whose endpoints are endpoints of this one, too.
    pub(super) members: Vec<ServiceId>,
    pub(super) member_of: Vec<ServiceId>,
    /// How many outbounds lead here.
    pub(super) outbounds: usize,
    /// How many inbounds are of it, ready or not.
    pub(super) inbounds: usize,
}

impl Service {
    /// Of which nothing is there yet.
    pub(super) fn new(key: ServiceKey, name: Arc<str>) -> Self {
        let reference = match &key {
            ServiceKey::Tag(_, name) => ServiceRef::tagged(name.clone()),
            ServiceKey::Port(kind, (_, name), port) => ServiceRef::port_of(*kind, name, *port),
        };
        Self {
            key,
            name,
            rank: None,
            reference,
            port: None,
            endpoints: BTreeMap::new(),
            members: Vec::new(),
            member_of: Vec::new(),
            outbounds: 0,
            inbounds: 0,
        }
    }
}

/// A port of a service resource.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) kind: ServiceKind,
    pub(super) meta: Arc<Meta>,
    pub(super) number: u16,
    pub(super) name: Option<String>,
    pub(super) protocol: String,
}

/// What a service is, to those that refer to it.
pub(super) enum About<'a> {
    Tag(&'a ServiceName),
    Port(&'a Port),
    /// A port that is not there any more.
    Gone,
}

/// A service resource, as others refer to it.
pub(super) struct ServiceResource {
    pub(super) meta: Arc<Meta>,
    pub(super) ports: Vec<ServiceId>,
    pub(super) vips: Vec<IpAddr>,
    pub(super) members: Option<Members>,
}
