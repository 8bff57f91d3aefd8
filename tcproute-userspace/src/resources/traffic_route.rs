//! TrafficRoute, as far as it matters here: whether it leads connections elsewhere. It is the policy of the first
//! generation that MeshTCPRoute takes the place of.

use super::{
    header::{Header, Key},
    names::{ServiceName, Tags},
    tags::SERVICE_TAG,
    wire,
};

/// A policy that holds where no MeshTCPRoute does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficRoute {
    /// Its mesh and name.
    pub key: Key,
    /// Tags of an inbound of who dials; one of these sets will do.
    pub sources: Vec<Tags>,
    /// Tags of what is dialled; one of these sets will do.
    pub destinations: Vec<Tags>,
    /// Where connections go.
    leads_to: Vec<Tags>,
}

impl TrafficRoute {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "TrafficRoute";

    pub(super) fn read(header: Option<Header>, wire: wire::AnyPolicy) -> Option<Self> {
        let spec = wire.spec.unwrap_or_default();
        let selectors = |own: Option<Vec<wire::LegacySelector>>, spec: Option<Vec<wire::LegacySelector>>| {
            let all = own.into_iter().chain(spec).flatten();
            all.map(|selector| selector.r#match.unwrap_or_default()).collect()
        };
        let conf = wire.conf.or(spec.conf).unwrap_or_default();
        let split = conf.split.unwrap_or_default().into_iter().filter_map(|split| split.destination);
        Some(Self {
            key: header?.key(),
            sources: selectors(wire.sources, spec.sources),
            destinations: selectors(wire.destinations, spec.destinations),
            leads_to: conf.destination.into_iter().chain(split).collect(),
        })
    }

    /// Whether connections to this service still go to all of its endpoints.
    pub fn leads_to_itself(&self, service: &ServiceName) -> bool {
        let is_itself = |tags: &Tags| {
            tags.iter().all(|(tag, value)| value == "*" || (tag == SERVICE_TAG && value == service.as_str()))
        };
        self.leads_to.iter().all(is_itself)
    }
}
