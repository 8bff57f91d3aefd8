//! TCP003: a route whose targetRef means no Dataplane.
//!
//! Those that dial need not be among the files. So this is judged only where some Dataplane of the mesh dials.

use super::{Code, Found, Input, Scope, names};
use crate::resources::ProxyType;

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    for route in input.tcp_routes() {
        let header = &route.header;
        let mesh = input.known.mesh(&header.mesh);
        let is_judged = match input.scope {
            Scope::Whole => mesh.has_dataplanes,
            Scope::Part => mesh.has_clients,
            Scope::Torn => false,
        };
        // One that is tried out is in force for nobody, and gateways come and go by themselves.
        let is_in_force = !header.shadow && header.proxies != Some(ProxyType::Gateway);
        if is_judged
            && is_in_force
            && !input.known.selects_any(header, &route.selector)
            && names::misspelt_selector(mesh, &route.selector).is_none()
        {
            let message = format!("no Dataplane of mesh {} is selected by {}", header.mesh, route.selector);
            found.add_route(Code::SelectsNobody, route, "spec.targetRef".to_owned(), message);
        }
    }
}
