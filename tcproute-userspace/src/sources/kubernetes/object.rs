//! From the JSON of an object to what is used of it. What is not is never kept.

use std::{path::PathBuf, sync::Arc};

use serde_json::value::RawValue;

use super::{
    super::{
        InputError,
        alike::Alike,
        documents::{self, Rules, Verdict},
    },
    endpoint_slice::EndpointSlice,
    failure::Failure,
    head::{Head, ObjectName},
    kinds::{self, WatchedKind},
    namespace::Namespace,
    pod::Pod,
    service::Service,
    virtual_outbounds::read_config_map,
};
use crate::resources::{Identity, MeshName, Provenance, Resource, Strictness, VirtualOutbounds};

/// What is used of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: ObjectName,
    pub(super) version: String,
    pub(super) uid: String,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A resource, and what of it does not count.
    Resource(Resource),
    /// A Service: a resource as well, if it can be used.
    Service(Box<Service>, Option<Resource>),
    Pod(Box<Pod>),
    Namespace(Namespace),
    Slice(EndpointSlice),
    /// What the Dataplanes of a mesh dial.
    Outbounds(MeshName, Arc<VirtualOutbounds>),
    /// Of no concern.
    Nothing,
    /// It cannot be used, and why; what it is, as far as that can be told.
    Refused(Option<Identity>, Vec<InputError>),
}

/// Reads objects of one kind.
pub(super) struct Reading {
    kind: WatchedKind,
    version: String,
    rules: Rules,
    alike: Alike,
}

impl Reading {
    pub(super) fn new(kind: WatchedKind) -> Self {
        let (version, rules) = (kind.api_version(), Rules::from(Strictness::Lenient));
        Self { kind, version, rules, alike: Alike::default() }
    }

    /// Fails only if it is no object at all.
    pub(super) fn read(&mut self, json: &RawValue) -> Result<Object, Failure> {
        let head: Head =
            serde_json::from_str(json.get()).map_err(|error| Failure::Garbage(error.to_string()))?;
        let name = head.metadata.object_name();
        let content = self.content(&name, json.get());
        Ok(Object { name, version: head.metadata.resource_version, uid: head.metadata.uid, content })
    }

    fn content(&mut self, name: &ObjectName, json: &str) -> Content {
        let refuse = |error: serde_json::Error| {
            Content::Refused(None, vec![InputError::new(&self.place(name), None, error.to_string())])
        };
        match self.kind {
            kinds::PODS => serde_json::from_str(json).map_or_else(refuse, |pod| Content::Pod(Box::new(pod))),
            kinds::NAMESPACES => serde_json::from_str(json).map_or_else(refuse, Content::Namespace),
            kinds::ENDPOINT_SLICES => serde_json::from_str(json).map_or_else(refuse, Content::Slice),
            // That it is there is all.
            kinds::DEFINITIONS => Content::Nothing,
            kinds::CONFIG_MAPS => match read_config_map(&name.name, json) {
                Ok(Some((mesh, outbounds))) => Content::Outbounds(mesh, Arc::new(outbounds)),
                Ok(None) => Content::Nothing,
                Err(why) => Content::Refused(None, vec![InputError::new(&self.place(name), None, why)]),
            },
            kinds::SERVICES => match serde_json::from_str::<Service>(json) {
                Ok(service) => match self.resource(name, json) {
                    Content::Resource(resource) => Content::Service(Box::new(service), Some(resource)),
                    _ => Content::Service(Box::new(service), None),
                },
                Err(error) => refuse(error),
            },
            _ => self.resource(name, json),
        }
    }

    fn resource(&mut self, name: &ObjectName, json: &str) -> Content {
        let place = self.place(name);
        let Some(object) = documents::read_item(json, (&self.version, self.kind.kind), &self.rules) else {
            return Content::Refused(None, vec![InputError::new(&place, None, "cannot be read")]);
        };
        match object.verdict {
            Verdict::Read(mut resource, _) => {
                self.alike.share(&mut resource);
                resource.set_provenance(Provenance::Cluster);
                Content::Resource(resource)
            }
            Verdict::Passed(_) => Content::Nothing,
            Verdict::Refused(notes) => {
                let errors = notes.into_iter().map(|note| InputError::of_object(&place, note));
                Content::Refused(object.identity, errors.collect())
            }
        }
    }

    fn place(&self, ObjectName { namespace, name }: &ObjectName) -> PathBuf {
        let parts = [Some(self.kind.plural), namespace.as_deref(), Some(name)];
        parts.into_iter().flatten().collect()
    }
}
