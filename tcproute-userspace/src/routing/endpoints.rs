//! Endpoints, and which of a service's a connection may go to.

use std::sync::Arc;

use super::protocol;
use crate::{
    policy::{Compat, includes},
    resources::{
        Dataplane, ExternalAddress, ExternalService, Identity, Key, MtlsMode, PROTOCOL_TAG, Provenance, Tags,
    },
};

/// The resource that an endpoint is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Dataplane(Key),
    ExternalService(Key),
}

impl Source {
    pub(super) fn identity(&self) -> Identity {
        let (kind, key) = match self {
            Self::Dataplane(key) => (Dataplane::KIND, key),
            Self::ExternalService(key) => (ExternalService::KIND, key),
        };
        Identity { kind, key: key.clone() }
    }
}

/// An endpoint of a service.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) source: Source,
    /// Who may have written that.
    pub(super) provenance: Provenance,
    pub(super) address: ExternalAddress,
    pub(super) tags: Arc<Tags>,
    /// The zone that it is in, if that is said.
    pub(super) zone: Option<Arc<str>>,
    /// The proxy originates TLS to it.
    pub(super) tls: bool,
    /// It has an identity of its own, and so speaks TLS whatever the mesh says.
    pub(super) identity: Option<MtlsMode>,
}

impl Endpoint {
    pub(super) const fn is_external(&self) -> bool {
        matches!(self.source, Source::ExternalService(_))
    }

    /// Whether it is reached without a detour: the kernel cannot go through the ingress of another zone.
    fn is_within(&self, zone: Option<&str>) -> bool {
        match (zone, &self.zone) {
            (Some(own), Some(other)) => own == &**other,
            _ => true,
        }
    }
}

/// The endpoints of a service that who dials in some zone has.
#[derive(Debug, Clone)]
pub(super) struct Chosen<'a> {
    endpoints: Vec<&'a Endpoint>,
    /// Those of other zones.
    elsewhere: Vec<&'a Endpoint>,
    /// Whether they are outside the mesh: all of them are, or none.
    pub(super) external: bool,
    /// Whether any has an identity of its own.
    pub(super) has_identities: bool,
    protocol: Option<&'a str>,
}

impl<'a> Chosen<'a> {
    /// A service has endpoints of one kind only. In 2.4 those outside the mesh come first, in later versions the
    /// others.
    pub(super) fn of(compat: Compat, all: impl Iterator<Item = &'a Endpoint>, zone: Option<&str>) -> Self {
        let (within, elsewhere): (Vec<&Endpoint>, Vec<&Endpoint>) =
            all.partition(|endpoint| endpoint.is_within(zone));
        let is_external = |endpoint: &&Endpoint| endpoint.is_external();
        let external = match compat {
            Compat::V2_4 => within.iter().any(is_external),
            Compat::Latest | Compat::V3 => !within.is_empty() && within.iter().all(is_external),
        };
        let tag = |endpoint: &&'a Endpoint| endpoint.tags.get(PROTOCOL_TAG);
        let same_kind = |endpoint: &&&Endpoint| endpoint.is_external() == external;
        let protocol = match compat {
            // Those that are never chosen have a say in the protocol.
            Compat::V2_4 => protocol::common(within.iter().map(tag)),
            Compat::Latest | Compat::V3 => protocol::common(within.iter().filter(same_kind).map(tag)),
        };
        let endpoints: Vec<&Endpoint> = within.iter().filter(same_kind).copied().collect();
        let has_identities = endpoints.iter().any(|endpoint| endpoint.identity.is_some());
        Self { endpoints, elsewhere, external, has_identities, protocol }
    }

    /// The protocol that they agree on.
    pub(super) const fn protocol(&self) -> Option<&'a str> {
        self.protocol
    }

    /// How many there are, whatever their tags.
    pub(super) const fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are some with the tags, and all of them are in other zones.
    pub(super) fn are_elsewhere(&self, subset: Option<&Tags>) -> bool {
        let fits = |endpoint: &&Endpoint| subset.is_none_or(|subset| includes(&endpoint.tags, subset));
        self.with(subset).next().is_none() && self.elsewhere.iter().any(fits)
    }

    /// Those with the tags. Tags do not choose among endpoints outside the mesh.
    pub(super) fn with(&self, subset: Option<&Tags>) -> impl Iterator<Item = &'a Endpoint> {
        let subset = subset.filter(|_| !self.external);
        let fits = move |endpoint: &&Endpoint| subset.is_none_or(|subset| includes(&endpoint.tags, subset));
        self.endpoints.iter().copied().filter(fits)
    }
}
