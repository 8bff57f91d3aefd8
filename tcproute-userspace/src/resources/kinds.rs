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

impl Form {
    /// The field that holds the name of a resource.
    pub(crate) const fn name_path(self) -> &'static str {
        match self {
            Self::Universal => "name",
            Self::Kubernetes => "metadata.name",
        }
    }
}

/// What to do with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mesh,
    Dataplane,
    ExternalService,
    MeshService,
    MeshExternalService,
    MeshMultiZoneService,
    MeshTcpRoute,
    MeshHttpRoute,
    /// A policy that the proxy enforces, known by name only.
    OtherPolicy(&'static str),
    /// Nothing that bears on routes.
    Irrelevant,
    /// Other objects, in `items`: what `kubectl get -o yaml` prints.
    List,
}

/// What is read, by name.
const READ: [(&str, Kind); 8] = [
    ("Mesh", Kind::Mesh),
    ("Dataplane", Kind::Dataplane),
    ("ExternalService", Kind::ExternalService),
    ("MeshService", Kind::MeshService),
    ("MeshExternalService", Kind::MeshExternalService),
    ("MeshMultiZoneService", Kind::MeshMultiZoneService),
    ("MeshTCPRoute", Kind::MeshTcpRoute),
    ("MeshHTTPRoute", Kind::MeshHttpRoute),
];

/// Policies of Kuma 2.4 and later that act on a connection in the proxy.
const OTHER_POLICIES: [&str; 28] = [
    "CircuitBreaker",
    "FaultInjection",
    "HealthCheck",
    "MeshAccessLog",
    "MeshCircuitBreaker",
    "MeshFaultInjection",
    "MeshGlobalRateLimit",
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
const IRRELEVANT: [&str; 26] = [
    "AccessAudit",
    "AccessRole",
    "AccessRoleBinding",
    "Config",
    "ContainerPatch",
    "DataplaneInsight",
    "DataplaneOverview",
    "GlobalSecret",
    "HostnameGenerator",
    "MeshGateway",
    "MeshGatewayConfig",
    "MeshGatewayInstance",
    "MeshGatewayRoute",
    "MeshIdentity",
    "MeshInsight",
    "MeshTrust",
    "Secret",
    "ServiceInsight",
    "VirtualOutbound",
    "Workload",
    "Zone",
    "ZoneEgress",
    "ZoneEgressInsight",
    "ZoneIngress",
    "ZoneIngressInsight",
    "ZoneInsight",
];

impl Kind {
    /// Tells kind and form of a document; the error is a field and what is wrong with it.
    pub(crate) fn of(envelope: &Envelope) -> Result<(Self, Form), (&'static str, String)> {
        // `apiVersion` comes first: a Secret of Kubernetes has a `type` as well.
        match (&envelope.api_version, &envelope.kind, &envelope.r#type) {
            (Some(version), Some(kind), _) => Self::on_kubernetes(version, kind),
            (Some(_), None, _) => Err(("", "has an apiVersion and no kind".to_owned())),
            (None, _, Some(name)) => {
                named(name).map(|kind| (kind, Form::Universal)).ok_or_else(|| ("type", unknown(name)))
            }
            (None, Some(_), None) => Err(("", "has a kind and no apiVersion".to_owned())),
            (None, None, None) => {
                Err(("", "has neither type (Universal) nor apiVersion and kind (Kubernetes)".to_owned()))
            }
        }
    }

    fn on_kubernetes(version: &str, name: &str) -> Result<(Self, Form), (&'static str, String)> {
        let kind = match version.split_once('/') {
            Some(("kuma.io", _)) => match (named(name), name.strip_suffix("List").and_then(named)) {
                (Some(kind), _) => kind,
                (None, Some(_)) => Self::List,
                (None, None) => return Err(("kind", unknown(name))),
            },
            None if (version, name) == ("v1", "List") => Self::List,
            // No other API has these, so the group must be misspelt; a policy must not get lost silently.
            _ if matches!(named(name), Some(Self::MeshTcpRoute | Self::MeshHttpRoute)) => {
                return Err(("apiVersion", format!("must be kuma.io/v1alpha1 for a {name}")));
            }
            _ => Self::Irrelevant,
        };
        Ok((kind, Form::Kubernetes))
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

/// The known kind that is most like a misspelt one.
pub(crate) fn nearest_kind(name: &str) -> Option<&'static str> {
    nearest(name, READ.iter().map(|(known, _)| *known).chain(OTHER_POLICIES).chain(IRRELEVANT))
}

fn unknown(name: &str) -> String {
    match nearest_kind(name) {
        Some(near) => format!("unknown kind {name:?}, did you mean {near:?}?"),
        None => format!("unknown kind {name:?}"),
    }
}

/// The known name that is most like a misspelt one, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What differs much in length is not alike, and the distance of long names is dear.
    let alike = |known: &&str| name.len().abs_diff(known.len()) <= name.len().max(known.len()) / 3;
    let near =
        |known: &'a str| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known);
    let (distance, best) = known.into_iter().filter(alike).map(near).min()?;
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
        let let_be = Ok((Kind::Irrelevant, Form::Kubernetes));
        assert_eq!(Kind::of(&envelope(None, Some("Service"), Some("v1"))), let_be);
        // It has a `type`, but that does not make it a Universal resource.
        assert_eq!(Kind::of(&envelope(Some("Opaque"), Some("Secret"), Some("v1"))), let_be);
        assert_eq!(Kind::of(&envelope(None, Some("Mesh"), Some("appmesh.k8s.aws/v1beta2"))), let_be);
    }

    #[test]
    fn a_route_of_a_misspelt_group_is_not_let_be() {
        let (field, message) =
            Kind::of(&envelope(None, Some("MeshTCPRoute"), Some("kuma/v1alpha1"))).unwrap_err();
        assert_eq!((field, message.as_str()), ("apiVersion", "must be kuma.io/v1alpha1 for a MeshTCPRoute"));
    }

    #[test]
    fn lists_are_told() {
        for (kind, version) in [("List", "v1"), ("MeshTCPRouteList", "kuma.io/v1alpha1")] {
            let list = Kind::of(&envelope(None, Some(kind), Some(version)));
            assert_eq!(list, Ok((Kind::List, Form::Kubernetes)));
        }
    }

    #[test]
    fn nothing_near_is_proposed_for_nonsense() {
        assert_eq!(nearest("xyzzy", ["weight", "name"]), None);
        assert_eq!(nearest("wieght", ["weight", "name"]), Some("weight"));
    }
}
