//! MeshHTTPRoute, as far as it matters here: which proxies and destinations it covers.

use super::{
    header::{Header, PolicyHeader},
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
    pub to: Vec<ServiceRef>,
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
        let to: Vec<Option<ServiceRef>> = to
            .map(|(i, to)| {
                check_rules(to.rules.as_deref().unwrap_or_default(), &format!("spec.to[{i}].rules"), found);
                ServiceRef::read_destination(to.target_ref, &format!("spec.to[{i}].targetRef"), found)
            })
            .collect();
        let header = header.map(|header| header.policy(proxies, found));
        Some(Self { header: header?, selector: selector?, to: to.into_iter().collect::<Option<_>>()? })
    }
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
