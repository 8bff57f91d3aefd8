//! Which proxies a policy is for.

use super::Compat;
use crate::resources::{
    Applies, Dataplane, DataplaneRef, Inbound, Labels, OtherPolicy, PolicyHeader, ProxyType, Role, Selector,
    Tags,
};

/// Whether a policy is for this Dataplane: of its mesh, and selecting it.
pub fn applies(compat: Compat, policy: &PolicyHeader, selector: &Selector, dataplane: &Dataplane) -> bool {
    policy.mesh == dataplane.mesh
        && (compat == Compat::V2_4
            || (reaches_namespace(policy, dataplane) && is_for_its_type(policy, dataplane)))
        && selects(selector, dataplane)
}

/// In versions from 2.5 on a policy may be for one type of proxies only.
fn is_for_its_type(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    let own = if dataplane.gateway.is_some() { ProxyType::Gateway } else { ProxyType::Sidecar };
    policy.proxies.is_none_or(|only| only == own)
}

/// In later versions the policies of a namespace's workloads do not reach those of another.
fn reaches_namespace(policy: &PolicyHeader, dataplane: &Dataplane) -> bool {
    match policy.role {
        Role::System | Role::Producer => true,
        Role::Consumer | Role::WorkloadOwner => match (&policy.name.namespace, &dataplane.name.namespace) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        },
    }
}

/// Whether any inbound of the Dataplane matches. `Mesh` matches always, also a Dataplane without inbounds.
pub fn selects(selector: &Selector, dataplane: &Dataplane) -> bool {
    let any = |matches: &dyn Fn(&Inbound) -> bool| dataplane.inbounds.iter().any(matches);
    match selector {
        Selector::Mesh => true,
        Selector::Dataplane(DataplaneRef { name, namespace, labels, section }) => {
            let own = &dataplane.name;
            name.as_ref().is_none_or(|name| *name == own.name)
                && namespace.as_ref().is_none_or(|namespace| own.namespace.as_ref() == Some(namespace))
                && includes(&dataplane.labels, labels)
                && section.as_ref().is_none_or(|section| any(&|inbound| inbound.is_section(section)))
        }
        Selector::MeshSubset(tags) => any(&|inbound| includes(&inbound.tags, tags)),
        Selector::MeshService(name) => any(&|inbound| inbound.service.as_ref() == Some(name)),
        Selector::MeshServiceSubset(name, tags) => {
            any(&|inbound| inbound.service.as_ref() == Some(name) && includes(&inbound.tags, tags))
        }
    }
}

/// Whether the proxy of this Dataplane enforces a policy of another kind, as far as can be told.
pub fn enforces(dataplane: &Dataplane, policy: &OtherPolicy) -> bool {
    let any_value = |own: &Tags, wanted: &Tags| {
        wanted.iter().all(|(key, value)| own.get(key).is_some_and(|own| value == "*" || own == value))
    };
    policy.key.0 == dataplane.mesh
        && match &policy.applies {
            Applies::Selected(selector) => selects(selector, dataplane),
            Applies::Tags(sets) => sets
                .iter()
                .any(|tags| dataplane.inbounds.iter().any(|inbound| any_value(&inbound.tags, tags))),
            Applies::Any => true,
            Applies::None => false,
        }
}

/// Whether all tags or labels of `wanted` are among `own`, with their values.
pub(crate) fn includes(own: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| own.get(key) == Some(value))
}
