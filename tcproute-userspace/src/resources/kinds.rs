//! Which kind of resource a document is.

use super::wire::Envelope;

/// The two ways to write a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With `type`.
    Universal,
    /// With `apiVersion`, `kind` and `metadata`.
    Kubernetes,
}

/// What to do with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mesh,
    Dataplane,
    ExternalService,
    MeshTcpRoute,
    MeshHttpRoute,
    /// A policy that the proxy enforces, known by name only.
    OtherPolicy(&'static str),
    /// Nothing that bears on routes.
    Irrelevant,
}

/// What is read, by name.
const READ: [(&str, Kind); 5] = [
    ("Mesh", Kind::Mesh),
    ("Dataplane", Kind::Dataplane),
    ("ExternalService", Kind::ExternalService),
    ("MeshTCPRoute", Kind::MeshTcpRoute),
    ("MeshHTTPRoute", Kind::MeshHttpRoute),
];

/// Policies of Kuma 2.4 and later that act on a connection in the proxy.
const OTHER_POLICIES: [&str; 27] = [
    "CircuitBreaker",
    "FaultInjection",
    "HealthCheck",
    "MeshAccessLog",
    "MeshCircuitBreaker",
    "MeshFaultInjection",
    "MeshHealthCheck",
    "MeshLoadBalancingStrategy",
    "MeshMetric",
    "MeshOPA",
    "MeshPassthrough",
    "MeshProxyPatch",
    "MeshRateLimit",
    "MeshRetry",
    "MeshTLS",
    "MeshTimeout",
    "MeshTrace",
    "MeshTrafficPermission",
    "OPAPolicy",
    "ProxyTemplate",
    "RateLimit",
    "Retry",
    "Timeout",
    "TrafficLog",
    "TrafficPermission",
    "TrafficRoute",
    "TrafficTrace",
];

/// Kuma's other resources.
const IRRELEVANT: [&str; 20] = [
    "AccessLog",
    "AccessRole",
    "AccessRoleBinding",
    "ContainerPatch",
    "DataplaneInsight",
    "GlobalSecret",
    "HostnameGenerator",
    "MeshGateway",
    "MeshGatewayConfig",
    "MeshGatewayInstance",
    "MeshGatewayRoute",
    "MeshGlobalRateLimit",
    "MeshInsight",
    "Secret",
    "ServiceInsight",
    "VirtualOutbound",
    "Zone",
    "ZoneEgress",
    "ZoneIngress",
    "ZoneInsight",
];

impl Kind {
    /// Tells kind and form of a document; the error is a field and what is wrong with it.
    pub(crate) fn of(envelope: &Envelope) -> Result<(Self, Form), (&'static str, String)> {
        if let Some(name) = &envelope.r#type {
            return named(name).map(|kind| (kind, Form::Universal)).ok_or_else(|| ("type", unknown(name)));
        }
        let Some(name) = &envelope.kind else {
            return Err(("", "has neither type (Universal) nor apiVersion and kind (Kubernetes)".to_owned()));
        };
        match envelope.api_version.as_deref() {
            Some(version) if version.starts_with("kuma.io/") => {
                named(name).map(|kind| (kind, Form::Kubernetes)).ok_or_else(|| ("kind", unknown(name)))
            }
            Some(_) => Ok((Self::Irrelevant, Form::Kubernetes)),
            None => Err(("", "has a kind and no apiVersion".to_owned())),
        }
    }
}

fn named(name: &str) -> Option<Kind> {
    if let Some((_, kind)) = READ.iter().find(|(known, _)| *known == name) {
        return Some(*kind);
    }
    if let Some(policy) = OTHER_POLICIES.iter().find(|known| **known == name) {
        return Some(Kind::OtherPolicy(policy));
    }
    IRRELEVANT.contains(&name).then_some(Kind::Irrelevant)
}

fn unknown(name: &str) -> String {
    let known = READ.iter().map(|(known, _)| *known).chain(OTHER_POLICIES).chain(IRRELEVANT);
    match nearest(name, known) {
        Some(near) => format!("unknown kind {name:?}, did you mean {near:?}?"),
        None => format!("unknown kind {name:?}"),
    }
}

/// The known name that is most like a misspelt one, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near =
        |known: &'a str| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known);
    let (distance, best) = known.into_iter().map(near).min()?;
    (distance <= name.len().max(best.len()) / 3).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(r#type: Option<&str>, kind: Option<&str>, api_version: Option<&str>) -> Envelope {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Envelope { r#type: owned(r#type), kind: owned(kind), api_version: owned(api_version) }
    }

    #[test]
    fn both_forms_are_told_apart() {
        let universal = Kind::of(&envelope(Some("MeshTCPRoute"), None, None));
        assert_eq!(universal, Ok((Kind::MeshTcpRoute, Form::Universal)));
        let kubernetes = Kind::of(&envelope(None, Some("MeshTCPRoute"), Some("kuma.io/v1alpha1")));
        assert_eq!(kubernetes, Ok((Kind::MeshTcpRoute, Form::Kubernetes)));
    }

    #[test]
    fn a_misspelt_kind_names_the_nearest() {
        let (field, message) = Kind::of(&envelope(Some("MeshTcpRout"), None, None)).unwrap_err();
        assert_eq!(
            (field, message.as_str()),
            ("type", "unknown kind \"MeshTcpRout\", did you mean \"MeshTCPRoute\"?")
        );
    }

    #[test]
    fn what_is_not_kumas_is_let_be() {
        let service = Kind::of(&envelope(None, Some("Service"), Some("v1")));
        assert_eq!(service, Ok((Kind::Irrelevant, Form::Kubernetes)));
    }

    #[test]
    fn nothing_near_is_proposed_for_nonsense() {
        assert_eq!(nearest("xyzzy", ["weight", "name"]), None);
        assert_eq!(nearest("wieght", ["weight", "name"]), Some("weight"));
    }
}
