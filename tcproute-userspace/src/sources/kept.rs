//! Resources as they are kept for the next start: by kind, mesh, name and, if there is one, namespace.

use super::{
    documents::{self, Object, Rules, Verdict},
    last_good::{Entry, Key},
};
use crate::resources::{Identity, Resource};

/// What stands for a resource where it is kept.
pub(super) fn key(Identity { kind, key: (mesh, name) }: &Identity) -> Key {
    let all = [*kind, mesh.as_str(), &name.name].into_iter().chain(name.namespace.as_deref());
    all.map(str::to_owned).collect()
}

/// What was kept, unless it cannot be used any more.
pub(super) fn resource(entry: &Entry, rules: &Rules) -> Option<Resource> {
    let mut read = None;
    documents::read(&entry.value, rules, &mut |Object { verdict, .. }| {
        if let Verdict::Read(resource, _) = verdict {
            read = Some(resource);
        }
    });
    read.filter(|resource: &Resource| key(&resource.identity()) == entry.key)
}
