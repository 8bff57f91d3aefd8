//! MeshService and MeshMultiZoneService (Kuma 2.9 and later): services as resources, with ports of their own.

use std::net::IpAddr;

use super::{
    dataplane::{parse_ip, read_port},
    header::{Header, Key, Meta},
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
    pub meta: Meta,
    /// The Dataplanes that serve it.
    pub selector: DataplaneSelector,
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
    pub meta: Meta,
    /// The MeshServices that it is made of.
    pub services: Members,
    /// What can be dialled; its targets are those of the MeshServices.
    pub ports: Vec<ServicePort>,
    /// Where it can be dialled.
    pub vips: Vec<IpAddr>,
}

/// Which MeshServices a MeshMultiZoneService is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Those that the control plane has found.
    Found(Vec<Member>),
    /// Those with these labels, where no control plane has looked yet.
    Labels(Labels),
}

/// A MeshService as a MeshMultiZoneService names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name it was given where it comes from.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
}

/// Which Dataplanes serve a MeshService: it goes by the first of these that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DataplaneSelector {
    /// None.
    #[default]
    Nothing,
    /// That of this name.
    Name(String),
    /// Those that have an inbound with these tags, with all of their inbounds.
    Tags(Tags),
    /// Those with these labels.
    Labels(Labels),
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
        let selector = spec.selector.map_or_else(DataplaneSelector::default, read_selector);
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let Header { mesh, name, meta, .. } = header?;
        Some(Self { key: (mesh, name), meta, selector, ports: ports?, vips: vips? })
    }
}

impl MeshMultiZoneService {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshMultiZoneService";

    pub(super) fn read(
        header: Option<Header>,
        spec: Option<wire::MeshMultiZoneServiceSpec>,
        mut status: Option<wire::Vips>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let found_members = status.as_mut().and_then(|status| status.mesh_services.take());
        let services = spec.selector.and_then(|selector| selector.mesh_service);
        let services = services.and_then(|services| services.match_labels).unwrap_or_default();
        if services.is_empty() {
            found.add("spec.selector.meshService.matchLabels", "must be set");
        }
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let services = match found_members {
            Some(members) => Members::Found(members.into_iter().filter_map(read_member).collect()),
            None => Members::Labels(services),
        };
        let Header { mesh, name, meta, .. } = header?;
        Some(Self { key: (mesh, name), meta, services, ports: ports?, vips: vips? })
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

fn read_selector(selector: wire::Selector) -> DataplaneSelector {
    let wire::Selector { dataplane_tags, dataplane_ref, dataplane_labels } = selector;
    let name = dataplane_ref.and_then(|dataplane| dataplane.name);
    let labels = dataplane_labels.map(|labels| labels.match_labels.unwrap_or_default());
    let by_name = name.map(DataplaneSelector::Name);
    let by_tags = || dataplane_tags.map(DataplaneSelector::Tags);
    by_name.or_else(by_tags).or_else(|| labels.map(DataplaneSelector::Labels)).unwrap_or_default()
}

fn read_member(member: wire::MatchedService) -> Option<Member> {
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    Some(Member { name: set(member.name)?, namespace: set(member.namespace), zone: set(member.zone) })
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
