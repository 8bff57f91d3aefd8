//! What a policy selects, applies to or sends traffic to.

mod fields;

use std::sync::Arc;

use fields::{Field, forbid, forbid_strict, is_set};

use super::{
    address::read_port,
    names::{Labels, ResourceName, ServiceName, Tags},
    nearest::nearest,
    violation::Violations,
    wire,
};

/// The top-level targetRef: which proxies a policy is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// All proxies of the mesh.
    Mesh,
    /// Those of Dataplane resources (Kuma 2.10 and later).
    Dataplane(DataplaneRef),
    /// Those with an inbound that has all the tags, of which there may be none.
    MeshSubset(Tags),
    /// Those with an inbound of the service.
    MeshService(ServiceName),
    /// Those with an inbound of the service that has all the tags.
    MeshServiceSubset(ServiceName, Tags),
}

/// Dataplane resources: all of them, or those that fit each field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DataplaneRef {
    /// The one with this name.
    pub name: Option<String>,
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those with all the labels.
    pub labels: Labels,
    /// Those with an inbound of this name or port.
    pub section: Option<String>,
}

/// The two types of proxies that a policy may tell apart (`proxyTypes`, Kuma 2.5 to 2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyType {
    /// Beside a workload.
    Sidecar,
    /// A gateway, such as one that is not Kuma's own.
    Gateway,
}

/// A service as `to` and `backendRefs` name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// The kind that is written.
    pub kind: ServiceKind,
    /// Which one.
    pub by: ServiceBy,
    /// Which of its ports; all if not set.
    pub port: Option<PortRef>,
}

/// The kinds of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// The tag `kuma.io/service`, or a MeshService resource (Kuma 2.9 and later).
    MeshService,
    /// A MeshExternalService resource.
    MeshExternalService,
    /// A MeshMultiZoneService resource.
    MeshMultiZoneService,
}

/// How a service is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServiceBy {
    /// By its name, and the namespace of the resource.
    Name(ServiceName, Option<Arc<str>>),
    /// By the labels of the resource, at least one.
    Labels(Labels),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortRef {
    /// By its number.
    Number(u16),
    /// By its name, which is its number if it has none.
    Section(String),
}

/// Where a share of the connections goes: all endpoints of a service, or those with all the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTarget {
    /// The service.
    pub service: ServiceRef,
    /// `None` but for `MeshServiceSubset`.
    pub subset: Option<Tags>,
}

impl ServiceKind {
    /// As in `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MeshService => "MeshService",
            Self::MeshExternalService => "MeshExternalService",
            Self::MeshMultiZoneService => "MeshMultiZoneService",
        }
    }
}

impl ServiceRef {
    /// The service with this tag, as every version of Kuma knows it.
    pub const fn tagged(service: ServiceName) -> Self {
        Self { kind: ServiceKind::MeshService, by: ServiceBy::Name(service, None), port: None }
    }

    /// A port of a service resource.
    pub(crate) fn port_of(kind: ServiceKind, name: &ResourceName, port: u16) -> Self {
        let by = ServiceBy::Name(name.into(), name.namespace.clone());
        Self { kind, by, port: Some(PortRef::Number(port)) }
    }

    /// The value of the tag that it stands for, if nothing shows that a resource is meant.
    pub const fn tag(&self) -> Option<&ServiceName> {
        match (self.kind, &self.by, &self.port) {
            (ServiceKind::MeshService, ServiceBy::Name(name, None), None) => Some(name),
            _ => None,
        }
    }

    /// Reads the targetRef of a `to` entry.
    pub(super) fn read_destination(
        wire: Option<wire::TargetRef>,
        path: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(wire) = wire else {
            found.add(path, "must be set");
            return None;
        };
        match read_kind(&wire, path, found)? {
            Kind::Service(kind) => Self::read(kind, wire, path, found),
            _ => unsupported(path, found),
        }
    }

    /// Reads the backendRef of an outbound, which needs the port that is dialled.
    pub(super) fn read_dialled(wire: wire::TargetRef, path: &str, found: &mut Violations) -> Option<Self> {
        let Kind::Service(kind) = read_kind(&wire, path, found)? else { return unsupported(path, found) };
        // That of a MeshExternalService is its own.
        if wire.port.is_some() || kind != ServiceKind::MeshExternalService {
            read_port(wire.port, path, found)?;
        }
        Self::read(kind, wire, path, found)
    }

    fn read(
        kind: ServiceKind,
        mut wire: wire::TargetRef,
        path: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        use Field::{Mesh, ProxyTypes, Section, Tags};

        match kind {
            ServiceKind::MeshService => forbid(&wire, &[Tags, Mesh, ProxyTypes], path, found),
            ServiceKind::MeshExternalService => {
                forbid(&wire, &[Tags, Mesh, ProxyTypes, Section], path, found);
            }
            // Kuma looks at none of these here.
            ServiceKind::MeshMultiZoneService => forbid_strict(&wire, &[Tags, Mesh, ProxyTypes], path, found),
        }
        let by = if let Some(labels) = wire.labels.take_if(|labels| !labels.is_empty()) {
            for (field, value) in [("name", &wire.name), ("namespace", &wire.namespace)] {
                if is_set(value.as_ref()) {
                    found.add(format!("{path}.{field}"), "must not be set beside labels");
                }
            }
            Some(ServiceBy::Labels(labels))
        } else {
            let namespace = wire.namespace.take().filter(|namespace| !namespace.is_empty());
            require_name(wire.name.take(), kind.name(), path, found)
                .map(|name| ServiceBy::Name(name, namespace.map(Into::into)))
        };
        let port = PortRef::read(wire.port, wire.section_name, path, found);
        Some(Self { kind, by: by?, port })
    }
}

impl PortRef {
    fn read(port: Option<u32>, section: Option<String>, path: &str, found: &mut Violations) -> Option<Self> {
        let section = section.filter(|section| !section.is_empty());
        if port.is_some() && section.is_some() {
            found.add_strict(&format!("{path}.port"), "must not be set beside sectionName");
        }
        let Some(port) = port else { return section.map(Self::Section) };
        match u16::try_from(port) {
            Ok(port) if port > 0 => Some(Self::Number(port)),
            // Kuma takes it, and finds no port of this name.
            _ => {
                found.add_strict(&format!("{path}.port"), "must be a port from 1 to 65535");
                Some(Self::Section(port.to_string()))
            }
        }
    }
}

impl Selector {
    /// That of a policy about what is dialled, which is for no inbound.
    pub(super) fn of_route(
        wire: Option<wire::TargetRef>,
        path: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let selector = Self::read(wire, path, found);
        if let Some(Self::Dataplane(DataplaneRef { section: Some(_), .. })) = &selector {
            found.add(format!("{path}.sectionName"), "must not be set: a route is for no inbound");
        }
        selector
    }

    /// An absent targetRef stands for the mesh, as in Kuma 2.6 and later.
    pub(super) fn read(wire: Option<wire::TargetRef>, path: &str, found: &mut Violations) -> Option<Self> {
        use Field::{Labels, Mesh, Name, Namespace, Port, ProxyTypes, Section, Tags};

        let Some(wire) = wire else { return Some(Self::Mesh) };
        let kind = read_kind(&wire, path, found)?;
        // What no version takes, and what Kuma takes and does not look at.
        let (forbidden, ignored): (&[Field], &[Field]) = match kind {
            Kind::Mesh => (&[Name, Tags, Mesh, Namespace, Labels, Section], &[Port]),
            Kind::Dataplane => (&[Tags, Mesh, ProxyTypes], &[Port]),
            Kind::MeshSubset => (&[Name, Mesh, Namespace, Labels, Section], &[Port]),
            Kind::Service(ServiceKind::MeshService) => {
                (&[Tags, Mesh, Labels, ProxyTypes], &[Namespace, Section, Port])
            }
            Kind::MeshServiceSubset => (&[Mesh, Namespace, Labels, Section, ProxyTypes], &[Port]),
            Kind::Service(_) | Kind::MeshGateway => return unsupported(path, found),
        };
        forbid(&wire, forbidden, path, found);
        forbid_strict(&wire, ignored, path, found);
        Some(match kind {
            Kind::Mesh => Self::Mesh,
            Kind::Dataplane => Self::Dataplane(DataplaneRef::read(wire, path, found)),
            Kind::MeshSubset => Self::MeshSubset(wire.tags.unwrap_or_default()),
            Kind::Service(_) => Self::MeshService(require_name(wire.name, kind.name(), path, found)?),
            Kind::MeshServiceSubset | Kind::MeshGateway => {
                let name = require_name(wire.name, kind.name(), path, found);
                Self::MeshServiceSubset(name?, wire.tags.unwrap_or_default())
            }
        })
    }
}

impl DataplaneRef {
    fn read(wire: wire::TargetRef, path: &str, found: &mut Violations) -> Self {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let wire::TargetRef { name, namespace, section_name: section, labels, .. } = wire;
        let (name, namespace, section) = (set(name), set(namespace), set(section));
        let labels = labels.unwrap_or_default();
        for (field, value) in [("name", &name), ("namespace", &namespace)] {
            if value.is_some() && !labels.is_empty() {
                found.add(format!("{path}.{field}"), "must not be set beside labels");
            }
        }
        Self { name, namespace, labels, section }
    }
}

impl ProxyType {
    /// Reads which proxies a policy is for, of those that its targetRef selects; `None` for both types.
    pub(super) fn read(wire: Option<&wire::TargetRef>, path: &str, found: &mut Violations) -> Option<Self> {
        const TYPES: [(&str, ProxyType); 2] =
            [("Sidecar", ProxyType::Sidecar), ("Gateway", ProxyType::Gateway)];
        let types = wire?.proxy_types.as_ref()?;
        let path = format!("{path}.proxyTypes");
        if types.is_empty() {
            found.add(&path, "must have at least one entry");
        }
        let mut read = Vec::new();
        for (i, name) in types.iter().enumerate() {
            let known = TYPES.iter().find(|(known, _)| known == name);
            let known = found.check(&format!("{path}[{i}]"), known.ok_or("must be Sidecar or Gateway"));
            read.extend(known.map(|(_, proxy)| *proxy));
        }
        match read.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Some(*first),
            _ => None,
        }
    }
}

/// Whether a route is for builtin gateways: these are no sidecars, and nothing else comes of it here.
pub(super) fn is_for_gateways(top: Option<&wire::TargetRef>) -> bool {
    top.and_then(|top| top.kind.as_deref()) == Some(Kind::MeshGateway.name())
}

/// Checks the targetRefs of a route for builtin gateways.
pub(super) fn check_for_gateways<'w>(
    top: Option<wire::TargetRef>,
    to: impl Iterator<Item = Option<&'w wire::TargetRef>>,
    found: &mut Violations,
) {
    use Field::{Labels, Mesh, Namespace, ProxyTypes, Section};

    if let Some(top) = top {
        forbid(&top, &[Mesh, Namespace, Labels, Section, ProxyTypes], "spec.targetRef", found);
        require_name(top.name, Kind::MeshGateway.name(), "spec.targetRef", found);
    }
    for (i, target) in to.enumerate() {
        let path = format!("spec.to[{i}].targetRef");
        let Some(target) = target else {
            found.add(path, "must be set");
            continue;
        };
        if read_kind(target, &path, found).is_some_and(|kind| kind != Kind::Mesh) {
            found.add(format!("{path}.kind"), "value is not supported beside a MeshGateway: must be Mesh");
        }
    }
}

impl BackendTarget {
    pub(super) fn read(wire: wire::TargetRef, path: &str, found: &mut Violations) -> Option<Self> {
        use Field::{Labels, Mesh, Namespace, Port, ProxyTypes, Section};

        let kind = read_kind(&wire, path, found)?;
        match kind {
            Kind::Service(kind) => {
                if kind == ServiceKind::MeshMultiZoneService && wire.port.is_none() {
                    found.add(format!("{path}.port"), format!("must be set with kind {}", kind.name()));
                }
                Some(Self { service: ServiceRef::read(kind, wire, path, found)?, subset: None })
            }
            Kind::MeshServiceSubset => {
                forbid(&wire, &[Mesh, Namespace, Labels, Section, ProxyTypes], path, found);
                forbid_strict(&wire, &[Port], path, found);
                let name = require_name(wire.name, kind.name(), path, found);
                let service = ServiceRef::tagged(name?);
                Some(Self { service, subset: Some(wire.tags.unwrap_or_default()) })
            }
            Kind::Mesh | Kind::Dataplane | Kind::MeshSubset | Kind::MeshGateway => unsupported(path, found),
        }
    }

    /// The kind that is written.
    pub const fn kind(&self) -> &'static str {
        if self.subset.is_some() { Kind::MeshServiceSubset.name() } else { self.service.kind.name() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mesh,
    Dataplane,
    MeshSubset,
    MeshServiceSubset,
    MeshGateway,
    Service(ServiceKind),
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Mesh,
        Self::Dataplane,
        Self::MeshSubset,
        Self::MeshServiceSubset,
        Self::MeshGateway,
        Self::Service(ServiceKind::MeshService),
        Self::Service(ServiceKind::MeshExternalService),
        Self::Service(ServiceKind::MeshMultiZoneService),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Dataplane => "Dataplane",
            Self::MeshSubset => "MeshSubset",
            Self::MeshServiceSubset => "MeshServiceSubset",
            Self::MeshGateway => "MeshGateway",
            Self::Service(kind) => kind.name(),
        }
    }
}

fn read_kind(wire: &wire::TargetRef, path: &str, found: &mut Violations) -> Option<Kind> {
    let Some(kind) = wire.kind.as_ref().filter(|kind| !kind.is_empty()) else {
        found.add(format!("{path}.kind"), "must be set");
        return None;
    };
    let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
    if known.is_none() {
        let near = nearest(kind, Kind::ALL.map(Kind::name));
        found.misspelt(format!("{path}.kind"), UNSUPPORTED, near);
    }
    known
}

const UNSUPPORTED: &str = "value is not supported";

fn unsupported<T>(path: &str, found: &mut Violations) -> Option<T> {
    found.add(format!("{path}.kind"), UNSUPPORTED);
    None
}

fn require_name(name: Option<String>, kind: &str, path: &str, found: &mut Violations) -> Option<ServiceName> {
    let set = name.and_then(|name| ServiceName::try_from(name).ok());
    found.check(&format!("{path}.name"), set.ok_or_else(|| format!("must be set with kind {kind}")))
}
