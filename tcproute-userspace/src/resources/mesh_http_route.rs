//! MeshHTTPRoute, as far as it matters here: which proxies and destinations it covers.

use super::{
    header::{Header, PolicyHeader},
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
        let selector = Selector::read(spec.target_ref, "spec.targetRef", found);
        let to = spec.to.unwrap_or_default().into_iter().enumerate();
        let to: Vec<Option<ServiceRef>> = to
            .map(|(i, to)| {
                ServiceRef::read_destination(to.target_ref, &format!("spec.to[{i}].targetRef"), found)
            })
            .collect();
        let header = header.and_then(|header| header.policy(found));
        Some(Self { header: header?, selector: selector?, to: to.into_iter().collect::<Option<_>>()? })
    }
}
