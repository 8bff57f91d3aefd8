//! Which service a reference means.

use super::{
    service::{Port, ServiceId, ServiceResource},
    services::Services,
};
use crate::{
    policy::{Referrer, includes},
    resources::{
        DISPLAY_NAME_LABEL, MeshName, Meta, NAMESPACE_LABEL, PortRef, ResourceName, ServiceBy, ServiceKind,
        ServiceRef, Zone,
    },
};

/// Why a reference leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// Its labels are those of no resource.
    NoLabels,
    /// There is no such resource, or it has no such port.
    NoPort,
}

impl Services {
    /// The services of which a `to` may speak, and some others.
    pub(super) fn possibly(&self, mesh: &MeshName, destination: &ServiceRef) -> Vec<ServiceId> {
        let Some(known) = self.meshes.get(mesh) else { return Vec::new() };
        let of_kind = |name: &ResourceName| known.resources.get(&(destination.kind, name.clone()));
        let resources: Vec<&ServiceResource> = match &destination.by {
            ServiceBy::Labels(labels) => {
                known.by_label.candidates(labels).filter_map(|key| known.resources.get(key)).collect()
            }
            ServiceBy::Name(name, _) => {
                let names = [Some(name.as_str()), name_in_old_tag(destination)].into_iter().flatten();
                let same = names.filter_map(|name| known.by_name.get(&(destination.kind, name.to_owned())));
                same.flatten().filter_map(of_kind).collect()
            }
        };
        resources.iter().flat_map(|resource| &resource.ports).copied().collect()
    }

    /// The port that a backendRef means, if it is one to a resource.
    pub(super) fn find_port(
        &self,
        mesh: &MeshName,
        from: &Referrer<'_>,
        reference: &ServiceRef,
    ) -> Result<ServiceId, Nowhere> {
        let kind = reference.kind;
        let known = self.meshes.get(mesh).ok_or(Nowhere::NoPort)?;
        let resource = match &reference.by {
            ServiceBy::Name(name, namespace) => {
                let same = known.by_name.get(&(kind, name.as_str().to_owned()));
                let mut resources =
                    same.into_iter().flatten().filter_map(|name| known.resources.get(&(kind, name.clone())));
                let is_meant = |resource: &&ServiceResource| {
                    from.means(
                        name.as_str(),
                        namespace.as_deref(),
                        &resource.meta,
                        &zone_of(kind, &resource.meta),
                    )
                };
                resources.find(is_meant).ok_or(Nowhere::NoPort)?
            }
            ServiceBy::Labels(labels) => {
                let candidates = known.by_label.candidates(labels).filter(|(of, _)| *of == kind);
                let resources = candidates.filter_map(|key| known.resources.get(key));
                let fitting = resources.filter(|resource| includes(&resource.meta.labels, labels));
                // The oldest is the least likely to take traffic away from where it went.
                let age =
                    |resource: &&ServiceResource| (resource.meta.created.is_none(), resource.meta.created);
                fitting.min_by_key(age).ok_or(Nowhere::NoLabels)?
            }
        };
        let is_meant = |id: &ServiceId| match (kind, &reference.port, self.port(*id)) {
            (ServiceKind::MeshExternalService, _, Some(_)) => true,
            (_, Some(PortRef::Number(number)), Some(port)) => {
                port.number == *number || port.name.as_deref() == Some(number.to_string().as_str())
            }
            (_, Some(PortRef::Section(section)), Some(port)) => {
                port.name.as_ref() == Some(section) || port.number.to_string() == *section
            }
            (_, None, Some(port)) => port.name.is_none(),
            (_, _, None) => false,
        };
        resource.ports.iter().copied().find(is_meant).ok_or(Nowhere::NoPort)
    }
}

/// The zone that a resource is of: those of many zones are made by the global control plane, and so of none.
fn zone_of(kind: ServiceKind, meta: &Meta) -> Zone<'_> {
    match (kind, meta.zone()) {
        (ServiceKind::MeshMultiZoneService, Zone::Local) => Zone::All,
        (_, zone) => zone,
    }
}

/// What the tag of a service on Kubernetes says, `NAME_NAMESPACE_svc_PORT`: in a `to` it means the resource as well.
fn old_tag(tag: &str) -> Option<(&str, &str, Option<u16>)> {
    let parts: Vec<&str> = tag.split('_').collect();
    match parts[..] {
        [name, namespace, _, port] => Some((name, namespace, Some(port.parse().ok()?))),
        [name, namespace, _] => Some((name, namespace, None)),
        _ => None,
    }
}

/// The name of the resource that a `to` means by an old tag.
pub(super) fn name_in_old_tag(reference: &ServiceRef) -> Option<&str> {
    match (reference.kind, &reference.by, &reference.port) {
        (ServiceKind::MeshService, ServiceBy::Name(name, _), None) => {
            old_tag(name.as_str()).map(|(name, ..)| name)
        }
        _ => None,
    }
}

/// Whether a `to` is about this port. An outbound that has named the port by its number is not reached by its name.
pub(super) fn concerns(reference: &ServiceRef, from: &Referrer<'_>, port: &Port, by_number: bool) -> bool {
    if reference.kind != port.kind {
        return false;
    }
    let ServiceRef { by, port: section, .. } = reference;
    if let (ServiceKind::MeshService, ServiceBy::Name(name, _), None) = (port.kind, by, section)
        && let Some((name, namespace, number)) = old_tag(name.as_str())
    {
        let labels = &port.meta.labels;
        return labels.get(DISPLAY_NAME_LABEL).is_some_and(|own| own == name)
            && labels.get(NAMESPACE_LABEL).is_some_and(|own| own == namespace)
            && number.is_none_or(|number| number == port.number)
            // What is meant is then the port by its name.
            && !(by_number && number.is_some() && port.name.is_some());
    }
    let is_service = match by {
        ServiceBy::Name(name, namespace) => {
            from.means(name.as_str(), namespace.as_deref(), &port.meta, &zone_of(port.kind, &port.meta))
        }
        ServiceBy::Labels(labels) => includes(&port.meta.labels, labels),
    };
    let is_port = match section {
        None => true,
        Some(PortRef::Number(number)) => *number == port.number,
        Some(PortRef::Section(section)) => match &port.name {
            Some(name) => section == name && !by_number,
            None => *section == port.number.to_string(),
        },
    };
    is_service && is_port
}
