//! ExternalService (<https://kuma.io/docs/2.4.x/policies/external-services/>): an endpoint outside the mesh.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    guard::Provenance,
    header::{Header, Key},
    names::{MeshName, ResourceName, ServiceName, Tags},
    tags,
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
    pub address: ExternalAddress,
    /// Whether the proxy originates TLS to it.
    pub tls: bool,
    /// Who may have written it.
    pub provenance: Provenance,
}

/// Where an ExternalService is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A DNS name and a port.
    Host(String, u16),
}

impl fmt::Display for ExternalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(socket) => socket.fmt(f),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
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
        let tags_path = format!("{prefix}tags");
        tags::check(&tags, &tags_path, found);
        tags::check_protocol_tag(&tags, &tags_path, found);
        let service = tags::require_service(&tags, &tags_path, found);
        let path = format!("{prefix}networking");
        let (address, tls) =
            networking.map_or((None, None), |networking| (networking.address, networking.tls));
        let address = address.filter(|text| !text.is_empty()).ok_or("must be set".to_owned());
        let address = found.check(&format!("{path}.address"), address.and_then(|address| parse(&address)));
        if tls.as_ref().and_then(|tls| tls.server_name.as_ref()).is_some_and(String::is_empty) {
            found.add(format!("{path}.tls.serverName"), "must not be empty");
        }
        let tls = tls.and_then(|tls| tls.enabled).unwrap_or(false);
        let Header { mesh, name, meta, .. } = header?;
        let provenance = meta.provenance;
        Some(Self { mesh, name, service: service?, tags: Arc::new(tags), address: address?, tls, provenance })
    }
}

impl ExternalAddress {
    /// Its port.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Socket(socket) => socket.port(),
            Self::Host(_, port) => *port,
        }
    }
}

fn parse(text: &str) -> Result<ExternalAddress, String> {
    let wrong = || format!("{text:?} is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    // A sign would be taken.
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|&port| is_number && port > 0).ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare.unwrap_or(host).parse::<IpAddr>() {
        // Without its brackets the last group of an IPv6 address might be taken for the port.
        Ok(IpAddr::V6(_)) if bare.is_none() => Err(wrong()),
        Ok(ip) => Ok(ExternalAddress::Socket(SocketAddr::new(ip.to_canonical(), port))),
        Err(_) => {
            let host = bare.unwrap_or(host);
            let host = is_host_name(host).then(|| host.to_ascii_lowercase());
            host.map(|host| ExternalAddress::Host(host, port)).ok_or_else(wrong)
        }
    }
}

/// Whether it can be a DNS name, as Kuma takes them.
pub(super) fn is_host_name(text: &str) -> bool {
    // One dot at the end is the root; Kuma takes an underscore there as well.
    let text = text.strip_suffix(['.', '_']).unwrap_or(text);
    let is_label = |label: &str| {
        let is_of_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && !label.starts_with('-') && label.chars().all(is_of_label)
    };
    text.len() <= 255 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_or_name_with_a_port() {
        let socket = |text: &str| Ok(ExternalAddress::Socket(text.parse().unwrap()));
        assert_eq!(parse("10.0.0.1:80"), socket("10.0.0.1:80"));
        assert_eq!(parse("[2001:db8::1]:80"), socket("[2001:db8::1]:80"));
        assert_eq!(parse("[::ffff:10.0.0.1]:80"), socket("10.0.0.1:80"));
        assert_eq!(parse("[10.0.0.1]:80"), socket("10.0.0.1:80"));
        assert_eq!(parse("db.:80"), Ok(ExternalAddress::Host("db.".into(), 80)));
        assert_eq!(parse("Db.example.com:5432"), Ok(ExternalAddress::Host("db.example.com".into(), 5432)));
        for wrong in [
            "db.example.com",
            ":80",
            "db:0",
            "db:65536",
            "http://db:80",
            "a b:80",
            "fd00::1:80",
            "*.db:80",
            "db:+80",
            "",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
