//! Dataplane (<https://kuma.io/docs/2.4.x/reference/dataplane/>): a workload with what it serves and dials.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    header::{Header, Key},
    names::{Labels, MeshName, ResourceName, ServiceName, Tags},
    target_ref::ServiceRef,
    violation::Violations,
    wire,
};

/// The tag that names the service of an inbound or outbound.
pub const SERVICE_TAG: &str = "kuma.io/service";
/// The tag that names the protocol of an inbound or ExternalService.
pub const PROTOCOL_TAG: &str = "kuma.io/protocol";

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataplane {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name.
    pub name: ResourceName,
    /// Its labels.
    pub labels: Labels,
    /// What it serves.
    pub inbounds: Vec<Inbound>,
    /// What it dials.
    pub outbounds: Vec<Outbound>,
}

/// A port that the workload serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Where others reach it.
    pub address: SocketAddr,
    /// The value of [`SERVICE_TAG`].
    pub service: ServiceName,
    /// Its name, which later versions of Kuma refer to.
    pub name: Option<String>,
    /// All tags, the service's among them.
    pub tags: Arc<Tags>,
    /// `false` if a health check says so.
    pub ready: bool,
}

/// An address that the workload dials to reach a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// What the application dials.
    pub address: SocketAddr,
    /// The service behind it.
    pub service: ServiceRef,
}

impl Dataplane {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "Dataplane";

    /// Mesh and name.
    pub fn key(&self) -> Key {
        (self.mesh.clone(), self.name.clone())
    }

    pub(crate) fn read(
        header: Option<Header>,
        networking: Option<wire::DataplaneNetworking>,
        prefix: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(networking) = networking else {
            found.add(format!("{prefix}networking"), "must be set");
            return None;
        };
        let path = format!("{prefix}networking");
        let own = read_own_address(&networking, &path, found);
        let inbounds = networking.inbound.unwrap_or_default().into_iter().enumerate();
        let inbounds: Vec<Option<Inbound>> = inbounds
            .map(|(i, inbound)| read_inbound(inbound, own, &format!("{path}.inbound[{i}]"), found))
            .collect();
        let outbounds = networking.outbound.unwrap_or_default().into_iter().enumerate();
        let outbounds: Vec<Option<Outbound>> = outbounds
            .map(|(i, outbound)| read_outbound(outbound, &format!("{path}.outbound[{i}]"), found))
            .collect();
        let Header { mesh, name, labels, .. } = header?;
        Some(Self {
            mesh,
            name,
            labels,
            inbounds: inbounds.into_iter().collect::<Option<_>>()?,
            outbounds: outbounds.into_iter().collect::<Option<_>>()?,
        })
    }
}

impl Inbound {
    /// Whether `section` is its name or, as Kuma has it for one without a name, its port.
    pub fn is_section(&self, section: &str) -> bool {
        match &self.name {
            Some(name) => name == section,
            None => section.parse() == Ok(self.address.port()),
        }
    }
}

/// The address for inbounds that have none: the advertised one if there is one.
fn read_own_address(
    networking: &wire::DataplaneNetworking,
    path: &str,
    found: &mut Violations,
) -> Option<IpAddr> {
    let read = |field: &str, text: &Option<String>, found: &mut Violations| {
        text.as_ref().and_then(|text| found.check(&format!("{path}.{field}"), parse_ip(text)))
    };
    let address = read("address", &networking.address, found);
    let advertised = read("advertisedAddress", &networking.advertised_address, found);
    advertised.or(address)
}

fn read_inbound(
    inbound: wire::Inbound,
    own: Option<IpAddr>,
    path: &str,
    found: &mut Violations,
) -> Option<Inbound> {
    let address = match &inbound.address {
        Some(text) => found.check(&format!("{path}.address"), parse_ip(text)),
        None => own.or_else(|| {
            found.add(path, "has no address, and neither has networking");
            None
        }),
    };
    let port = read_port(inbound.port, path, found);
    let tags = inbound.tags.unwrap_or_default();
    let service = read_service(&tags, &format!("{path}.tags"), found);
    // Kuma's own output leaves `ready: false` out, so `health: {}` is how an unready inbound is written.
    let healthy = inbound.health.is_none_or(|health| health.ready.unwrap_or(false));
    // What took the place of `health` in later versions.
    let ready = healthy && inbound.state.is_none_or(|state| state == "Ready");
    Some(Inbound {
        address: SocketAddr::new(address?, port?),
        service: service?,
        name: inbound.name.filter(|name| !name.is_empty()),
        tags: Arc::new(tags),
        ready,
    })
}

fn read_outbound(outbound: wire::Outbound, path: &str, found: &mut Violations) -> Option<Outbound> {
    let address = match &outbound.address {
        Some(text) => found.check(&format!("{path}.address"), parse_ip(text)),
        None => Some(Ipv4Addr::LOCALHOST.into()),
    };
    let port = read_port(outbound.port, path, found);
    let service = match outbound.backend_ref {
        Some(backend) => ServiceRef::read_destination(Some(backend), &format!("{path}.backendRef"), found),
        None => read_service(&outbound.tags.unwrap_or_default(), &format!("{path}.tags"), found)
            .map(ServiceRef::tagged),
    };
    Some(Outbound { address: SocketAddr::new(address?, port?), service: service? })
}

pub(super) fn read_port(port: Option<u32>, path: &str, found: &mut Violations) -> Option<u16> {
    let port = port.ok_or("must be set").and_then(|port| match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be a port from 1 to 65535"),
    });
    found.check(&format!("{path}.port"), port)
}

/// The service that the tags at `path` name.
pub(super) fn read_service(tags: &Tags, path: &str, found: &mut Violations) -> Option<ServiceName> {
    let service = tags.get(SERVICE_TAG).map(|service| service.parse::<ServiceName>());
    match service {
        Some(service) => found.check(path, service),
        None => {
            found.add(path, format!("must have the tag {SERVICE_TAG}"));
            None
        }
    }
}

/// An IP address; a v4-mapped IPv6 one counts as IPv4.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.parse().map_err(|_| format!("{text:?} is not an IP address"))?;
    Ok(ip.to_canonical())
}
