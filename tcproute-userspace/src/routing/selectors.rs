//! Which ports of MeshServices an inbound is behind.

use std::collections::{BTreeSet, HashMap};

use super::{pairs::PairIndex, service::ServiceId};
use crate::{
    policy::{Compat, includes, is_ready, matches},
    resources::{Dataplane, DataplaneSelector, Gateway, Inbound, ResourceName, TargetPort},
};

/// The selectors of all MeshServices of a mesh, each found by the one thing it asks for that is asked for least.
#[derive(Default)]
pub(super) struct Selectors {
    services: HashMap<ResourceName, Selected>,
    tags: PairIndex<ResourceName>,
    labels: PairIndex<ResourceName>,
    names: HashMap<String, BTreeSet<ResourceName>>,
    /// Those that ask for nothing but that there is a Dataplane.
    all: BTreeSet<ResourceName>,
}

struct Selected {
    selector: DataplaneSelector,
    ports: Vec<(TargetPort, ServiceId)>,
    /// The tag or label by which it is found.
    found_by: Option<(String, String)>,
}

impl Selectors {
    /// Adds the selector of a MeshService.
    pub(super) fn insert(
        &mut self,
        service: &ResourceName,
        selector: &DataplaneSelector,
        ports: Vec<(TargetPort, ServiceId)>,
    ) {
        let (index, pairs) = match selector {
            DataplaneSelector::Nothing => return,
            DataplaneSelector::Name(name) => {
                self.names.entry(name.clone()).or_default().insert(service.clone());
                (None, None)
            }
            DataplaneSelector::Tags(tags) => (Some(&mut self.tags), Some(tags)),
            DataplaneSelector::Labels(labels) => (Some(&mut self.labels), Some(labels)),
        };
        let mut found_by = None;
        if let (Some(index), Some(pairs)) = (index, pairs) {
            match index.rarest(pairs) {
                Some((key, value)) => {
                    index.insert(key, value, service.clone());
                    found_by = Some((key.to_owned(), value.to_owned()));
                }
                // No labels are those of any Dataplane, but no tags those of none.
                None if matches!(selector, DataplaneSelector::Labels(_)) => {
                    self.all.insert(service.clone());
                }
                None => {}
            }
        }
        let selected = Selected { selector: selector.clone(), ports, found_by };
        self.services.insert(service.clone(), selected);
    }

    /// Takes it back.
    pub(super) fn remove(&mut self, service: &ResourceName) {
        let Some(Selected { selector, found_by, .. }) = self.services.remove(service) else { return };
        self.all.remove(service);
        match (&selector, &found_by) {
            (DataplaneSelector::Name(name), _) => {
                if let Some(services) = self.names.get_mut(name) {
                    services.remove(service);
                    if services.is_empty() {
                        self.names.remove(name);
                    }
                }
            }
            (DataplaneSelector::Tags(_), Some((key, value))) => self.tags.remove(key, value, service),
            (DataplaneSelector::Labels(_), Some((key, value))) => self.labels.remove(key, value, service),
            _ => {}
        }
    }

    /// The ports that inbounds of this Dataplane are behind.
    pub(super) fn matching<'d>(
        &self,
        compat: Compat,
        dataplane: &'d Dataplane,
    ) -> Vec<(ServiceId, &'d Inbound)> {
        if self.services.is_empty() {
            return Vec::new();
        }
        let ready: Vec<&Inbound> =
            dataplane.inbounds.iter().filter(|inbound| is_ready(compat, inbound)).collect();
        let name = dataplane.name.to_string();
        let mut candidates: BTreeSet<&ResourceName> = self.names.get(&name).into_iter().flatten().collect();
        candidates.extend(&self.all);
        for inbound in &ready {
            candidates.extend(inbound.tags.iter().flat_map(|(key, value)| self.tags.get(key, value)));
        }
        let labels = &dataplane.meta.labels;
        candidates.extend(labels.iter().flat_map(|(key, value)| self.labels.get(key, value)));
        let services = candidates.into_iter().filter_map(|service| self.services.get(service));
        let mut found = Vec::new();
        for Selected { ports, .. } in services.filter(|one| fits(&one.selector, dataplane, &ready)) {
            for (target, id) in ports {
                let behind = ready.iter().filter(|inbound| is_target(target, inbound));
                found.extend(behind.map(|inbound| (*id, *inbound)));
            }
        }
        found
    }
}

/// A Dataplane that has the tags on one inbound serves with all of them.
fn fits(selector: &DataplaneSelector, dataplane: &Dataplane, ready: &[&Inbound]) -> bool {
    match selector {
        DataplaneSelector::Nothing => false,
        DataplaneSelector::Name(name) => *name == dataplane.name.to_string(),
        DataplaneSelector::Labels(labels) => includes(&dataplane.meta.labels, labels),
        DataplaneSelector::Tags(tags) => {
            let is_found =
                |(key, value): (&str, &str)| ready.iter().any(|inbound| inbound.tags.get(key) == Some(value));
            let gateway = match &dataplane.gateway {
                Some(Gateway::Delegated(tags)) => Some(&**tags),
                _ => None,
            };
            tags.iter().all(is_found)
                && (dataplane.inbounds.iter().any(|inbound| matches(&inbound.tags, tags))
                    || gateway.is_some_and(|own| matches(own, tags)))
        }
    }
}

fn is_target(target: &TargetPort, inbound: &Inbound) -> bool {
    match target {
        TargetPort::Number(number) => inbound.address.port() == *number,
        TargetPort::Name(name) => inbound.name.as_ref() == Some(name),
    }
}
