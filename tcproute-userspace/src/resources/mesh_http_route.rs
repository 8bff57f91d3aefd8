//! MeshHTTPRoute, as far as it matters here: which proxies and destinations it covers, and where its requests go.

use super::{
    header::{Header, PolicyHeader},
    mesh_tcp_route::{BackendRef, read_backend_ref},
    target_ref::{Selector, ServiceRef},
    violation::Violations,
    wire,
};

/// Destinations for which some proxies route HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshHttpRoute {
    /// Mesh and name.
    pub header: PolicyHeader,
    /// The proxies it is for.
    pub selector: Selector,
    /// The destinations it covers.
    pub to: Vec<HttpTo>,
}

/// What a MeshHTTPRoute says about one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTo {
    /// The destination.
    pub service: ServiceRef,
    /// Where requests go.
    pub rules: Vec<HttpRule>,
}

/// Where some requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Which requests. Of no interest but for whether two rules are about the same ones.
    pub matches: serde_json::Value,
    /// Where they go: to the destination itself if nothing is said.
    pub backends: Option<Vec<BackendRef>>,
}

impl MeshHttpRoute {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshHTTPRoute";

    pub(crate) fn read(
        header: Option<Header>,
        spec: Option<wire::HttpRouteSpec>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let of_gateway = Selector::is_of_gateway(spec.target_ref.as_ref());
        let selector = Selector::read(spec.target_ref, "spec.targetRef", found);
        let to = spec.to.unwrap_or_default().into_iter().enumerate();
        let to: Vec<Option<HttpTo>> = to
            .map(|(i, to)| {
                let path = format!("spec.to[{i}].targetRef");
                if of_gateway {
                    Selector::read_destination_of_gateway(to.target_ref, &path, found);
                    return None;
                }
                let service = ServiceRef::read_destination(to.target_ref, &path, found)?;
                let rules = to.rules.unwrap_or_default().into_iter().map(read_rule).collect();
                Some(HttpTo { service, rules })
            })
            .collect();
        let services: Vec<_> = to.iter().map(|to| to.as_ref().map(|to| &to.service)).collect();
        let header = header.and_then(|header| header.policy(&services, found));
        let to = to.into_iter().collect::<Option<_>>();
        Some(Self { header: header?, selector: selector?, to: if of_gateway { Vec::new() } else { to? } })
    }
}

fn read_rule(rule: wire::HttpRouteRule) -> HttpRule {
    let refs = rule.default.and_then(|conf| conf.backend_refs);
    // What is wrong with them is not this program's to say.
    let mut found = Violations::default();
    let backends = refs.map(|refs| {
        refs.into_iter().filter_map(|backend| read_backend_ref(backend, "", &mut found)).collect()
    });
    HttpRule { matches: rule.matches.unwrap_or_default(), backends }
}
