//! Which Dataplanes have an identity of their own, and so serve TLS.

use std::sync::Arc;

use crate::{
    policy::{Compat, Strength, applies, includes},
    resources::{
        Dataplane, Key, MeshIdentity, MeshName, MeshTls, MtlsMode, ResourceName, Resources, Selector,
    },
};

/// Of one mesh what gives identities, and what says whether servers take plaintext all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identities {
    identities: Vec<Arc<MeshIdentity>>,
    /// From weak to strong.
    tls: Vec<(Arc<MeshTls>, Selector)>,
}

impl Identities {
    pub(super) fn new(compat: Compat, resources: &Resources, mesh: &MeshName) -> Self {
        // They came with 2.12.
        if !compat.is_later() {
            return Self::default();
        }
        let first: Key = (mesh.clone(), ResourceName::first());
        let identities = resources.identities.range(first.clone()..);
        let identities = identities.take_while(|((of, _), _)| of == mesh).map(|(_, identity)| identity);
        let ready = identities.filter(|identity| identity.ready).cloned().collect();
        let tls = resources.tls.range(first..).take_while(|((of, _), _)| of == mesh);
        let mut tls: Vec<(Arc<MeshTls>, Selector)> =
            tls.filter_map(|(_, policy)| Some((Arc::clone(policy), policy.selector.clone()?))).collect();
        tls.sort_by(|a, b| {
            compat.order(&Strength::new(&a.0.header, &a.1, false), &Strength::new(&b.0.header, &b.1, false))
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
            .filter(|(policy, selector)| applies(compat, &policy.header, selector, dataplane))
            .filter_map(|(policy, _)| policy.mode);
        has_one.then(|| said.next().unwrap_or(MtlsMode::Strict))
    }
}
