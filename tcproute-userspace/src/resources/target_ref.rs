//! What a policy selects, applies to or sends traffic to.

use super::{
    kinds::nearest,
    names::{EmptyName, Labels, ResourceName, ServiceName, Tags},
    violation::Violations,
    wire,
};

/// The top-level targetRef: which proxies a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All proxies of the mesh.
    Mesh(ProxyTypes),
    /// Those of Dataplane resources (Kuma 2.10 and later).
    Dataplane(DataplaneRef),
    /// Those with an inbound that has all the tags.
    MeshSubset(Tags, ProxyTypes),
    /// Those with an inbound of the service.
    MeshService(ServiceName),
    /// Those with an inbound of the service that has all the tags.
    MeshServiceSubset(ServiceName, Tags),
    /// Kuma's own gateways, by the name of a MeshGateway (Kuma 2.6 to 2.14). No sidecar is one.
    MeshGateway(String),
}

/// The kinds of proxies that a targetRef speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyTypes {
    /// All of them.
    #[default]
    All,
    /// Those beside a workload.
    Sidecars,
    /// Gateways.
    Gateways,
}

/// Dataplane resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataplaneRef {
    /// Which ones.
    pub by: DataplaneBy,
    /// Of those the ones with an inbound of this name or port.
    pub section: Option<String>,
}

/// How Dataplanes are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataplaneBy {
    /// All of the mesh.
    All,
    /// The one with this name, and the namespace of the resource.
    Name(String, Option<String>),
    /// Those with all the labels.
    Labels(Labels),
}

/// A service as `to` and `backendRefs` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceBy {
    /// By its name, and the namespace of the resource.
    Name(ServiceName, Option<String>),
    /// By the labels of the resource, at least one.
    Labels(Labels),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    fn read(
        kind: ServiceKind,
        mut wire: wire::TargetRef,
        path: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        forbid(&wire, &[Field::Tags], path, found);
        let by = if let Some(labels) = wire.labels.take_if(|labels| !labels.is_empty()) {
            for (field, set) in [("name", wire.name.is_some()), ("namespace", wire.namespace.is_some())] {
                if set {
                    found.add(format!("{path}.{field}"), "must not be set beside labels");
                }
            }
            Some(ServiceBy::Labels(labels))
        } else {
            let namespace = wire.namespace.take();
            require_name(wire.name.take(), kind.name(), path, found)
                .map(|name| ServiceBy::Name(name, namespace))
        };
        let port = read_port(&wire, path, found);
        Some(Self { kind, by: by?, port: port.ok()? })
    }
}

/// The port, if one is set; the error is noted.
fn read_port(wire: &wire::TargetRef, path: &str, found: &mut Violations) -> Result<Option<PortRef>, ()> {
    match (wire.port, &wire.section_name) {
        (Some(_), Some(_)) => {
            found.add(format!("{path}.port"), "must not be set beside sectionName");
            Err(())
        }
        (Some(port), None) => {
            let port = u16::try_from(port).ok().filter(|&port| port > 0);
            let port = found.check(&format!("{path}.port"), port.ok_or("must be a port from 1 to 65535"));
            port.map(|port| Some(PortRef::Number(port))).ok_or(())
        }
        (None, Some(section)) => {
            let section = if section.is_empty() { Err(EmptyName) } else { Ok(section.clone()) };
            let section = found.check(&format!("{path}.sectionName"), section);
            section.map(|section| Some(PortRef::Section(section))).ok_or(())
        }
        (None, None) => Ok(None),
    }
}

impl Selector {
    /// An absent targetRef stands for the mesh, as in Kuma 2.6 and later.
    pub(super) fn read(wire: Option<wire::TargetRef>, path: &str, found: &mut Violations) -> Option<Self> {
        use Field::{Labels, Name, Namespace, Port, Section, Tags};

        let Some(wire) = wire else { return Some(Self::Mesh(ProxyTypes::All)) };
        let kind = read_kind(&wire, path, found)?;
        let forbidden: &[Field] = match kind {
            Kind::Mesh => &[Name, Tags, Namespace, Labels, Section, Port],
            Kind::Dataplane => &[Tags, Port],
            Kind::MeshSubset => &[Name, Namespace, Labels, Section, Port],
            Kind::Service(ServiceKind::MeshService) => &[Tags, Namespace, Labels, Section, Port],
            Kind::MeshServiceSubset => &[Namespace, Labels, Section, Port],
            Kind::MeshGateway => &[Namespace, Labels, Section, Port],
            Kind::Service(_) => return unsupported(path, found),
        };
        forbid(&wire, forbidden, path, found);
        let proxy_types = read_proxy_types(&wire, kind, path, found)?;
        Some(match kind {
            Kind::Mesh => Self::Mesh(proxy_types),
            Kind::Dataplane => Self::Dataplane(read_dataplane_ref(wire, path, found)),
            Kind::MeshSubset => Self::MeshSubset(wire.tags.unwrap_or_default(), proxy_types),
            Kind::Service(_) => Self::MeshService(require_name(wire.name, kind.name(), path, found)?),
            Kind::MeshServiceSubset => {
                let name = require_name(wire.name, kind.name(), path, found);
                Self::MeshServiceSubset(name?, wire.tags.unwrap_or_default())
            }
            Kind::MeshGateway => {
                let name = require_name(wire.name, kind.name(), path, found);
                Self::MeshGateway(name?.to_string())
            }
        })
    }

    /// The destination in a policy for gateways, which is always what the gateway leads to.
    pub(super) fn read_destination_of_gateway(
        wire: Option<wire::TargetRef>,
        path: &str,
        found: &mut Violations,
    ) {
        let Some(wire) = wire else { return found.add(path, "must be set") };
        match read_kind(&wire, path, found) {
            None | Some(Kind::Mesh) => {}
            Some(_) => found.add(format!("{path}.kind"), UNSUPPORTED),
        }
    }

    /// Whether this is for gateways by the kind that is written.
    pub(super) fn is_of_gateway(wire: Option<&wire::TargetRef>) -> bool {
        wire.is_some_and(|wire| wire.kind.as_deref() == Some(Kind::MeshGateway.name()))
    }
}

impl BackendTarget {
    pub(super) fn read(wire: wire::TargetRef, path: &str, found: &mut Violations) -> Option<Self> {
        let kind = read_kind(&wire, path, found)?;
        match kind {
            Kind::Service(kind) => {
                Some(Self { service: ServiceRef::read(kind, wire, path, found)?, subset: None })
            }
            Kind::MeshServiceSubset => {
                let forbidden = [Field::Namespace, Field::Labels, Field::Section, Field::Port];
                forbid(&wire, &forbidden, path, found);
                let name = require_name(wire.name, kind.name(), path, found);
                let subset = Some(wire.tags.unwrap_or_default());
                Some(Self { service: ServiceRef::tagged(name?), subset })
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

/// The fields that some kinds do not have.
#[derive(Debug, Clone, Copy)]
enum Field {
    Name,
    Namespace,
    Labels,
    Section,
    Port,
    Tags,
}

fn forbid(wire: &wire::TargetRef, fields: &[Field], path: &str, found: &mut Violations) {
    for field in fields {
        let (name, set) = match field {
            Field::Name => ("name", wire.name.is_some()),
            Field::Namespace => ("namespace", wire.namespace.is_some()),
            Field::Labels => ("labels", wire.labels.is_some()),
            Field::Section => ("sectionName", wire.section_name.is_some()),
            Field::Port => ("port", wire.port.is_some()),
            Field::Tags => ("tags", wire.tags.is_some()),
        };
        if set {
            let kind = wire.kind.as_deref().unwrap_or_default();
            found.add(format!("{path}.{name}"), format!("must not be set with kind {kind}"));
        }
    }
}

fn read_kind(wire: &wire::TargetRef, path: &str, found: &mut Violations) -> Option<Kind> {
    let Some(kind) = &wire.kind else {
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

fn read_dataplane_ref(wire: wire::TargetRef, path: &str, found: &mut Violations) -> DataplaneRef {
    let wire::TargetRef { name, namespace, labels, section_name, .. } = wire;
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let by = match (set(name), labels.filter(|labels| !labels.is_empty())) {
        (Some(name), labels) => {
            if labels.is_some() {
                found.add(format!("{path}.name"), "must not be set beside labels");
            }
            DataplaneBy::Name(name, set(namespace))
        }
        (None, Some(labels)) => DataplaneBy::Labels(labels),
        (None, None) => DataplaneBy::All,
    };
    DataplaneRef { by, section: set(section_name) }
}

fn read_proxy_types(
    wire: &wire::TargetRef,
    kind: Kind,
    path: &str,
    found: &mut Violations,
) -> Option<ProxyTypes> {
    let Some(written) = &wire.proxy_types else { return Some(ProxyTypes::All) };
    if !matches!(kind, Kind::Mesh | Kind::MeshSubset) {
        found.add(format!("{path}.proxyTypes"), format!("must not be set with kind {}", kind.name()));
        return None;
    }
    let (mut sidecars, mut gateways) = (false, false);
    for (i, proxy_type) in written.iter().enumerate() {
        match proxy_type.as_str() {
            "Sidecar" => sidecars = true,
            "Gateway" => gateways = true,
            _ => {
                found.add(format!("{path}.proxyTypes[{i}]"), "must be Sidecar or Gateway");
                return None;
            }
        }
    }
    Some(match (sidecars, gateways) {
        (true, false) => ProxyTypes::Sidecars,
        (false, true) => ProxyTypes::Gateways,
        _ => ProxyTypes::All,
    })
}
