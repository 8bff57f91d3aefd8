//! TCP009: a name that differs by a letter from one that is there, while itself it is not.

use std::collections::HashSet;

use super::{
    Code, Found, Input, Scope,
    known::{Mesh, Service, by_tag, labels},
    misspelt::is_slip,
    refs,
};
use crate::resources::{Dataplane, MeshTcpRoute, Selector, ServiceKind, ServiceName, To};

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    // What is refused may have the name.
    if input.scope == Scope::Torn {
        return;
    }
    for route in input.tcp_routes() {
        let known = input.known.mesh(&route.header.mesh);
        if let Some((name, meant)) = misspelt_selector(known, &route.selector) {
            let message =
                format!("{name} is no service of any Dataplane, and differs by a letter from {meant}");
            found.add_route(Code::Misspelt, route, "spec.targetRef.name".to_owned(), message);
        }
        for (i, to) in route.to.iter().enumerate() {
            let name = to.service.tag().map(ServiceName::as_str);
            let absent = name.filter(|name| !known.services.contains_key(name));
            if let Some((name, meant)) = absent.and_then(|name| Some((name, meant(known, name, None)?))) {
                let message =
                    format!("nobody serves or dials {name}, which differs by a letter from {meant}");
                found.add_route(Code::Misspelt, route, format!("spec.to[{i}].targetRef.name"), message);
            }
        }
        for (to, one, field) in refs(route) {
            let name = by_tag(&one.target).map(|(name, _)| name);
            if let Some((name, meant)) = name.and_then(|name| Some((name, meant(known, name, Some(to))?))) {
                let message = format!("{name} has no endpoint, and differs by a letter from {meant}");
                found.add_route(Code::Misspelt, route, format!("{field}.name"), message);
            }
        }
    }
    outbounds(input, found);
}

/// A targetRef by the name of a service that no Dataplane has.
pub(super) fn misspelt_selector<'a>(known: &Mesh<'a>, selector: &'a Selector) -> Option<(&'a str, &'a str)> {
    let (Selector::MeshService(name) | Selector::MeshServiceSubset(name, _)) = selector else { return None };
    let name = name.as_str();
    (!known.has_clients_of(name)).then(|| known.meant_clients(name))?.map(|meant| (name, meant))
}

/// The service that was meant by the name of one without endpoints: one that has some or, where nothing is known of
/// either, the one that is dialled.
pub(super) fn meant<'a>(known: &Mesh<'a>, name: &str, to: Option<&'a To>) -> Option<&'a str> {
    if known.services.get(name).is_some_and(Service::has_endpoints)
        || known.has_resource(ServiceKind::MeshService, name)
    {
        return None;
    }
    let dialled = || to?.service.tag().map(ServiceName::as_str).filter(|dialled| is_slip(name, dialled));
    known.meant_service(name).or_else(dialled)
}

/// An outbound to what nobody serves, and no route leads elsewhere.
fn outbounds(input: &Input<'_>, found: &mut Found) {
    let named = |route: &MeshTcpRoute| {
        let mesh = route.header.mesh.clone();
        let names = route.to.iter().filter_map(|to| to.service.tag().cloned());
        names.map(move |name| (mesh.clone(), name)).collect::<Vec<_>>()
    };
    let led: HashSet<_> = input.tcp_routes().flat_map(|route| named(route)).collect();
    for dataplane in input.resources.dataplanes.values() {
        let known = input.known.mesh(&dataplane.mesh);
        for (i, outbound) in dataplane.outbounds.iter().enumerate() {
            let Some(name) = outbound.service.tag() else { continue };
            let is_led = || led.contains(&(dataplane.mesh.clone(), name.clone()));
            if let Some(meant) = meant(known, name.as_str(), None).filter(|_| !is_led()) {
                let field = format!("networking.outbound[{i}].tags");
                let message = format!("nobody serves {name}, which differs by a letter from {meant}");
                found.add(
                    Code::Misspelt,
                    (Dataplane::KIND, &dataplane.key()),
                    labels(dataplane),
                    field,
                    message,
                );
            }
        }
    }
}
