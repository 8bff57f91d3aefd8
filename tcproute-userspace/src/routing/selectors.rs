//! Which ports of MeshServices an inbound is behind.

use std::collections::HashMap;

use super::{pairs::PairIndex, services::ServiceId};
use crate::{
    policy::includes,
    resources::{Dataplane, Inbound, InboundSelector, MeshService, TargetPort},
};

/// The selectors of all MeshServices of a mesh, each found by the one thing it asks for that is asked for least.
#[derive(Default)]
pub(super) struct Selectors {
    selectors: Vec<(InboundSelector, Vec<(TargetPort, ServiceId)>)>,
    tags: PairIndex<usize>,
    labels: PairIndex<usize>,
    names: HashMap<String, Vec<usize>>,
}

impl Selectors {
    /// Of each MeshService its ports, in their order.
    pub(super) fn new<'a>(services: impl Iterator<Item = (&'a MeshService, Vec<ServiceId>)>) -> Self {
        let selectors: Vec<_> = services
            .map(|(service, ids)| {
                let targets = service.ports.iter().map(|port| port.target.clone());
                (service.selector.clone(), targets.zip(ids).collect())
            })
            .collect();
        let mut asked: HashMap<(bool, &str, &str), usize> = HashMap::new();
        for (selector, _) in &selectors {
            for pair in pairs(selector) {
                *asked.entry(pair).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (i, (selector, _)) in selectors.iter().enumerate() {
            if let Some(name) = &selector.name {
                index.names.entry(name.clone()).or_default().push(i);
            } else if let Some((is_tag, key, value)) = pairs(selector).min_by_key(|pair| asked[pair]) {
                let index = if is_tag { &mut index.tags } else { &mut index.labels };
                index.insert(key, value, i);
            }
        }
        index.selectors = selectors;
        index
    }

    /// The ports that this inbound is behind.
    pub(super) fn matching(&self, dataplane: &Dataplane, inbound: &Inbound) -> Vec<ServiceId> {
        let by_name = self.names.get(&dataplane.name.name).map(Vec::as_slice).unwrap_or_default();
        let by_tag = inbound.tags.iter().flat_map(|(key, value)| self.tags.get(key, value));
        let by_label = dataplane.labels.iter().flat_map(|(key, value)| self.labels.get(key, value));
        let fits = |selector: &InboundSelector| {
            selector.name.as_ref().is_none_or(|name| *name == dataplane.name.name)
                && includes(&inbound.tags, &selector.tags)
                && includes(&dataplane.labels, &selector.labels)
        };
        let is_target = |target: &TargetPort| match target {
            TargetPort::Number(number) => inbound.address.port() == *number,
            TargetPort::Name(name) => inbound.is_section(name),
        };
        by_name
            .iter()
            .chain(by_tag)
            .chain(by_label)
            .map(|&i| &self.selectors[i])
            .filter(|(selector, _)| fits(selector))
            .flat_map(|(_, ports)| ports.iter().filter(|(target, _)| is_target(target)).map(|(_, id)| *id))
            .collect()
    }
}

/// The tags, and then the labels, that a selector asks for.
fn pairs(selector: &InboundSelector) -> impl Iterator<Item = (bool, &str, &str)> {
    let tags = selector.tags.iter().map(|(key, value)| (true, key.as_str(), value.as_str()));
    tags.chain(selector.labels.iter().map(|(key, value)| (false, key.as_str(), value.as_str())))
}
