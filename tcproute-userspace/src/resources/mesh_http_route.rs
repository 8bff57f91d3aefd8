//! MeshHTTPRoute, as far as it matters here: which proxies and destinations it covers, and where its requests go.

use super::{
    header::{Header, PolicyHeader},
    mesh_tcp_route::{BackendRef, read_backend_ref},
    target_ref::{ProxyType, Selector, ServiceRef},
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
    /// Which requests, as some text: only whether two rules are about the same ones is of interest.
    pub matches: String,
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
        let proxies = ProxyType::read(spec.target_ref.as_ref(), "spec.targetRef", found);
        let selector = Selector::of_route(spec.target_ref, "spec.targetRef", found);
        if spec.to.as_ref().is_some_and(Vec::is_empty) {
            found.add("spec.to", "must have at least one entry");
        }
        let to = spec.to.unwrap_or_default().into_iter().enumerate();
        let to: Vec<Option<HttpTo>> = to
            .map(|(i, to)| {
                let rules = to.rules.unwrap_or_default();
                check_rules(&rules, &format!("spec.to[{i}].rules"), found);
                let path = format!("spec.to[{i}].targetRef");
                let service = ServiceRef::read_destination(to.target_ref, &path, found)?;
                Some(HttpTo { service, rules: rules.into_iter().map(read_rule).collect() })
            })
            .collect();
        let services: Vec<_> = to.iter().map(|to| to.as_ref().map(|to| &to.service)).collect();
        let header = header.map(|header| header.policy(proxies, &services, found));
        Some(Self { header: header?, selector: selector?, to: to.into_iter().collect::<Option<_>>()? })
    }
}

fn read_rule(rule: wire::HttpRouteRule) -> HttpRule {
    let refs = rule.default.and_then(|conf| conf.backend_refs);
    // What is wrong with them is not this program's to say.
    let mut found = Violations::default();
    let backends = refs.map(|refs| {
        refs.into_iter().filter_map(|backend| read_backend_ref(backend, "", &mut found)).collect()
    });
    HttpRule { matches: requests(rule.matches.unwrap_or_default()), backends }
}

/// What some requests are, as a text that is the same for the same ones.
fn requests(matches: Vec<wire::HttpMatch>) -> String {
    let text = |one: wire::HttpMatch| {
        let path = one.path.map(|path| (path.r#type, path.value));
        format!("{path:?} {:?} {:?} {:?}", one.method, one.headers, one.query_params)
    };
    matches.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

/// What requests a rule matches, and where they go, is for the proxy to say.
fn check_rules(rules: &[wire::HttpRouteRule], path: &str, found: &mut Violations) {
    for (i, rule) in rules.iter().enumerate() {
        let matches = format!("{path}[{i}].matches");
        match &rule.matches {
            None => found.add(matches, "must be set"),
            Some(all) if all.is_empty() => found.add(matches, "must have at least one entry"),
            Some(all) => {
                for (i, one) in all.iter().enumerate() {
                    check_path(one.path.as_ref(), &format!("{matches}[{i}].path"), found);
                }
            }
        }
        if rule.default.is_none() {
            found.add(format!("{path}[{i}].default"), "must be set");
        }
    }
}

fn check_path(matched: Option<&wire::HttpPath>, path: &str, found: &mut Violations) {
    let Some(matched) = matched else { return };
    let value = matched.value.as_deref().unwrap_or_default();
    let value_path = format!("{path}.value");
    match matched.r#type.as_deref() {
        Some("Exact" | "PathPrefix") if !value.starts_with('/') => {
            found.add(value_path, "must be an absolute path");
        }
        Some("PathPrefix") if value.ends_with('/') && value != "/" => {
            found.add(value_path, "must not end with a slash: whole segments are matched");
        }
        Some("Exact" | "PathPrefix" | "RegularExpression") => {}
        _ => found.add(format!("{path}.type"), "must be Exact, PathPrefix or RegularExpression"),
    }
}
