//! Which proxies a policy is for.

use super::Compat;
use crate::resources::{
    Applies, Dataplane, DataplaneRef, Gateway, Health, Inbound, Labels, Meta, Origin, OtherPolicy,
    PolicyHeader, ProxyType, Role, SERVICE_TAG, Selector, ServiceName, Tags, Zone,
};

/// Who refers: names without more are those of its own namespace and zone.
#[derive(Debug, Clone)]
pub struct Referrer<'a> {
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Its zone.
    pub zone: Zone<'a>,
}

impl<'a> Referrer<'a> {
    /// A resource that refers to others. In 2.4 zones play no part.
    pub fn new(compat: Compat, meta: &'a Meta) -> Self {
        let zone = if compat.is_later() { meta.zone() } else { Zone::Local };
        Self { namespace: meta.namespace(), zone }
    }

    /// Whether it means this resource of some zone, if it names it so.
    pub fn means(&self, name: &str, namespace: Option<&str>, resource: &Meta, zone: &Zone<'_>) -> bool {
        resource.display_name == name
            && namespace.or(self.namespace) == resource.namespace()
            && self.zone.meets(zone)
    }
}

/// Whether a policy is in force for this Dataplane: of its mesh, and selecting it.
pub fn applies(compat: Compat, policy: &PolicyHeader, selector: &Selector, dataplane: &Dataplane) -> bool {
    policy.mesh == dataplane.mesh
        && !policy.shadow
        && (!compat.is_later() || reaches(policy, dataplane))
        && selects(compat, selector, &Referrer::new(compat, &policy.meta), dataplane)
}

/// What later versions look at besides.
fn reaches(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    reaches_zone(policy, dataplane)
        && reaches_namespace(policy, dataplane)
        && is_for_its_type(policy, dataplane)
}

/// In later versions the policies of a namespace's workloads do not reach those of another.
pub(crate) fn reaches_namespace(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    match policy.role {
        Role::System | Role::Producer => true,
        Role::Consumer | Role::WorkloadOwner => {
            let own = policy.meta.namespace();
            own.is_some() && own == dataplane.meta.namespace()
        }
    }
}

/// In later versions a policy that was made in a zone stays there, unless it is about services of its owner.
pub(crate) fn reaches_zone(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    if policy.role == Role::Producer || policy.origin == Origin::Global {
        return true;
    }
    match (policy.meta.zone(), dataplane.meta.zone()) {
        (Zone::Named(own), Zone::Named(other)) => own == other,
        _ => true,
    }
}

/// From 2.5 to 2.14 a policy may be for one type of proxies only.
fn is_for_its_type(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    let own = if dataplane.gateway.is_some() { ProxyType::Gateway } else { ProxyType::Sidecar };
    policy.proxies.is_none_or(|only| only == own)
}

/// Whether the Dataplane, or any inbound of it, matches.
pub fn selects(compat: Compat, selector: &Selector, from: &Referrer<'_>, dataplane: &Dataplane) -> bool {
    match selector {
        Selector::Mesh => has_tags(compat, dataplane, None, &Tags::new()),
        Selector::Dataplane(DataplaneRef { name, namespace, labels, section }) => {
            let is_meant = match name {
                Some(name) => {
                    let meta = &dataplane.meta;
                    from.means(name, namespace.as_deref(), meta, &meta.zone())
                }
                // A namespace alone selects nothing.
                None => {
                    (namespace.is_none() || !labels.is_empty()) && includes(&dataplane.meta.labels, labels)
                }
            };
            let mut inbounds = dataplane.inbounds.iter();
            let is_there = match &dataplane.gateway {
                Some(Gateway::Builtin) => false,
                Some(Gateway::Delegated(_)) => true,
                None => {
                    inbounds.any(|inbound| section.as_ref().is_none_or(|section| inbound.is_section(section)))
                }
            };
            is_meant && is_there
        }
        // Version 3 has none of these.
        _ if compat == Compat::V3 => false,
        Selector::MeshSubset(tags) => has_tags(compat, dataplane, None, tags),
        Selector::MeshService(name) => has_tags(compat, dataplane, Some(name), &Tags::new()),
        Selector::MeshServiceSubset(name, tags) => has_tags(compat, dataplane, Some(name), tags),
    }
}

/// Whether an inbound of the Dataplane has the service and the tags, or, in later versions, a gateway of somebody
/// else's.
fn has_tags(compat: Compat, dataplane: &Dataplane, service: Option<&ServiceName>, tags: &Tags) -> bool {
    let fits = |own: &Tags| {
        let is_service = |service: &ServiceName| {
            own.get(SERVICE_TAG).is_some_and(|own| service.as_str() == "*" || own == service.as_str())
        };
        service.is_none_or(is_service) && matches(own, tags)
    };
    let gateway = match &dataplane.gateway {
        Some(Gateway::Delegated(tags)) if compat.is_later() => Some(&**tags),
        _ => None,
    };
    dataplane.inbounds.iter().any(|inbound| fits(&inbound.tags)) || gateway.is_some_and(fits)
}

/// Whether the proxy of this Dataplane enforces a policy of another kind, as far as can be told.
pub fn enforces(compat: Compat, dataplane: &Dataplane, policy: &OtherPolicy) -> bool {
    let from = Referrer { namespace: policy.key.1.namespace.as_deref(), zone: Zone::Local };
    policy.key.0 == dataplane.mesh
        && match &policy.applies {
            Applies::Selected(selector) => selects(compat, selector, &from, dataplane),
            Applies::Tags(sets) => {
                sets.iter().any(|tags| dataplane.inbounds.iter().any(|inbound| matches(&inbound.tags, tags)))
            }
            Applies::Any => true,
            Applies::None => false,
        }
}

/// Whether one of these sets of tags may be of this Dataplane as one who dials.
pub(crate) fn may_be(dataplane: &Dataplane, sets: &[Tags]) -> bool {
    let gateway = match &dataplane.gateway {
        Some(Gateway::Delegated(tags)) => Some(&**tags),
        _ => None,
    };
    let own: Vec<&Tags> = dataplane.inbounds.iter().map(|inbound| &*inbound.tags).chain(gateway).collect();
    // Who has no tags is known by something else, such as its labels.
    own.is_empty()
        || own.iter().any(|own| own.is_empty() || sets.iter().any(|selector| matches(own, selector)))
}

/// Whether connections may go to an inbound. Its `state` says nothing to versions that do not know it.
pub(crate) fn is_ready(compat: Compat, inbound: &Inbound) -> bool {
    match inbound.health {
        Health::Ready => true,
        Health::Excluded => !compat.is_later(),
        Health::Unhealthy => false,
    }
}

/// Whether all tags of a selector are among `own`. In selectors, but not in references to backends, `*` is any value.
pub(crate) fn matches(own: &Tags, selector: &Tags) -> bool {
    selector.iter().all(|(key, value)| own.get(key).is_some_and(|own| value == "*" || own == value))
}

/// Whether all tags or labels of `wanted` are among `own`, with their values.
pub(crate) fn includes(own: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| own.get(key) == Some(value))
}
