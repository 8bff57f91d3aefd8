//! The endpoints of pods that have no Dataplane, kept in step with what they are made from. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::to_raw_value;

use super::{
    endpoint_slice::EndpointSlice,
    head::ObjectName,
    kinds,
    object::{Content, Object, Reading},
    service::Service,
};
use crate::resources::{DataplaneKey, MeshName, Resources};

/// All EndpointSlices, and the Dataplanes that were made of them.
pub(super) struct Slices {
    slices: BTreeMap<ObjectName, EndpointSlice>,
    made: BTreeMap<ObjectName, Vec<DataplaneKey>>,
    /// By namespace and name of a pod.
    of_pod: BTreeMap<(String, String), BTreeSet<ObjectName>>,
    stale: BTreeSet<ObjectName>,
    reading: Reading,
}

impl Default for Slices {
    fn default() -> Self {
        Self {
            slices: BTreeMap::new(),
            made: BTreeMap::new(),
            of_pod: BTreeMap::new(),
            stale: BTreeSet::new(),
            reading: Reading::new(kinds::DATAPLANES),
        }
    }
}

impl Slices {
    /// Whether any is to be looked at again.
    pub(super) fn are_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// One that is there, or has changed.
    pub(super) fn apply(&mut self, name: &ObjectName, slice: EndpointSlice) {
        if self.slices.get(name) != Some(&slice) {
            self.remove(name);
            for pod in slice.pods() {
                self.of_pod.entry(pod_of(name, pod)).or_default().insert(name.clone());
            }
            self.slices.insert(name.clone(), slice);
        }
    }

    /// One that is gone.
    pub(super) fn remove(&mut self, name: &ObjectName) {
        self.stale.insert(name.clone());
        let Some(slice) = self.slices.remove(name) else { return };
        for pod in slice.pods() {
            let pod = pod_of(name, pod);
            if let Some(slices) = self.of_pod.get_mut(&pod) {
                slices.remove(name);
                if slices.is_empty() {
                    self.of_pod.remove(&pod);
                }
            }
        }
    }

    /// A pod has a Dataplane now, or has none any more.
    pub(super) fn pod_changed(&mut self, namespace: &str, pod: &str) {
        let slices = self.of_pod.get(&(namespace.to_owned(), pod.to_owned()));
        self.stale.extend(slices.into_iter().flatten().cloned());
    }

    /// A Service is another one now.
    pub(super) fn service_changed(&mut self, service: &ObjectName) {
        let first = ObjectName { namespace: service.namespace.clone(), name: String::new() };
        let of_namespace =
            self.slices.range(first..).take_while(|(name, _)| name.namespace == service.namespace);
        let of_service = of_namespace.filter(|(_, slice)| slice.service() == Some(&service.name));
        self.stale.extend(of_service.map(|(name, _)| name.clone()));
    }

    /// Everything may be in another mesh.
    pub(super) fn all_changed(&mut self) {
        self.stale.extend(self.slices.keys().cloned());
    }

    /// Makes anew what may be another by now. Whether any is.
    pub(super) fn renew(
        &mut self,
        resources: &mut Resources,
        services: &BTreeMap<ObjectName, Service>,
        mesh: impl Fn(&str) -> Option<MeshName>,
        has_dataplane: impl Fn(&Resources, &MeshName, &str, &str) -> bool,
    ) {
        for name in std::mem::take(&mut self.stale) {
            let before = self.made.remove(&name).unwrap_or_default();
            let mut now = Vec::new();
            let namespace = name.namespace.clone().unwrap_or_default();
            let slice = self.slices.get(&name);
            let service = slice.and_then(|slice| {
                let service = slice.service()?.to_owned();
                services.get(&ObjectName { namespace: name.namespace.clone(), name: service })
            });
            if let (Some(slice), Some(service), Some(mesh)) = (slice, service, mesh(&namespace)) {
                let has_dataplane = |pod: &str| has_dataplane(resources, &mesh, &namespace, pod);
                for json in slice.dataplanes(&name, service, &mesh, has_dataplane) {
                    let read = to_raw_value(&json).ok().and_then(|json| self.reading.read(&json).ok());
                    if let Some(Object { content: Content::Resource(resource), .. }) = read {
                        now.push(resource);
                    }
                }
            }
            let keys: Vec<DataplaneKey> = now.iter().map(|resource| resource.identity().key).collect();
            for gone in before.iter().filter(|key| !keys.contains(key)) {
                resources.dataplanes.remove(gone);
            }
            for resource in now {
                resources.put(resource);
            }
            if !keys.is_empty() {
                self.made.insert(name, keys);
            }
        }
    }
}

fn pod_of(slice: &ObjectName, pod: &str) -> (String, String) {
    (slice.namespace.clone().unwrap_or_default(), pod.to_owned())
}
