//! What is alike is one in memory: thousands of Dataplanes have the same mesh, services and tags.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use crate::resources::{MeshName, Resource, ServiceName, Tags};

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Alike {
    meshes: HashSet<MeshName>,
    services: HashSet<ServiceName>,
    tags: HashSet<Arc<Tags>>,
    /// How many resources were given parts.
    shared: usize,
}

/// So often it is looked through for what nobody has any more.
const LOOK_THROUGH: usize = 1 << 14;

impl Alike {
    /// Gives a resource that nobody else has yet the parts that were seen before. Of the kinds of which there are many.
    pub(super) fn share(&mut self, resource: &mut Resource) {
        self.shared += 1;
        if self.shared.is_multiple_of(LOOK_THROUGH) {
            self.tags.retain(|tags| Arc::strong_count(tags) > 1);
        }
        match resource {
            Resource::Dataplane(dataplane) => {
                let Some(dataplane) = Arc::get_mut(dataplane) else { return };
                share(&mut self.meshes, &mut dataplane.mesh);
                for inbound in &mut dataplane.inbounds {
                    share(&mut self.tags, &mut inbound.tags);
                    if let Some(service) = &mut inbound.service {
                        share(&mut self.services, service);
                    }
                }
            }
            Resource::ExternalService(service) => {
                let Some(service) = Arc::get_mut(service) else { return };
                share(&mut self.meshes, &mut service.mesh);
                share(&mut self.services, &mut service.service);
                share(&mut self.tags, &mut service.tags);
            }
            _ => {}
        }
    }
}

fn share<T: Hash + Eq + Clone>(seen: &mut HashSet<T>, part: &mut T) {
    match seen.get(part) {
        Some(first) => *part = first.clone(),
        None => drop(seen.insert(part.clone())),
    }
}
