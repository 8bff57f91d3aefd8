//! ExternalService (<https://kuma.io/docs/2.4.x/policies/external-services/>): an endpoint outside the mesh.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{
    dataplane::read_service,
    header::{Header, Key},
    names::{MeshName, ResourceName, ServiceName, Tags},
    violation::Violations,
    wire,
};

/// An endpoint outside the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalService {
    /// The mesh it is known in.
    pub mesh: MeshName,
    /// Its name.
    pub name: ResourceName,
    /// The service it belongs to.
    pub service: ServiceName,
    /// All tags, the service's among them.
    pub tags: Arc<Tags>,
    /// Where it is.
    pub address: EndpointAddress,
    /// Whether the proxy originates TLS to it.
    pub tls: bool,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A DNS name and a port.
    Host(String, u16),
}

impl EndpointAddress {
    /// Its port.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Socket(socket) => socket.port(),
            Self::Host(_, port) => *port,
        }
    }

    /// The same host at another port.
    pub(super) fn with_port(self, port: u16) -> Self {
        match self {
            Self::Socket(socket) => Self::Socket(SocketAddr::new(socket.ip(), port)),
            Self::Host(host, _) => Self::Host(host, port),
        }
    }
}

impl ExternalService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "ExternalService";

    /// Mesh and name.
    pub fn key(&self) -> Key {
        (self.mesh.clone(), self.name.clone())
    }

    pub(crate) fn read(
        header: Option<Header>,
        tags: Option<Tags>,
        networking: Option<wire::ExternalNetworking>,
        prefix: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let tags = tags.unwrap_or_default();
        let service = read_service(&tags, &format!("{prefix}tags"), found);
        let tls = networking.as_ref().and_then(|n| n.tls.as_ref()).and_then(|tls| tls.enabled);
        let path = format!("{prefix}networking.address");
        let address = networking.and_then(|networking| networking.address).ok_or("must be set".to_owned());
        let address = found.check(&path, address.and_then(|address| parse(&address)));
        let Header { mesh, name, .. } = header?;
        let tags = Arc::new(tags);
        Some(Self { mesh, name, service: service?, tags, address: address?, tls: tls.unwrap_or(false) })
    }
}

fn parse(text: &str) -> Result<EndpointAddress, String> {
    let wrong = || format!("{text:?} is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?;
    // An IPv6 address needs its brackets: without them its last group might be taken for the port.
    let ip = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => Some(bare.parse::<Ipv6Addr>().map_err(|_| wrong())?.into()),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    if let Some(ip) = ip {
        return Ok(EndpointAddress::Socket(SocketAddr::new(ip.to_canonical(), port)));
    }
    if !is_host_name(host) {
        return Err(wrong());
    }
    Ok(EndpointAddress::Host(host.to_ascii_lowercase(), port))
}

/// Whether it can be a DNS name.
pub(super) fn is_host_name(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.chars().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_or_name_with_a_port() {
        let socket = |text: &str| Ok(EndpointAddress::Socket(text.parse().unwrap()));
        assert_eq!(parse("10.0.0.1:80"), socket("10.0.0.1:80"));
        assert_eq!(parse("[2001:db8::1]:80"), socket("[2001:db8::1]:80"));
        assert_eq!(parse("[::ffff:10.0.0.1]:80"), socket("10.0.0.1:80"));
        assert_eq!(parse("Db.example.com:5432"), Ok(EndpointAddress::Host("db.example.com".into(), 5432)));
        for wrong in ["db.example.com", ":80", "db:0", "db:65536", "http://db:80", "a b:80", "fd00::1:80", ""]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
