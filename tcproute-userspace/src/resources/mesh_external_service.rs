//! MeshExternalService (Kuma 2.8 and later): endpoints outside the mesh, as a service of their own.

use std::net::{IpAddr, SocketAddr};

use super::{
    address::{parse_ip, read_port},
    external_service::{ExternalAddress, is_host_name},
    header::{Header, Key, Meta},
    mesh_service::{ServicePort, TargetPort, check_name, read_vip},
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
    pub endpoints: Vec<ExternalAddress>,
    /// Whether the proxy originates TLS to it.
    pub tls: bool,
    /// Where it can be dialled.
    pub vip: Option<IpAddr>,
}

impl MeshExternalService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshExternalService";

    /// The one port that it has.
    pub(crate) fn service_port(&self) -> ServicePort {
        ServicePort {
            port: self.port,
            name: None,
            target: TargetPort::Number(self.port),
            protocol: self.protocol.clone(),
        }
    }

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
        check_name(header.as_ref(), found);
        let (port, protocol) = match spec.r#match {
            Some(rule) => read_match(rule, found),
            None => {
                found.add("spec.match", "must be set");
                (None, None)
            }
        };
        if let Some(extension) = &spec.extension
            && extension.r#type.as_ref().is_none_or(String::is_empty)
        {
            found.add("spec.extension.type", "must be set");
        }
        // What an extension makes of endpoints is its own affair; the proxy has to do with them in any case.
        let endpoints = if spec.extension.is_some() { None } else { spec.endpoints };
        let endpoints = endpoints.unwrap_or_default().into_iter().enumerate();
        let endpoints: Vec<Option<ExternalAddress>> = endpoints
            .map(|(i, endpoint)| read_endpoint(endpoint, &format!("spec.endpoints[{i}]"), found))
            .collect();
        let vip = status.and_then(|status| status.vip).and_then(|vip| vip.ip);
        let vip = vip.and_then(|ip| read_vip(&ip, "status.vip.ip", found));
        let Header { mesh, name, meta, .. } = header?;
        Some(Self {
            key: (mesh, name),
            meta,
            port: port?,
            protocol: protocol.unwrap_or_else(|| "tcp".to_owned()),
            endpoints: endpoints.into_iter().collect::<Option<_>>()?,
            tls: spec.tls.and_then(|tls| tls.enabled).unwrap_or(false),
            vip,
        })
    }
}

/// The port that is dialled, and the protocol.
fn read_match(rule: wire::Match, found: &mut Violations) -> (Option<u16>, Option<String>) {
    let protocol = rule.protocol.filter(|protocol| !protocol.is_empty());
    if protocol.as_ref().is_some_and(|name| !["tcp", "grpc", "http", "http2"].contains(&name.as_str())) {
        found.add("spec.match.protocol", "must be tcp, grpc, http or http2");
    }
    if rule.r#type.is_some_and(|name| name != "HostnameGenerator") {
        found.add("spec.match.type", "must be HostnameGenerator");
    }
    (read_port(rule.port, "spec.match", found), protocol)
}

fn read_endpoint(
    endpoint: wire::ExternalEndpoint,
    path: &str,
    found: &mut Violations,
) -> Option<ExternalAddress> {
    let port = read_port(endpoint.port, path, found);
    let path = format!("{path}.address");
    let address = found.check(&path, endpoint.address.ok_or("must be set"))?;
    let wrong = || format!("{address:?} is not an IP address or a host name");
    if let Ok(ip) = parse_ip(&address) {
        return Some(ExternalAddress::Socket(SocketAddr::new(ip, port?)));
    }
    let host = is_host_name(&address).then(|| address.to_ascii_lowercase());
    let host = found.check(&path, host.ok_or_else(wrong))?;
    Some(ExternalAddress::Host(host, port?))
}
