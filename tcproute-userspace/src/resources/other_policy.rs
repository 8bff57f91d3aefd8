//! Policies of other kinds: which proxies enforce them, and on which connections, is all that is known of them.

use std::fmt;

use super::{
    header::{Header, Key, Meta},
    names::{ServiceName, Tags},
    tags::SERVICE_TAG,
    target_ref::{Selector, ServiceRef},
    violation::Violations,
    wire,
};

/// The kind of policy that servers enforce on TLS alone.
pub(crate) const PERMISSION: &str = "MeshTrafficPermission";

/// A policy that is not enforced on connections that bypass the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPolicy {
    /// Its kind.
    pub kind: &'static str,
    /// Its mesh and name.
    pub key: Key,
    /// Its labels, and the name it was given where it comes from.
    pub meta: Meta,
    /// The proxies it is for.
    pub applies: Applies,
    /// The connections on which these enforce it.
    pub enforced: Enforced,
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

/// On which connections a policy of another kind is enforced, and at which end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforced {
    /// All that its proxies dial, as far as can be told.
    Everywhere,
    /// Those that its proxies dial to these services.
    To(Vec<ServiceRef>),
    /// Those over TLS that its proxies take, so that plaintext passes it by. It denies somebody, perhaps.
    OnTls(Denied),
    /// Those that its proxies take. That is so past the proxy of who dials, too.
    AtServers,
}

/// Whom a MeshTrafficPermission denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody.
    Nobody,
    /// Those with one of these sets of tags.
    Tags(Vec<Tags>),
    /// It cannot be told, so it may be anybody.
    Anybody,
}

impl OtherPolicy {
    pub(super) fn read(
        kind: &'static str,
        header: Header,
        policy: wire::AnyPolicySpec,
        legacy: [Option<Vec<wire::LegacySelector>>; 3],
    ) -> Self {
        let wire::AnyPolicySpec { target_ref, to, from, rules, sources, destinations, selectors, .. } =
            policy;
        let [own_sources, own_destinations, own_selectors] = legacy;
        let sources = tags(own_sources.into_iter().chain(sources));
        let destinations = tags(own_destinations.into_iter().chain(destinations));
        let selectors = tags(own_selectors.into_iter().chain(selectors));
        let enforced = if kind == PERMISSION {
            Enforced::OnTls(Denied::read(from, rules))
        } else if let Some(to) = to.filter(|to| !to.is_empty()) {
            services(to.into_iter().map(|to| named_by(to.target_ref)))
        } else if !destinations.is_empty() {
            services(destinations.iter().map(tagged))
        } else if from.is_some() || rules.is_some() {
            Enforced::AtServers
        } else {
            Enforced::Everywhere
        };
        let proxies: Vec<Tags> = sources.into_iter().chain(selectors).collect();
        let applies = match target_ref {
            Some(target) if target.kind.as_deref() == Some("MeshGateway") => Applies::None,
            // It is not this program's to say what is wrong with it.
            Some(target) => Selector::read(Some(target), "", &mut Violations::default())
                .map_or(Applies::Any, Applies::Selected),
            None if proxies.is_empty() => Applies::Any,
            None => Applies::Tags(proxies),
        };
        let shadow = header.is_shadow();
        let applies = if shadow { Applies::None } else { applies };
        Self { kind, key: header.key(), meta: header.meta, applies, enforced }
    }
}

impl fmt::Display for OtherPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key.1)
    }
}

impl Denied {
    fn read(from: Option<Vec<wire::PolicyFrom>>, rules: Option<Vec<wire::PolicyRule>>) -> Self {
        let denying = from.into_iter().flatten().filter(|from| {
            let action = from.default.as_ref().and_then(|default| default.action.as_deref());
            action.is_some_and(|action| action.eq_ignore_ascii_case("deny"))
        });
        let mut denied = Vec::new();
        for from in denying {
            // An absent targetRef stands for the mesh.
            let who = Selector::read(from.target_ref, "", &mut Violations::default());
            denied.push(match who {
                Some(Selector::Mesh) => Tags::new(),
                Some(Selector::MeshSubset(tags)) => tags,
                Some(Selector::MeshService(service)) => with_service(Tags::new(), &service),
                Some(Selector::MeshServiceSubset(service, tags)) => with_service(tags, &service),
                Some(Selector::Dataplane(_)) | None => return Self::Anybody,
            });
        }
        let by_identity = rules.into_iter().flatten().filter_map(|rule| rule.default?.deny);
        if by_identity.map(|deny| deny.len()).sum::<usize>() > 0 || denied.iter().any(Tags::is_empty) {
            return Self::Anybody;
        }
        if denied.is_empty() { Self::Nobody } else { Self::Tags(denied) }
    }
}

/// One that matches nothing in particular matches all.
fn tags(selectors: impl Iterator<Item = Vec<wire::LegacySelector>>) -> Vec<Tags> {
    selectors.flatten().map(|selector| selector.r#match.unwrap_or_default()).collect()
}

fn with_service(mut tags: Tags, service: &ServiceName) -> Tags {
    tags.insert(SERVICE_TAG, service.as_str());
    tags
}

/// All, if any of them stands for more than a service.
fn services(all: impl Iterator<Item = Option<ServiceRef>>) -> Enforced {
    all.collect::<Option<_>>().map_or(Enforced::Everywhere, Enforced::To)
}

/// The service that an item of `to` names, with all subsets of it.
fn named_by(target: Option<wire::TargetRef>) -> Option<ServiceRef> {
    let target = target?;
    if target.kind.as_deref() == Some("MeshServiceSubset") {
        return Some(ServiceRef::tagged(ServiceName::try_from(target.name?).ok()?));
    }
    ServiceRef::read_destination(Some(target), "", &mut Violations::default())
}

/// The service that tags of a destination name, whatever the others.
fn tagged(tags: &Tags) -> Option<ServiceRef> {
    let service = tags.get(SERVICE_TAG).filter(|service| *service != "*")?;
    Some(ServiceRef::tagged(ServiceName::try_from(service.to_owned()).ok()?))
}
