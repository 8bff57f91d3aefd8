//! Policies of other kinds: which proxies they are for is all that is known of them.

use super::{
    header::{Header, Key},
    names::Tags,
    target_ref::Selector,
    violation::Violations,
    wire,
};

/// A policy that is not enforced on connections that bypass the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPolicy {
    /// Its kind.
    pub kind: &'static str,
    /// Its mesh and name.
    pub key: Key,
    /// The proxies it is for.
    pub applies: Applies,
}

/// Which proxies a policy of another kind is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applies {
    /// As its targetRef says.
    Selected(Selector),
    /// Those with an inbound that has one of these sets of tags, `*` standing for any value: policies of the
    /// first generation.
    Tags(Vec<Tags>),
    /// It cannot be told, so it may be any.
    Any,
    /// None: it is for gateways only, or just tried out.
    None,
}

impl OtherPolicy {
    pub(super) fn read(
        kind: &'static str,
        header: &Header,
        policy: wire::AnyPolicySpec,
        legacy: [Option<Vec<wire::LegacySelector>>; 3],
    ) -> Self {
        let wire::AnyPolicySpec { target_ref, sources, destinations, selectors, .. } = policy;
        let selectors: Vec<Tags> = legacy
            .into_iter()
            .chain([sources, destinations, selectors])
            .flatten()
            .flatten()
            .filter_map(|selector| selector.r#match)
            .collect();
        let applies = match target_ref {
            Some(target) if target.kind.as_deref() == Some("MeshGateway") => Applies::None,
            // It is not this program's to say what is wrong with it.
            Some(target) => Selector::read(Some(target), "", &mut Violations::default())
                .map_or(Applies::Any, Applies::Selected),
            None if selectors.is_empty() => Applies::Any,
            None => Applies::Tags(selectors),
        };
        let shadow = header.is_shadow();
        Self { kind, key: header.key(), applies: if shadow { Applies::None } else { applies } }
    }
}
