//! Dataplane (<https://kuma.io/docs/2.4.x/reference/dataplane/>): a workload with what it serves and dials.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    external_service::{EndpointAddress, is_host_name},
    header::{Header, Key, Meta},
    names::{MeshName, ResourceName, ServiceName, Tags},
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
    pub meta: Meta,
    /// What it serves.
    pub inbounds: Vec<Inbound>,
    /// What it dials.
    pub outbounds: Vec<Outbound>,
    /// Whether it is a gateway, and of which kind.
    pub gateway: Option<Gateway>,
    /// Whether what it dials is redirected to the proxy, whatever the address.
    pub transparent: bool,
}

/// What makes a Dataplane a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// Kuma's own, of which MeshGateway resources tell what it does.
    Builtin,
    /// Somebody else's, known by its tags.
    Delegated(Tags),
}

/// A port that the workload serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Where others reach it.
    pub address: EndpointAddress,
    /// The value of [`SERVICE_TAG`], without which it is found by the labels of the Dataplane only.
    pub service: Option<ServiceName>,
    /// Its name, which later versions of Kuma refer to.
    pub name: Option<String>,
    /// All tags, the service's among them.
    pub tags: Arc<Tags>,
    /// Whether connections may go there.
    pub health: Health,
}

/// What is said of an inbound's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is well.
    Ready,
    /// By its `state`, which 2.4 does not know, it is not to be used.
    Excluded,
    /// A health check has failed.
    Unhealthy,
}

/// An address that the workload dials to reach a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// What the application dials.
    pub address: SocketAddr,
    /// The service behind it.
    pub service: ServiceRef,
    /// The tags of its endpoints beside the service's, where no policy says where to go.
    pub tags: Tags,
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
        let own = read_own_addresses(&networking, &path, found);
        let gateway = networking.gateway.map(|gateway| match gateway.r#type.as_deref() {
            Some("BUILTIN") => Gateway::Builtin,
            _ => Gateway::Delegated(gateway.tags.unwrap_or_default()),
        });
        let redirection = networking.transparent_proxying;
        let transparent = redirection.and_then(|to| to.redirect_port_outbound).is_some_and(|port| port > 0);
        let inbounds = networking.inbound.unwrap_or_default().into_iter().enumerate();
        let inbounds: Vec<Option<Inbound>> = inbounds
            .map(|(i, inbound)| read_inbound(inbound, &own, &format!("{path}.inbound[{i}]"), found))
            .collect();
        let outbounds = networking.outbound.unwrap_or_default().into_iter().enumerate();
        let outbounds: Vec<Option<Outbound>> = outbounds
            .map(|(i, outbound)| read_outbound(outbound, &format!("{path}.outbound[{i}]"), found))
            .collect();
        let Header { mesh, name, meta, .. } = header?;
        Some(Self {
            mesh,
            name,
            meta,
            inbounds: inbounds.into_iter().collect::<Option<_>>()?,
            outbounds: outbounds.into_iter().collect::<Option<_>>()?,
            gateway,
            transparent,
        })
    }
}

impl Inbound {
    /// Where others reach it, if that is no DNS name.
    pub const fn socket(&self) -> Option<SocketAddr> {
        match &self.address {
            EndpointAddress::Socket(socket) => Some(*socket),
            EndpointAddress::Host(..) => None,
        }
    }

    /// Whether `section` is its name, which is its port if it has none.
    pub fn is_section(&self, section: &str) -> bool {
        match &self.name {
            Some(name) => name == section,
            None => section.parse() == Ok(self.address.port()),
        }
    }
}

/// The addresses of a Dataplane.
struct OwnAddresses {
    /// For inbounds that have none.
    address: Option<EndpointAddress>,
    /// Where others reach it, whatever its inbounds say.
    advertised: Option<EndpointAddress>,
    /// Whether one is written, if only a wrong one.
    any: bool,
}

/// Ports are those of the inbounds.
fn read_own_addresses(
    networking: &wire::DataplaneNetworking,
    path: &str,
    found: &mut Violations,
) -> OwnAddresses {
    let read = |field: &str, text: &Option<String>, found: &mut Violations| {
        let text = text.as_ref().filter(|text| !text.is_empty())?;
        found.check(&format!("{path}.{field}"), parse_host(text))
    };
    let address = read("address", &networking.address, found);
    let advertised = read("advertisedAddress", &networking.advertised_address, found);
    let any = [&networking.address, &networking.advertised_address]
        .into_iter()
        .flatten()
        .any(|text| !text.is_empty());
    OwnAddresses { address, advertised, any }
}

fn read_inbound(
    inbound: wire::Inbound,
    own: &OwnAddresses,
    path: &str,
    found: &mut Violations,
) -> Option<Inbound> {
    let written = inbound.address.filter(|address| !address.is_empty());
    let address = match &written {
        Some(text) => found
            .check(&format!("{path}.address"), parse_ip(text))
            .map(|ip| EndpointAddress::Socket(SocketAddr::new(ip, 0))),
        None => own.address.clone(),
    };
    if written.is_none() && !own.any {
        found.add(path, "has no address, and neither has networking");
    }
    let port = read_port(inbound.port, path, found);
    let tags = inbound.tags.unwrap_or_default();
    let service = match tags.get(SERVICE_TAG) {
        Some(_) => Some(read_service(&tags, &format!("{path}.tags"), found)?),
        None => None,
    };
    // Kuma's own output leaves `ready: false` out, so `health: {}` is how an unready inbound is written.
    let healthy = inbound.health.is_none_or(|health| health.ready.unwrap_or(false));
    let health = match inbound.state.as_deref() {
        _ if !healthy => Health::Unhealthy,
        // What took the place of `health` in later versions.
        Some(state) if state != "Ready" => Health::Excluded,
        _ => Health::Ready,
    };
    let address = own.advertised.clone().or(address)?;
    Some(Inbound {
        address: address.with_port(port?),
        service,
        name: inbound.name.filter(|name| !name.is_empty()),
        tags: Arc::new(tags),
        health,
    })
}

fn read_outbound(outbound: wire::Outbound, path: &str, found: &mut Violations) -> Option<Outbound> {
    let address = match &outbound.address {
        Some(text) => found.check(&format!("{path}.address"), parse_ip(text)),
        None => Some(Ipv4Addr::LOCALHOST.into()),
    };
    let port = read_port(outbound.port, path, found);
    let mut tags = outbound.tags.unwrap_or_default();
    let service = match outbound.backend_ref {
        Some(backend) => ServiceRef::read_destination(Some(backend), &format!("{path}.backendRef"), found),
        None => read_service(&tags, &format!("{path}.tags"), found).map(ServiceRef::tagged),
    };
    tags.remove(SERVICE_TAG);
    Some(Outbound { address: SocketAddr::new(address?, port?), service: service?, tags })
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

/// An IP address or a DNS name, with a port that is yet to be set.
fn parse_host(text: &str) -> Result<EndpointAddress, String> {
    if let Ok(ip) = parse_ip(text) {
        return Ok(EndpointAddress::Socket(SocketAddr::new(ip, 0)));
    }
    // What looks like an address and is none will not be a name, either.
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric || !is_host_name(text) {
        return Err(format!("{text:?} is not an IP address or a host name"));
    }
    Ok(EndpointAddress::Host(text.to_ascii_lowercase(), 0))
}

/// An IP address; a v4-mapped IPv6 one counts as IPv4.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.parse().map_err(|_| format!("{text:?} is not an IP address"))?;
    Ok(ip.to_canonical())
}
