//! MeshService and MeshMultiZoneService (Kuma 2.9 and later): services as resources, with ports of their own.

use std::net::IpAddr;

use super::{
    dataplane::{parse_ip, read_port},
    header::{Header, Key},
    mesh_external_service::MeshExternalService,
    names::{Labels, Tags},
    violation::Violations,
    wire,
};

/// A service that is served by inbounds of Dataplanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshService {
    /// Its mesh and name.
    pub key: Key,
    /// Its labels, by which it can be referred to.
    pub labels: Labels,
    /// The Dataplanes that serve it.
    pub selector: InboundSelector,
    /// What can be dialled.
    pub ports: Vec<ServicePort>,
    /// Where it can be dialled.
    pub vips: Vec<IpAddr>,
}

/// The MeshServices of several zones as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshMultiZoneService {
    /// Its mesh and name.
    pub key: Key,
    /// Its labels, by which it can be referred to.
    pub labels: Labels,
    /// The labels that the MeshServices have.
    pub services: Labels,
    /// What can be dialled; its targets are those of the MeshServices.
    pub ports: Vec<ServicePort>,
    /// Where it can be dialled.
    pub vips: Vec<IpAddr>,
}

/// Inbounds: those that fit all that is set, and none if nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboundSelector {
    /// Tags of the inbound.
    pub tags: Tags,
    /// Labels of the Dataplane.
    pub labels: Labels,
    /// The name of the Dataplane.
    pub name: Option<String>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// What is dialled.
    pub port: u16,
    /// Its name.
    pub name: Option<String>,
    /// The inbounds behind it.
    pub target: TargetPort,
    /// `http`, `tcp`, ….
    pub protocol: String,
}

/// Which inbounds of the selected Dataplanes are behind a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// Those with this port.
    Number(u16),
    /// Those with this name.
    Name(String),
}

impl MeshService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshService";

    pub(super) fn read(
        header: Option<Header>,
        spec: Option<wire::MeshServiceSpec>,
        status: Option<wire::Vips>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let selector = spec.selector.map_or_else(InboundSelector::default, |selector| InboundSelector {
            tags: selector.dataplane_tags.unwrap_or_default(),
            labels: selector.dataplane_labels.and_then(|labels| labels.match_labels).unwrap_or_default(),
            name: selector.dataplane_ref.and_then(|dataplane| dataplane.name),
        });
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let Header { mesh, name, labels, .. } = header?;
        Some(Self { key: (mesh, name), labels, selector, ports: ports?, vips: vips? })
    }
}

impl MeshMultiZoneService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshMultiZoneService";

    pub(super) fn read(
        header: Option<Header>,
        spec: Option<wire::MeshMultiZoneServiceSpec>,
        status: Option<wire::Vips>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let services = spec.selector.and_then(|selector| selector.mesh_service);
        let services = services.and_then(|services| services.match_labels).unwrap_or_default();
        if services.is_empty() {
            found.add("spec.selector.meshService.matchLabels", "must be set");
        }
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let Header { mesh, name, labels, .. } = header?;
        Some(Self { key: (mesh, name), labels, services, ports: ports?, vips: vips? })
    }
}

impl ServicePort {
    /// The one port of a MeshExternalService.
    pub(crate) fn external(service: &MeshExternalService) -> Self {
        Self {
            port: service.port,
            name: None,
            target: TargetPort::Number(service.port),
            protocol: service.protocol.clone(),
        }
    }
}

fn read_ports(ports: Option<Vec<wire::Port>>, found: &mut Violations) -> Option<Vec<ServicePort>> {
    let mut all = Vec::new();
    let mut complete = true;
    for (i, port) in ports.unwrap_or_default().into_iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let number = read_port(port.port, &path, found);
        let target = match port.target_port {
            None => number.map(TargetPort::Number),
            Some(wire::TargetPort::Number(number)) => Some(TargetPort::Number(number)),
            Some(wire::TargetPort::Name(name)) => Some(TargetPort::Name(name)),
            Some(wire::TargetPort::Wrong) => {
                found.add(format!("{path}.targetPort"), "must be a port or the name of an inbound");
                None
            }
        };
        let (Some(number), Some(target)) = (number, target) else {
            complete = false;
            continue;
        };
        if all.iter().any(|other: &ServicePort| other.port == number) {
            found.add(format!("{path}.port"), format!("the port {number} is there twice"));
        }
        let protocol = port.app_protocol.unwrap_or_else(|| "tcp".to_owned());
        all.push(ServicePort { port: number, name: port.name, target, protocol });
    }
    complete.then_some(all)
}

fn read_vips(status: Option<wire::Vips>, found: &mut Violations) -> Option<Vec<IpAddr>> {
    let vips = status.and_then(|status| status.vips).unwrap_or_default().into_iter().enumerate();
    let vips = vips.filter_map(|(i, vip)| Some((i, vip.ip?)));
    let vips: Vec<Option<IpAddr>> =
        vips.map(|(i, ip)| found.check(&format!("status.vips[{i}].ip"), parse_ip(&ip))).collect();
    vips.into_iter().collect()
}
