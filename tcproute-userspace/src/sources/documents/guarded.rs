//! Addresses in a resource that do not count, each with its place.

use std::net::IpAddr;

use super::{node::Node, notes::Note, path::Places};
use crate::resources::{Dataplane, ExternalAddress, Form, Guard, Provenance, Resource};

/// What an address is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Endpoint,
    Dialled,
    Vip,
}

/// An address, and the fields that it may come from: the first that is written.
struct Written {
    role: Role,
    ip: IpAddr,
    fields: Vec<String>,
}

/// Notes each address that the guard leaves out.
pub(super) fn remarks(guard: &Guard, resource: &Resource, form: Form, node: Node<'_>) -> Vec<Note> {
    let (from, addresses) = addresses(resource, form, node);
    let mut remarks: Vec<Note> = Vec::new();
    let mut places = Places::new(node);
    for Written { role, ip, fields } in addresses {
        let judged = match role {
            Role::Endpoint | Role::Dialled => guard.judge(ip, from),
            Role::Vip => guard.judge_vip(ip, from),
        };
        let Err(why) = judged else { continue };
        let place = fields.into_iter().find_map(|field| Some((places.value(&field)?, field)));
        let Some((value, path)) = place else { continue };
        let then = if role == Role::Endpoint { "no connection goes there" } else { "it is not dialled" };
        let message = format!("{ip} {why}: {then}");
        // Several inbounds may have the address of their Dataplane.
        if !remarks.iter().any(|other| other.path == path) {
            remarks.push(Note { at: value.at(), path, message, suggestion: None });
        }
    }
    remarks
}

fn addresses(resource: &Resource, form: Form, node: Node<'_>) -> (Provenance, Vec<Written>) {
    let spec = match form {
        Form::Universal => "",
        Form::Kubernetes => "spec.",
    };
    match resource {
        Resource::Dataplane(dataplane) => (dataplane.meta.provenance, of_dataplane(dataplane, spec)),
        Resource::ExternalService(service) => {
            let ip = match service.address {
                ExternalAddress::Socket(socket) => Some(socket.ip()),
                ExternalAddress::Host(..) => None,
            };
            let fields = vec![format!("{spec}networking.address")];
            let address = ip.map(|ip| Written { role: Role::Endpoint, ip, fields });
            (service.provenance, address.into_iter().collect())
        }
        Resource::MeshService(service) => (service.meta.provenance, vips(node)),
        Resource::MeshMultiZoneService(service) => (service.meta.provenance, vips(node)),
        Resource::MeshExternalService(service) => {
            let fields = || vec!["status.vip.ip".to_owned()];
            let vip = service.vip.map(|ip| Written { role: Role::Vip, ip, fields: fields() });
            (service.meta.provenance, vip.into_iter().collect())
        }
        Resource::ClusterService(service) => {
            let fields = || vec!["spec.clusterIP".to_owned(), "spec.clusterIPs".to_owned()];
            let dialled = |&ip| Written { role: Role::Dialled, ip, fields: fields() };
            (service.provenance, service.addresses.iter().map(dialled).collect())
        }
        // No address is in these.
        Resource::Mesh(_)
        | Resource::TcpRoute(_)
        | Resource::HttpRoute(_)
        | Resource::MeshIdentity(_)
        | Resource::MeshTls(_)
        | Resource::TrafficRoute(_)
        | Resource::OtherPolicy(_) => (Provenance::Node, Vec::new()),
    }
}

fn of_dataplane(dataplane: &Dataplane, spec: &str) -> Vec<Written> {
    let networking = format!("{spec}networking");
    let inbounds = dataplane.inbounds.iter().enumerate().filter_map(|(i, inbound)| {
        let fields = ["advertisedAddress", &format!("inbound[{i}].address"), "address"];
        let fields = fields.map(|field| format!("{networking}.{field}")).to_vec();
        Some(Written { role: Role::Endpoint, ip: inbound.socket()?.ip(), fields })
    });
    let outbounds = dataplane.outbounds.iter().enumerate().map(|(i, outbound)| {
        let fields = ["address", "port"].map(|field| format!("{networking}.outbound[{i}].{field}")).to_vec();
        Written { role: Role::Dialled, ip: outbound.address.ip(), fields }
    });
    inbounds.chain(outbounds).collect()
}

fn vips(node: Node<'_>) -> Vec<Written> {
    let field = |i: usize| format!("status.vips[{i}].ip");
    let mut places = Places::new(node);
    let written = (0..).map(field).map_while(|field| Some((places.value(&field)?, field)));
    let vip = |(value, field): (Node<'_>, String)| {
        let ip = value.text()?.parse().ok()?;
        Some(Written { role: Role::Vip, ip, fields: vec![field] })
    };
    written.filter_map(vip).collect()
}
