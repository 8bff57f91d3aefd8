//! MeshIdentity and MeshTLS (Kuma 2.12 and later): which servers have an identity of their own, and so refuse
//! plaintext.

use super::{
    header::{Header, Key, PolicyHeader},
    mesh::MtlsMode,
    names::Labels,
    target_ref::{ProxyType, Selector},
    violation::Violations,
    wire,
};

/// Gives identities to workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshIdentity {
    /// Its mesh and name.
    pub key: Key,
    /// The labels of the Dataplanes that get one. None does if this is not set.
    pub selector: Option<Labels>,
    /// Whether the control plane can give them out already.
    pub ready: bool,
}

/// Says whether servers take plaintext beside TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshTls {
    /// Mesh, name, and what decides between policies of the same strength.
    pub header: PolicyHeader,
    /// The proxies it is for; `None` if that cannot be told.
    pub selector: Option<Selector>,
    /// What it says, if anything.
    pub mode: Option<MtlsMode>,
}

impl MeshIdentity {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshIdentity";

    pub(super) fn read(
        header: Option<Header>,
        spec: Option<wire::MeshIdentitySpec>,
        status: Option<wire::MeshIdentityStatus>,
    ) -> Option<Self> {
        let selector = spec.and_then(|spec| spec.selector).and_then(|selector| selector.dataplane);
        let selector = selector.map(|labels| labels.match_labels.unwrap_or_default());
        let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().any(|condition| {
            condition.r#type.as_deref() == Some("Ready") && condition.status.as_deref() == Some("True")
        });
        Some(Self { key: header?.key(), selector, ready })
    }
}

impl MeshTls {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshTLS";

    pub(super) fn read(header: Option<Header>, spec: Option<wire::MeshTlsSpec>) -> Option<Self> {
        let (target, from, rules) =
            spec.map_or((None, None, None), |spec| (spec.target_ref, spec.from, spec.rules));
        let rules = from.into_iter().chain(rules).flatten();
        let mode = rules.filter_map(|rule| match rule.default?.mode?.as_str() {
            "Strict" => Some(MtlsMode::Strict),
            "Permissive" => Some(MtlsMode::Permissive),
            _ => None,
        });
        // One that is behind another has the last word.
        let mode = mode.fold(None, |_, mode| Some(mode));
        // It is not this program's to say what is wrong with it.
        let mut found = Violations::default();
        let proxies = ProxyType::read(target.as_ref(), "", &mut found);
        let selector = Selector::read(target, "", &mut found);
        Some(Self { header: header?.policy(proxies, &[], &mut found), selector, mode })
    }
}
