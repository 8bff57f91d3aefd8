//! MeshExternalService (Kuma 2.8 and later): endpoints outside the mesh, as a service of their own.

use std::net::{IpAddr, SocketAddr};

use super::{
    dataplane::{parse_ip, read_port},
    external_service::{EndpointAddress, is_host_name},
    header::{Header, Key, Meta},
    violation::Violations,
    wire,
};

/// Endpoints outside the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshExternalService {
    /// Its mesh and name.
    pub key: Key,
    /// Its labels, by which it can be referred to.
    pub meta: Meta,
    /// What is dialled.
    pub port: u16,
    /// `http`, `tcp`, ….
    pub protocol: String,
    /// Where it is.
    pub endpoints: Vec<EndpointAddress>,
    /// Whether the proxy originates TLS to it.
    pub tls: bool,
    /// Where it can be dialled.
    pub vip: Option<IpAddr>,
}

impl MeshExternalService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshExternalService";

    pub(super) fn read(
        header: Option<Header>,
        spec: Option<wire::MeshExternalServiceSpec>,
        status: Option<wire::MeshExternalServiceStatus>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let (port, protocol) = spec.r#match.map_or((None, None), |rule| (rule.port, rule.protocol));
        let port = read_port(port, "spec.match", found);
        let endpoints = spec.endpoints.unwrap_or_default().into_iter().enumerate();
        let endpoints: Vec<Option<EndpointAddress>> = endpoints
            .map(|(i, endpoint)| read_endpoint(endpoint, port, &format!("spec.endpoints[{i}]"), found))
            .collect();
        let vip = status.and_then(|status| status.vip).and_then(|vip| vip.ip);
        let vip = vip.filter(|ip| !ip.is_empty()).map(|ip| found.check("status.vip.ip", parse_ip(&ip)));
        let Header { mesh, name, meta, .. } = header?;
        Some(Self {
            key: (mesh, name),
            meta,
            port: port?,
            protocol: protocol.unwrap_or_else(|| "tcp".to_owned()),
            endpoints: endpoints.into_iter().collect::<Option<_>>()?,
            tls: spec.tls.and_then(|tls| tls.enabled).unwrap_or(false),
            vip: vip.map_or(Some(None), |vip| vip.map(Some))?,
        })
    }
}

/// An endpoint without a port has the one that is dialled.
fn read_endpoint(
    endpoint: wire::ExternalEndpoint,
    dialled: Option<u16>,
    path: &str,
    found: &mut Violations,
) -> Option<EndpointAddress> {
    let port = match endpoint.port {
        Some(port) => read_port(Some(port), path, found),
        None => dialled,
    };
    let path = format!("{path}.address");
    let address = found.check(&path, endpoint.address.ok_or("must be set"))?;
    let wrong = || format!("{address:?} is not an IP address or a host name");
    if let Ok(ip) = parse_ip(&address) {
        return Some(EndpointAddress::Socket(SocketAddr::new(ip, port?)));
    }
    let host = is_host_name(&address).then(|| address.to_ascii_lowercase());
    let host = found.check(&path, host.ok_or_else(wrong))?;
    Some(EndpointAddress::Host(host, port?))
}
