//! MeshTCPRoute (<https://kuma.io/docs/2.4.x/policies/meshtcproute/>).

use super::{
    header::{Header, PolicyHeader},
    names::Weight,
    target_ref::{BackendTarget, ProxyType, Selector, ServiceRef},
    violation::Violations,
    wire,
};

/// How the TCP connections of some proxies to some services are split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshTcpRoute {
    /// Mesh, name, and what decides between policies of the same strength.
    pub header: PolicyHeader,
    /// The proxies it is for.
    pub selector: Selector,
    /// The destinations it speaks of.
    pub to: Vec<To>,
}

/// What a policy says about one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct To {
    /// The destination.
    pub service: ServiceRef,
    /// What applies to it.
    pub rule: Rule,
}

/// `rules` of a `to` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No rules: the destination itself.
    Itself,
    /// The backends, replacing those of weaker policies.
    Backends(Vec<BackendRef>),
}

/// A backend and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRef {
    /// Where.
    pub target: BackendTarget,
    /// How much.
    pub weight: Weight,
}

impl MeshTcpRoute {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "MeshTCPRoute";

    pub(crate) fn read(
        header: Option<Header>,
        spec: Option<wire::TcpRouteSpec>,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(spec) = spec else {
            found.add("spec", "must be set");
            return None;
        };
        let proxies = ProxyType::read(spec.target_ref.as_ref(), "spec.targetRef", found);
        let selector = Selector::of_route(spec.target_ref, "spec.targetRef", found);
        if spec.to.as_ref().is_some_and(Vec::is_empty) {
            found.add("spec.to", "must have at least one entry");
        }
        let to = spec.to.unwrap_or_default().into_iter().enumerate();
        let to: Vec<Option<To>> = to.map(|(i, to)| read_to(to, &format!("spec.to[{i}]"), found)).collect();
        let services: Vec<_> = to.iter().map(|to| to.as_ref().map(|to| &to.service)).collect();
        let header = header.map(|header| header.policy(proxies, &services, found));
        Some(Self { header: header?, selector: selector?, to: to.into_iter().collect::<Option<_>>()? })
    }
}

fn read_to(to: wire::TcpRouteTo, path: &str, found: &mut Violations) -> Option<To> {
    let service = ServiceRef::read_destination(to.target_ref, &format!("{path}.targetRef"), found);
    let rules = to.rules.unwrap_or_default();
    if rules.len() > 1 {
        found.add(format!("{path}.rules"), "must have at most one entry");
    }
    // Those that are too many are read as well, for what else is wrong with them.
    let rules = rules.into_iter().enumerate();
    let rules: Vec<Option<Rule>> =
        rules.map(|(i, rule)| read_rule(rule, &format!("{path}.rules[{i}].default"), found)).collect();
    let rule = rules.into_iter().next().unwrap_or(Some(Rule::Itself));
    Some(To { service: service?, rule: rule? })
}

fn read_rule(rule: wire::TcpRouteRule, path: &str, found: &mut Violations) -> Option<Rule> {
    let Some(conf) = rule.default else {
        found.add(path, "must be set");
        return None;
    };
    let path = format!("{path}.backendRefs");
    let Some(refs) = conf.backend_refs else {
        found.add(path, "must be set");
        return None;
    };
    if refs.is_empty() {
        found.add(path, "must have at least one entry");
        return None;
    }
    let refs = refs.into_iter().enumerate();
    let refs: Vec<Option<BackendRef>> =
        refs.map(|(i, backend)| read_backend_ref(backend, &format!("{path}[{i}]"), found)).collect();
    refs.into_iter().collect::<Option<_>>().map(Rule::Backends)
}

pub(super) fn read_backend_ref(
    backend: wire::BackendRef,
    path: &str,
    found: &mut Violations,
) -> Option<BackendRef> {
    let (target, weight) = backend.split();
    let target = BackendTarget::read(target, path, found);
    let weight = match weight {
        None => Some(Weight::default()),
        Some(wire::Weight(Some(weight))) => Some(weight.into()),
        Some(wire::Weight(None)) => {
            found.add(format!("{path}.weight"), "must be an integer from 0 to 4294967295");
            None
        }
    };
    Some(BackendRef { target: target?, weight: weight? })
}
