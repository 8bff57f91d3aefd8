//! Which pods of this node have routes, and the Dataplanes of those that have none yet.

use std::collections::BTreeMap;

use serde_json::{Value, value::to_raw_value};

use super::{
    super::{
        head::ObjectName,
        kinds,
        object::{Content, Object},
        pod::mesh_of,
        provisional::provisional,
        service::Service,
    },
    Store, Which,
};
use crate::{
    resources::{DataplaneKey, MeshName, ResourceName, Resources, ZONE_LABEL},
    workloads::{
        DataplaneName,
        pods::{LocalPod, LocalPods},
    },
};

impl Store {
    /// Finds the endpoints of pods without a Dataplane again, where they may be others.
    pub(super) fn renew_slices(&mut self) {
        if !self.slices.are_stale() {
            return;
        }
        let Self { objects, services, namespaces, compat, slices, .. } = self;
        let mesh = |namespace: &str| mesh_of(None, namespaces.get(namespace), *compat);
        let has_dataplane = |resources: &Resources, mesh: &MeshName, namespace: &str, pod: &str| {
            let name = ResourceName { name: pod.into(), namespace: Some(namespace.into()) };
            resources.dataplanes.contains_key(&(mesh.clone(), name))
        };
        slices.renew(&mut objects.resources, services, mesh, has_dataplane);
    }

    /// Finds out which pods have routes, and makes the Dataplanes of those that have none yet.
    pub(super) fn renew_pods(&mut self) {
        let mut local = Vec::new();
        let mut wanted = BTreeMap::new();
        let zone = self.zone();
        for pod in self.pods.values().filter(|pod| pod.is_alive()) {
            let namespace = self.namespaces.get(&pod.metadata.namespace);
            let name = ResourceName {
                name: pod.metadata.name.as_str().into(),
                namespace: Some(pod.metadata.namespace.as_str().into()),
            };
            let Some(mesh) = pod.mesh(namespace, self.compat) else { continue };
            let own = (mesh.clone(), name.clone());
            let has_dataplane = |key: &DataplaneKey| {
                self.objects.resources.dataplanes.contains_key(key) && !self.provisional.contains(key)
            };
            // Another version may have another opinion of the mesh: what the control plane has written counts.
            let real = if has_dataplane(&own) {
                Some(own.clone())
            } else {
                let meshes = self.objects.resources.meshes.keys();
                meshes.map(|mesh| (mesh.clone(), name.clone())).find(|key| has_dataplane(key))
            };
            if real.is_none() && self.which == Which::Meshed && !pod.is_injected(namespace) {
                continue;
            }
            let Some(uid) = pod.directory_uid() else { continue };
            let key = real.clone().unwrap_or(own);
            let dataplane = DataplaneName { mesh: key.0.clone(), name: name.to_string().into() };
            let object_uid = pod.metadata.uid.as_str().into();
            local.push(LocalPod { uid, object_uid, dataplane, runs: pod.is_running() });
            if real.is_none() {
                let first =
                    ObjectName { namespace: Some(pod.metadata.namespace.clone()), name: String::new() };
                let services: Vec<&Service> = self
                    .services
                    .range(first..)
                    .take_while(|(name, _)| name.namespace.as_ref() == Some(&pod.metadata.namespace))
                    .map(|(_, service)| service)
                    .collect();
                if let Some(json) = provisional(pod, &mesh, &services, zone.as_deref(), self.compat) {
                    wanted.insert(key, json);
                }
            }
        }
        local.sort_by(|a, b| a.uid.cmp(&b.uid));
        local.dedup_by(|a, b| a.uid == b.uid);
        let complete = [kinds::PODS, kinds::NAMESPACES]
            .iter()
            .all(|kind| self.kinds.get(kind).is_some_and(|kind| kind.is_listed));
        self.local = LocalPods { pods: local.into(), complete };
        self.renew_provisional(wanted);
    }

    fn renew_provisional(&mut self, wanted: BTreeMap<DataplaneKey, Value>) {
        let before = std::mem::take(&mut self.provisional);
        for key in before.iter().filter(|key| !wanted.contains_key(*key)) {
            self.objects.resources.dataplanes.remove(key);
            self.slices.pod_changed(key.1.namespace.as_deref().unwrap_or_default(), &key.1.name);
        }
        for (key, json) in wanted {
            if !before.contains(&key) {
                self.slices.pod_changed(key.1.namespace.as_deref().unwrap_or_default(), &key.1.name);
            }
            let read = to_raw_value(&json).ok().and_then(|json| self.reading.read(&json).ok());
            let Some(Object { content: Content::Resource(resource), .. }) = read else { continue };
            self.objects.resources.put(resource);
            self.provisional.insert(key);
        }
    }

    /// The zone of the cluster: that of any Dataplane that the control plane has written.
    fn zone(&self) -> Option<String> {
        let mut real =
            self.objects.resources.dataplanes.iter().filter(|(key, _)| !self.provisional.contains(*key));
        real.find_map(|(_, dataplane)| {
            let of_label = dataplane.meta.labels.get(ZONE_LABEL);
            let of_tag = || dataplane.inbounds.first().and_then(|inbound| inbound.tags.get(ZONE_LABEL));
            of_label.or_else(of_tag).map(str::to_owned)
        })
    }
}
