//! TCP005: an entry of a route for an HTTP service that a MeshHTTPRoute covers for all the same proxies: their
//! connections are left to the proxy, and the entry does nothing.

use rustc_hash::FxHashMap;

use super::{
    Code, Found, Input,
    known::{Service, inbound},
    protocols,
};
use crate::{
    resources::{MeshHttpRoute, MeshName, MeshTcpRoute, Origin, Role, Selector, ServiceName, ServiceRef},
    routing,
};

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    let mut http: FxHashMap<(&MeshName, &ServiceRef, &Selector), Vec<&MeshHttpRoute>> = FxHashMap::default();
    for route in input.resources.http_routes.values().filter(|route| !route.header.shadow) {
        for to in &route.to {
            http.entry((&route.header.mesh, &to.service, &route.selector)).or_default().push(route);
        }
    }
    if http.is_empty() {
        return;
    }
    for route in input.tcp_routes().filter(|route| !route.header.shadow) {
        let mesh = &route.header.mesh;
        for (i, to) in route.to.iter().enumerate() {
            let name = to.service.tag().map(ServiceName::as_str);
            let service = name.and_then(|name| input.known.mesh(mesh).services.get(name));
            let Some(protocol) = service.and_then(http_protocol) else { continue };
            let covering = [&Selector::Mesh, &route.selector].into_iter().find_map(|selector| {
                let same = http.get(&(mesh, &to.service, selector))?;
                same.iter().find(|http| covers(input, http, route))
            });
            if let Some(covering) = covering {
                let message = format!(
                    "{} is of {protocol}, and MeshHTTPRoute {} covers it: its connections are left to the proxy",
                    to.service, covering.header.name
                );
                found.add_route(Code::HttpCovered, route, format!("spec.to[{i}]"), message);
            }
        }
    }
}

/// The protocol of a service, if its proxies route requests.
fn http_protocol<'a>(service: &Service<'a>) -> Option<&'a str> {
    let inbounds = service.inbounds.iter().map(|at| protocols::of_inbound(inbound(at)));
    let external = service.external.iter().map(|service| protocols::of_tags(&service.tags));
    routing::common(inbounds.chain(external)).filter(|protocol| routing::is_http(Some(protocol)))
}

/// Whether it reaches all that the other does, where their targetRefs do.
fn covers(input: &Input<'_>, http: &MeshHttpRoute, route: &MeshTcpRoute) -> bool {
    let (http, own) = (&http.header, &route.header);
    if !input.known.compat().is_later() {
        return true;
    }
    let is_everywhere = http.origin == Origin::Global || http.meta.zone() == own.meta.zone();
    let is_everybodys = matches!(http.role, Role::System | Role::Producer)
        || http.role == own.role && http.meta.namespace() == own.meta.namespace();
    is_everywhere && is_everybodys && (http.proxies.is_none() || http.proxies == own.proxies)
}
