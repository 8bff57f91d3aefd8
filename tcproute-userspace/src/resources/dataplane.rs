//! Dataplane (<https://kuma.io/docs/2.4.x/reference/dataplane/>): a workload with what it serves and dials.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    address::{parse_ip, read_port, read_port_at},
    external_service::{ExternalAddress, is_host_name},
    header::{Header, Key, Meta},
    names::{MeshName, ResourceName, ServiceName, Tags},
    tags::{self, PROTOCOL_TAG, SERVICE_TAG},
    target_ref::ServiceRef,
    violation::Violations,
    wire,
};

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataplane {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name.
    pub name: ResourceName,
    /// Its labels.
    pub meta: Meta,
    /// Where it is itself, if that is no DNS name. Others may reach it elsewhere.
    pub address: Option<IpAddr>,
    /// Whether it is a gateway, and of which kind: then it has no inbounds.
    pub gateway: Option<Gateway>,
    /// Whether what it dials is redirected to the proxy, whatever the address.
    pub transparent: bool,
    /// What it serves.
    pub inbounds: Vec<Inbound>,
    /// What it dials.
    pub outbounds: Vec<Outbound>,
}

/// What makes a Dataplane a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// Kuma's own, of which MeshGateway resources tell what it does.
    Builtin,
    /// Somebody else's, known by its tags.
    Delegated(Arc<Tags>),
}

/// A port that the workload serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Where others reach it. A host may be anything that is no IP address: Kuma does not check all of it.
    pub address: ExternalAddress,
    /// The value of the tag `kuma.io/service`; later versions of Kuma find services by labels as well.
    pub service: Option<ServiceName>,
    /// Its name, which later versions of Kuma refer to.
    pub name: Option<String>,
    /// Its protocol, which later versions of Kuma have beside the tag.
    pub protocol: Option<String>,
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
        let path = format!("{prefix}networking");
        let Some(networking) = networking else {
            found.add(path, "must be set");
            return None;
        };
        let own = Own::read(&networking, &path, found);
        let has_listeners = networking.listeners.is_some_and(|listeners| !listeners.is_empty());
        let wire_inbounds = networking.inbound.unwrap_or_default();
        let wire_outbounds = networking.outbound.unwrap_or_default();
        let has = [!wire_inbounds.is_empty(), !wire_outbounds.is_empty(), has_listeners];
        if let Some(gateway) = &networking.gateway {
            check_gateway(gateway, has, &path, found);
        } else if !has[0] && !has_listeners {
            // Control planes of later versions have such, and people do not mean it.
            found.add_strict(&path, "must have at least one inbound, or a gateway");
        }
        let redirection = networking.transparent_proxying.as_ref();
        let redirected = redirection.and_then(|redirection| redirection.redirect_port_outbound);
        let transparent = redirected.is_some_and(|port| port > 0);
        let admin = networking.admin.and_then(|admin| admin.port);
        let inbounds = wire_inbounds.into_iter().enumerate();
        let inbounds: Vec<Option<Inbound>> = inbounds
            .map(|(i, inbound)| read_inbound(inbound, &own, &format!("{path}.inbound[{i}]"), found))
            .collect();
        let outbounds = wire_outbounds.into_iter().enumerate();
        let outbounds: Vec<Option<Outbound>> = outbounds
            .map(|(i, outbound)| read_outbound(outbound, &format!("{path}.outbound[{i}]"), found))
            .collect();
        if let Some(admin) = admin.filter(|_| is_taken_on_loopback(admin, &inbounds, &outbounds)) {
            found.add(format!("{path}.admin.port"), format!("{admin} is taken on loopback already"));
        }
        let Header { mesh, name, meta, .. } = header?;
        Some(Self {
            mesh,
            name,
            meta,
            address: match own.own {
                Some(Host::Ip(ip)) => Some(ip),
                Some(Host::Name(_)) | None => None,
            },
            gateway: networking.gateway.map(read_gateway),
            transparent,
            inbounds: complete(inbounds)?,
            outbounds: complete(outbounds)?,
        })
    }
}

/// All of them, if each is there.
fn complete<T>(read: Vec<Option<T>>) -> Option<Vec<T>> {
    let mut all: Vec<T> = read.into_iter().collect::<Option<_>>()?;
    // It has the room that was made for what is written, which is larger.
    all.shrink_to_fit();
    Some(all)
}

impl Inbound {
    /// Where others reach it, if that is no DNS name.
    pub const fn socket(&self) -> Option<SocketAddr> {
        match &self.address {
            ExternalAddress::Socket(socket) => Some(*socket),
            ExternalAddress::Host(..) => None,
        }
    }

    /// Whether `section` is its name or, as Kuma has it for one without a name, its port.
    pub fn is_section(&self, section: &str) -> bool {
        match &self.name {
            Some(name) => name == section,
            None => section.parse() == Ok(self.address.port()),
        }
    }
}

/// The addresses of the Dataplane itself.
struct Own {
    /// `address`, as written.
    address: String,
    /// For inbounds that have none.
    own: Option<Host>,
    /// Where others reach it, whatever its inbounds say.
    advertised: Option<Host>,
}

#[derive(Debug, Clone)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Own {
    fn read(networking: &wire::DataplaneNetworking, path: &str, found: &mut Violations) -> Self {
        let address = networking.address.clone().unwrap_or_default();
        let checked = match address.as_str() {
            "" => Err("must be set".to_owned()),
            "0.0.0.0" | "::" => Err(format!("{address:?} is no address to be reached at")),
            text => match Host::of(text) {
                Host::Name(name) if !is_host_name(&name) => {
                    Err(format!("{text:?} is not an IP address or a DNS name"))
                }
                host => Ok(host),
            },
        };
        let own = found.check(&format!("{path}.address"), checked);
        let advertised = networking.advertised_address.as_deref().filter(|text| !text.is_empty());
        Self { address, own, advertised: advertised.map(Host::of) }
    }
}

impl Host {
    fn of(text: &str) -> Self {
        parse_ip(text).map_or_else(|_| Self::Name(text.to_ascii_lowercase()), Self::Ip)
    }

    fn at(self, port: u16) -> ExternalAddress {
        match self {
            Self::Ip(ip) => ExternalAddress::Socket(SocketAddr::new(ip, port)),
            Self::Name(name) => ExternalAddress::Host(name, port),
        }
    }
}

/// `has` tells of inbounds, outbounds and listeners.
fn check_gateway(gateway: &wire::Gateway, has: [bool; 3], path: &str, found: &mut Violations) {
    const KINDS: [&str; 2] = ["DELEGATED", "BUILTIN"];
    let kind = gateway.r#type.as_ref().map_or(Some(KINDS[0]), |kind| kind.of(&KINDS));
    let Some(kind) = kind else {
        return found.add(format!("{path}.gateway.type"), "must be DELEGATED or BUILTIN");
    };
    for (field, has) in ["inbound", "outbound", "listeners"].into_iter().zip(has) {
        if has && (field != "outbound" || kind == "BUILTIN") {
            let kind = kind.to_ascii_lowercase();
            found.add(format!("{path}.{field}"), format!("must not be set beside a {kind} gateway"));
        }
    }
    let Some(tags) = gateway.tags.as_ref().filter(|tags| !tags.is_empty()) else { return };
    let path = format!("{path}.gateway.tags");
    tags::check(tags, &path, found);
    tags::require_service(tags, &path, found);
    if tags.get(PROTOCOL_TAG).is_some_and(|protocol| !protocol.eq_ignore_ascii_case("tcp")) {
        found.add(format!("{path}[\"{PROTOCOL_TAG}\"]"), "must be tcp");
    }
}

fn read_gateway(gateway: wire::Gateway) -> Gateway {
    let kind = gateway.r#type.as_ref().and_then(|kind| kind.of(&["DELEGATED", "BUILTIN"]));
    match kind {
        Some("BUILTIN") => Gateway::Builtin,
        _ => Gateway::Delegated(Arc::new(gateway.tags.unwrap_or_default())),
    }
}

/// Whether the proxy would listen twice at a port.
fn is_taken_on_loopback(
    port: Option<u32>,
    inbounds: &[Option<Inbound>],
    outbounds: &[Option<Outbound>],
) -> bool {
    let inbounds = inbounds.iter().flatten().filter_map(|inbound| match inbound.address {
        ExternalAddress::Socket(address) => Some(address),
        ExternalAddress::Host(..) => None,
    });
    let mut all = inbounds.chain(outbounds.iter().flatten().map(|outbound| outbound.address));
    all.any(|address| {
        let overlaps = address.ip() == Ipv4Addr::LOCALHOST || address.ip().is_unspecified();
        overlaps && port == Some(address.port().into())
    })
}

fn read_inbound(inbound: wire::Inbound, own: &Own, path: &str, found: &mut Violations) -> Option<Inbound> {
    let port = read_port(inbound.port, path, found);
    check_served(&inbound, own, path, found);
    let address = match inbound.address.filter(|text| !text.is_empty()) {
        Some(text) => found.check(&format!("{path}.address"), parse_ip(&text)).map(Host::Ip),
        None => own.own.clone(),
    };
    let tags = inbound.tags.unwrap_or_default();
    let tags_path = format!("{path}.tags");
    tags::check(&tags, &tags_path, found);
    tags::check_protocol_tag(&tags, &tags_path, found);
    // With no tags at all, services are found by labels.
    let service =
        if tags.is_empty() { Some(None) } else { tags::require_service(&tags, &tags_path, found).map(Some) };
    let protocol = inbound.protocol.filter(|protocol| !protocol.is_empty());
    tags::check_protocol(protocol.as_deref(), &format!("{path}.protocol"), found);
    // Kuma's own output leaves `ready: false` out, so `health: {}` is how an unready inbound is written.
    let healthy = inbound.health.is_none_or(|health| health.ready.unwrap_or(false));
    // What took the place of `health` in later versions; those before take anything.
    let state = inbound.state.map(|state| state.of(&["Ready", "NotReady", "Ignored"]));
    let health = match state {
        _ if !healthy => Health::Unhealthy,
        Some(state) if state != Some("Ready") => Health::Excluded,
        _ => Health::Ready,
    };
    let address = own.advertised.clone().or(address)?;
    Some(Inbound {
        address: address.at(port?),
        service: service?,
        name: inbound.name.filter(|name| !name.is_empty()),
        protocol,
        tags: Arc::new(tags),
        health,
    })
}

/// Checks where the application itself listens.
fn check_served(inbound: &wire::Inbound, own: &Own, path: &str, found: &mut Violations) {
    let port = inbound.service_port.filter(|port| *port != 0);
    if port.is_some() {
        read_port_at(port, &format!("{path}.servicePort"), found);
    }
    let Some(address) = inbound.service_address.as_deref().filter(|text| !text.is_empty()) else { return };
    let path = format!("{path}.serviceAddress");
    found.check(&path, parse_ip(address));
    let is_same_port = port.is_none() || port == inbound.port;
    if is_same_port && (address == own.address || inbound.address.as_deref() == Some(address)) {
        found.add(path, "must differ from the address, or servicePort from port");
    }
}

fn read_outbound(outbound: wire::Outbound, path: &str, found: &mut Violations) -> Option<Outbound> {
    let address = match outbound.address.filter(|text| !text.is_empty()) {
        Some(text) => found.check(&format!("{path}.address"), parse_ip(&text)),
        None => Some(Ipv4Addr::LOCALHOST.into()),
    };
    let port = read_port(outbound.port, path, found);
    let mut tags = outbound.tags.unwrap_or_default();
    let tags_path = format!("{path}.tags");
    tags::check(&tags, &tags_path, found);
    let service = match outbound.backend_ref {
        Some(backend) => {
            if !tags.is_empty() {
                found.add(tags_path, "must not be set beside backendRef");
            }
            ServiceRef::read_dialled(*backend, &format!("{path}.backendRef"), found)
        }
        None => tags::require_service(&tags, &tags_path, found).map(ServiceRef::tagged),
    };
    tags.remove(SERVICE_TAG);
    Some(Outbound { address: SocketAddr::new(address?, port?), service: service?, tags })
}
