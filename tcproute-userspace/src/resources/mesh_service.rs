//! MeshService and MeshMultiZoneService (Kuma 2.9 and later): services as resources, with ports of their own.

use std::net::IpAddr;

use super::{
    address::parse_ip,
    header::{Header, Key, Meta},
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
        if let Some(selector) = &spec.selector {
            let set = [
                selector.dataplane_tags.is_some(),
                selector.dataplane_ref.is_some(),
                selector.dataplane_labels.is_some(),
            ];
            if set.into_iter().filter(|set| *set).count() > 1 {
                let message = "must have only one of dataplaneTags, dataplaneRef and dataplaneLabels";
                found.add("spec.selector", message);
            }
        }
        let state = spec.state.as_deref().unwrap_or_default();
        if !["", "Available", "Unavailable"].contains(&state) {
            found.add("spec.state", "must be Available or Unavailable");
        }
        check_name(header.as_ref(), found);
        let selector = spec.selector.map_or_else(DataplaneSelector::default, read_selector);
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let Header { mesh, name, meta, .. } = header?;
        Some(Self { key: (mesh, name), meta, selector, ports: ports?, vips })
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
        if spec.ports.as_ref().is_none_or(Vec::is_empty) {
            found.add("spec.ports", "must have at least one entry");
        }
        for (i, port) in spec.ports.iter().flatten().enumerate() {
            let path = format!("spec.ports[{i}]");
            if port.name.as_ref().is_some_and(String::is_empty) {
                found.add(format!("{path}.name"), "must not be empty");
            }
            let known = ["grpc", "http", "http2", "kafka", "tcp"];
            if port.app_protocol.as_ref().is_some_and(|name| !known.contains(&name.as_str())) {
                found.add(format!("{path}.appProtocol"), format!("must be one of {}", known.join(", ")));
            }
        }
        let ports = read_ports(spec.ports, found);
        let vips = read_vips(status, found);
        let services = match found_members {
            Some(members) => Members::Found(members.into_iter().filter_map(read_member).collect()),
            None => Members::Labels(services),
        };
        let Header { mesh, name, meta, .. } = header?;
        Some(Self { key: (mesh, name), meta, services, ports: ports?, vips })
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

/// Such a service is given a DNS name of its own.
pub(super) fn check_name(header: Option<&Header>, found: &mut Violations) {
    const MOST: usize = 63;
    if let Some(header) = header.filter(|header| header.meta.display_name.len() > MOST) {
        found.add(header.name_path(), format!("must not be longer than {MOST} characters"));
    }
}

/// The ports that can be dialled: Kuma takes any number, and the same one twice.
fn read_ports(ports: Option<Vec<wire::Port>>, found: &mut Violations) -> Option<Vec<ServicePort>> {
    let mut all: Vec<ServicePort> = Vec::new();
    let mut complete = true;
    for (i, port) in ports.unwrap_or_default().into_iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let number = port.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.port.is_none() {
            found.add(format!("{path}.port"), "must be set");
        } else if number.is_none() {
            found.add_strict(&format!("{path}.port"), "must be a port from 1 to 65535");
        }
        let target = match port.target_port {
            // Nothing, as Kuma has it.
            None | Some(wire::TargetPort::Number(0)) => number.map(TargetPort::Number),
            Some(wire::TargetPort::Number(target)) => Some(match u16::try_from(target) {
                Ok(target) => TargetPort::Number(target),
                Err(_) => {
                    found.add_strict(&format!("{path}.targetPort"), "must be a port from 1 to 65535");
                    // No inbound has this name.
                    TargetPort::Name(target.to_string())
                }
            }),
            Some(wire::TargetPort::Name(name)) => Some(TargetPort::Name(name)),
            Some(wire::TargetPort::Wrong) => {
                found.add(format!("{path}.targetPort"), "must be a port or the name of an inbound");
                complete = false;
                None
            }
        };
        let (Some(number), Some(target)) = (number, target) else { continue };
        if all.iter().any(|other| other.port == number) {
            found.add_strict(&format!("{path}.port"), &format!("the port {number} is there twice"));
            continue;
        }
        let protocol = port.app_protocol.filter(|protocol| !protocol.is_empty());
        let protocol = protocol.unwrap_or_else(|| "tcp".to_owned());
        let name = port.name.filter(|name| !name.is_empty());
        all.push(ServicePort { port: number, name, target, protocol });
    }
    complete.then_some(all)
}

fn read_vips(status: Option<wire::Vips>, found: &mut Violations) -> Vec<IpAddr> {
    let vips = status.and_then(|status| status.vips).unwrap_or_default().into_iter().enumerate();
    vips.filter_map(|(i, vip)| read_vip(&vip.ip?, &format!("status.vips[{i}].ip"), found)).collect()
}

/// The control plane writes these: one that is none cannot be dialled, and that is all.
pub(super) fn read_vip(ip: &str, path: &str, found: &mut Violations) -> Option<IpAddr> {
    if ip.is_empty() {
        return None;
    }
    parse_ip(ip).map_err(|error| found.add_strict(path, &error)).ok()
}
