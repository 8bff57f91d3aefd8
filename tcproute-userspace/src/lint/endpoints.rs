//! TCP002: a backendRef that no endpoint matches, so that its share is refused, or goes to the others.
//!
//! Files may be of one team, or have no Dataplanes at all. So a service without endpoints is told only where another
//! one that the routes of the mesh lead to has some: then the servers are among the files.

use std::collections::BTreeSet;

use super::{
    Code, Found, Input, Scope,
    known::{Mesh, Service, by_tag, inbound},
    names, refs,
};
use crate::resources::{
    BackendRef, MeshName, MeshTcpRoute, Pairs, ServiceBy, ServiceKind, Tags, To, nearest,
};

/// So many endpoints are looked at to tell what else there is.
const LOOKED_AT: usize = 100;
/// So many values are told.
const TOLD: usize = 5;

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    if input.scope == Scope::Torn {
        return;
    }
    let served = meshes_with_servers(input);
    for route in input.tcp_routes() {
        let mesh = &route.header.mesh;
        for (to, one, field) in refs(route).filter(|(_, one, _)| one.weight.get() > 0) {
            if let Some(message) = lacking(input, &served, route, (to, one)) {
                found.add_route(
                    Code::NoEndpoint,
                    route,
                    field,
                    format!("{message}{}", hint(input, mesh, one)),
                );
            }
        }
    }
}

/// The meshes in which a route leads to a service that has endpoints here, or of which all is here.
fn meshes_with_servers<'a>(input: &Input<'a>) -> BTreeSet<&'a MeshName> {
    let is_served = |route: &MeshTcpRoute| {
        let mesh = input.known.mesh(&route.header.mesh);
        let has = |name: &str| mesh.services.get(name).is_some_and(Service::has_endpoints);
        (input.scope == Scope::Whole && mesh.has_dataplanes)
            || refs(route).any(|(_, one, _)| by_tag(&one.target).is_some_and(|(name, _)| has(name)))
    };
    input.tcp_routes().filter(|route| is_served(route)).map(|route| &route.header.mesh).collect()
}

/// What a backendRef lacks, if anything.
fn lacking<'a>(
    input: &Input<'a>,
    served: &BTreeSet<&MeshName>,
    route: &'a MeshTcpRoute,
    (to, one): (&'a To, &BackendRef),
) -> Option<String> {
    let mesh = &route.header.mesh;
    let known = input.known.mesh(mesh);
    let Some((name, subset)) = by_tag(&one.target) else { return lacks_resource(known, one, input.scope) };
    let has_some = known.services.get(name).is_some_and(Service::has_endpoints);
    if input.known.has_endpoint(mesh, name, subset)
        || known.has_resource(ServiceKind::MeshService, name)
        || !has_some && !served.contains(mesh)
        || names::meant(known, name, Some(to)).is_some()
    {
        return None;
    }
    let with = subset.filter(|tags| has_some && !tags.is_empty());
    let with = with.map(|tags| format!(" with {}", Pairs(tags))).unwrap_or_default();
    Some(format!("{name} has no endpoint{with}: its share is refused"))
}

/// Where there are resources of a kind, those that are named have to be among them.
fn lacks_resource(known: &Mesh<'_>, one: &BackendRef, scope: Scope) -> Option<String> {
    let service = &one.target.service;
    let ServiceBy::Name(name, _) = &service.by else { return None };
    let is_judged = known.has_resources(service.kind) || scope == Scope::Whole && known.has_dataplanes;
    let lacks = is_judged && !known.has_resource(service.kind, name.as_str());
    lacks.then(|| format!("there is no {} {name}", service.kind.name()))
}

/// What the endpoints of the service have instead of the tags that none has.
fn hint(input: &Input<'_>, mesh: &MeshName, one: &BackendRef) -> String {
    let Some((name, Some(subset))) = by_tag(&one.target) else { return String::new() };
    let Some(service) = input.known.mesh(mesh).services.get(name) else { return String::new() };
    let tags: Vec<&Tags> = service.inbounds.iter().take(LOOKED_AT).map(|at| &*inbound(at).tags).collect();
    for (key, value) in subset {
        let values: BTreeSet<&str> = tags.iter().filter_map(|tags| tags.get(key)).collect();
        if values.is_empty() && !tags.is_empty() {
            let keys: BTreeSet<&str> = tags.iter().flat_map(|tags| tags.iter().map(|(key, _)| key)).collect();
            let near = nearest(key, keys);
            let near = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
            return format!("; its endpoints have no tag {key}{near}");
        }
        if !values.contains(value) && !values.is_empty() {
            let more = if values.len() > TOLD { ", …" } else { "" };
            let values: Vec<&str> = values.into_iter().take(TOLD).collect();
            return format!("; {key} is {}{more}", values.join(", "));
        }
    }
    String::new()
}
