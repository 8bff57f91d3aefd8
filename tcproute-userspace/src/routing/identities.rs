//! Which Dataplanes have an identity of their own, and so serve TLS.

use std::sync::Arc;

use crate::{
    policy::{Compat, Strength, applies, includes},
    resources::{Dataplane, Key, MeshIdentity, MeshName, MeshTls, MtlsMode, ResourceName, Resources},
};

/// Of one mesh what gives identities, and what says whether servers take plaintext all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identities {
    identities: Vec<Arc<MeshIdentity>>,
    tls: Vec<Arc<MeshTls>>,
}

impl Identities {
    pub(super) fn new(compat: Compat, resources: &Resources, mesh: &MeshName) -> Self {
        // They came with 2.12.
        if !compat.is_later() {
            return Self::default();
        }
        let first: Key = (mesh.clone(), ResourceName { name: String::new(), namespace: None });
        let identities = resources.identities.range(first.clone()..);
        let identities = identities.take_while(|((of, _), _)| of == mesh).map(|(_, identity)| identity);
        let ready = identities.filter(|identity| identity.ready).cloned().collect();
        let tls = resources.tls.range(first..).take_while(|((of, _), _)| of == mesh);
        let mut tls: Vec<Arc<MeshTls>> = tls.map(|(_, policy)| Arc::clone(policy)).collect();
        tls.sort_by(|a, b| {
            let (a, b) = (strength(a), strength(b));
            compat.order(&a, &b)
        });
        Self { identities: ready, tls }
    }

    /// Whether, and how strictly, a Dataplane serves TLS.
    pub(super) fn of(&self, compat: Compat, dataplane: &Dataplane) -> Option<MtlsMode> {
        let has_one = self.identities.iter().any(|identity| {
            identity.selector.as_ref().is_some_and(|labels| includes(&dataplane.meta.labels, labels))
        });
        let stronger = self.tls.iter().rev();
        let mut said = stronger
            .filter(|policy| applies(compat, &policy.header, &policy.selector, dataplane))
            .filter_map(|policy| policy.mode);
        has_one.then(|| said.next().unwrap_or(MtlsMode::Strict))
    }
}

fn strength(policy: &MeshTls) -> Strength<'_> {
    Strength::new(&policy.header, &policy.selector, false)
}
