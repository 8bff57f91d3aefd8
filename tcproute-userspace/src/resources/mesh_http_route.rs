//! MeshHTTPRoute, as far as it matters here: which proxies and destinations it covers.

use super::{
    document::Identity,
    names::{MeshName, ResourceName, ServiceName},
    target_ref::{Selector, read_destination},
    violation::Violations,
    wire,
};

/// Destinations for which some proxies route HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshHttpRoute {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name.
    pub name: ResourceName,
    /// The proxies it is for.
    pub selector: Selector,
    /// The destinations it covers.
    pub to: Vec<ServiceName>,
}

impl MeshHttpRoute {
    pub(crate) fn read(
        identity: Identity,
        spec: Option<wire::HttpRouteSpec>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let selector = Selector::read(spec.target_ref, "spec.targetRef", found);
        let to = spec.to.unwrap_or_default().into_iter().enumerate();
        let to: Vec<Option<ServiceName>> = to
            .map(|(i, to)| read_destination(to.target_ref, &format!("spec.to[{i}].targetRef"), found))
            .collect();
        let (mesh, name) = identity?;
        Some(Self { mesh, name, selector: selector?, to: to.into_iter().collect::<Option<_>>()? })
    }
}
