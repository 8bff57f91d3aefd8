//! Which kind of resource a document is.

use super::{
    cluster_service::ClusterService,
    dataplane::Dataplane,
    external_service::ExternalService,
    identity::Identity,
    mesh::Mesh,
    mesh_external_service::MeshExternalService,
    mesh_http_route::MeshHttpRoute,
    mesh_identity::{MeshIdentity, MeshTls},
    mesh_service::{MeshMultiZoneService, MeshService},
    mesh_tcp_route::MeshTcpRoute,
    names::{MeshName, ResourceName},
    nearest::nearest,
    traffic_route::TrafficRoute,
    wire::Envelope,
};

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
    MeshIdentity,
    MeshTls,
    TrafficRoute,
    /// A Service of Kubernetes.
    ClusterService,
    /// A policy that the proxy enforces, known by name only.
    OtherPolicy(&'static str),
    /// Nothing that bears on routes.
    Irrelevant,
    /// Other objects, in `items`: what `kubectl get -o yaml` prints.
    List,
}

/// How Kuma reads the content of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As protobuf's JSON: a number may be text, a value of an enum a number, and null stands for nothing.
    Protobuf,
    /// By a schema, which takes none of these.
    #[default]
    Schema,
}

/// What is read, by name.
const READ: [(&str, Kind); 11] = [
    (Mesh::KIND, Kind::Mesh),
    (Dataplane::KIND, Kind::Dataplane),
    (ExternalService::KIND, Kind::ExternalService),
    (MeshService::KIND, Kind::MeshService),
    (MeshExternalService::KIND, Kind::MeshExternalService),
    (MeshMultiZoneService::KIND, Kind::MeshMultiZoneService),
    (MeshTcpRoute::KIND, Kind::MeshTcpRoute),
    (MeshHttpRoute::KIND, Kind::MeshHttpRoute),
    (MeshIdentity::KIND, Kind::MeshIdentity),
    (MeshTls::KIND, Kind::MeshTls),
    (TrafficRoute::KIND, Kind::TrafficRoute),
];

/// Policies of Kuma 2.4 and later that act on a connection in the proxy.
const OTHER_POLICIES: [&str; 26] = [
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
    "TrafficTrace",
];

/// Kuma's other resources.
const IRRELEVANT: [&str; 25] = [
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

/// Why it cannot be told what a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongKind {
    /// Where to look.
    pub(crate) field: &'static str,
    /// What is wrong there.
    pub(crate) message: String,
    /// The known kind that is most like a misspelt one.
    pub(crate) suggestion: Option<&'static str>,
    /// Whether it may well be right, and just nothing that is known here.
    pub(crate) is_foreign: bool,
}

impl Kind {
    /// Tells kind and form of a document.
    pub(crate) fn of(envelope: &Envelope) -> Result<(Self, Form), WrongKind> {
        let incomplete = |message: &str, is_foreign| {
            Err(WrongKind { field: "", message: message.to_owned(), suggestion: None, is_foreign })
        };
        // `apiVersion` comes first: a Secret of Kubernetes has a `type` as well.
        match (&envelope.api_version, &envelope.kind, &envelope.r#type) {
            (Some(version), Some(kind), _) => Self::on_kubernetes(version, kind),
            // Such as the Chart.yaml of Helm.
            (Some(version), None, _) => incomplete("has an apiVersion and no kind", !is_kumas(version)),
            (None, _, Some(name)) => {
                named(name).map(|kind| (kind, Form::Universal)).ok_or_else(|| unknown("type", name))
            }
            (None, Some(kind), None) => incomplete("has a kind and no apiVersion", named(kind).is_none()),
            (None, None, None) => {
                incomplete("has neither type (Universal) nor apiVersion and kind (Kubernetes)", true)
            }
        }
    }

    fn on_kubernetes(version: &str, name: &str) -> Result<(Self, Form), WrongKind> {
        let kind = match version {
            _ if is_kumas(version) => match (named(name), name.strip_suffix("List").and_then(named)) {
                (Some(kind), _) => kind,
                (None, Some(_)) => Self::List,
                (None, None) => return Err(unknown("kind", name)),
            },
            "v1" if name == "List" => Self::List,
            "v1" if name == ClusterService::KIND => Self::ClusterService,
            // No other API has these, so the group must be misspelt; a policy must not get lost silently.
            _ if matches!(named(name), Some(Self::MeshTcpRoute | Self::MeshHttpRoute)) => {
                let message = format!("must be kuma.io/v1alpha1 for a {name}");
                let suggestion = Some("kuma.io/v1alpha1");
                return Err(WrongKind { field: "apiVersion", message, suggestion, is_foreign: false });
            }
            _ => Self::Irrelevant,
        };
        Ok((kind, Form::Kubernetes))
    }

    /// Whether so little of it is read that it is another program's to judge.
    pub(crate) const fn is_read_in_part(self) -> bool {
        matches!(
            self,
            Self::OtherPolicy(_)
                | Self::MeshIdentity
                | Self::MeshTls
                | Self::TrafficRoute
                | Self::ClusterService
        )
    }

    /// How Kuma reads its content.
    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Mesh | Self::Dataplane | Self::ExternalService => Encoding::Protobuf,
            _ => Encoding::Schema,
        }
    }

    /// As in `type` or `kind`; `None` for what is not read.
    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Mesh => Mesh::KIND,
            Self::Dataplane => Dataplane::KIND,
            Self::ExternalService => ExternalService::KIND,
            Self::MeshService => MeshService::KIND,
            Self::MeshExternalService => MeshExternalService::KIND,
            Self::MeshMultiZoneService => MeshMultiZoneService::KIND,
            Self::MeshTcpRoute => MeshTcpRoute::KIND,
            Self::MeshHttpRoute => MeshHttpRoute::KIND,
            Self::MeshIdentity => MeshIdentity::KIND,
            Self::MeshTls => MeshTls::KIND,
            Self::TrafficRoute => TrafficRoute::KIND,
            Self::ClusterService => ClusterService::KIND,
            Self::OtherPolicy(kind) => kind,
            Self::Irrelevant | Self::List => return None,
        })
    }

    /// What a resource of this kind is that is not fit to be read, if it has all that makes an identity.
    pub(crate) fn identity(
        self,
        mesh: Option<String>,
        name: String,
        namespace: Option<String>,
    ) -> Option<Identity> {
        let kind = self.name()?;
        if self == Self::Mesh {
            let name = ResourceName { name: name.into(), namespace: None };
            let key = (name.name.parse().ok()?, name);
            return Some(Identity { kind, key });
        }
        let mesh = mesh.map_or(Ok(MeshName::default()), MeshName::try_from).ok()?;
        let name = ResourceName { name: name.into(), namespace: namespace.map(Into::into) };
        Some(Identity { kind, key: (mesh, name) })
    }
}

/// The kind of this name among those of policies that are known by name; otherwise the nearest.
pub(crate) fn other_policy_kind(name: &str) -> Result<&'static str, Option<&'static str>> {
    let known = OTHER_POLICIES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| nearest(name, OTHER_POLICIES))
}

fn is_kumas(version: &str) -> bool {
    version.split_once('/').is_some_and(|(group, _)| group == "kuma.io")
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

/// A kind that is not known. Each version of Kuma brings new ones, so it is wrong only if it looks like a slip of the
/// pen.
fn unknown(field: &'static str, name: &str) -> WrongKind {
    let known = || READ.iter().map(|(known, _)| *known);
    let slip =
        known().find(|known| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()) <= 1);
    let suggestion = slip.or_else(|| nearest(name, known().chain(OTHER_POLICIES).chain(IRRELEVANT)));
    let message = match suggestion {
        Some(near) => format!("unknown kind {name:?}, did you mean {near:?}?"),
        None => format!("unknown kind {name:?}"),
    };
    WrongKind { field, message, suggestion, is_foreign: slip.is_none() }
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
        let wrong = Kind::of(&envelope(Some("MeshTcpRout"), None, None)).unwrap_err();
        assert_eq!(wrong.message, "unknown kind \"MeshTcpRout\", did you mean \"MeshTCPRoute\"?");
        assert_eq!((wrong.field, wrong.is_foreign), ("type", false));
    }

    #[test]
    fn what_is_not_kumas_is_let_be() {
        let let_be = Ok((Kind::Irrelevant, Form::Kubernetes));
        assert_eq!(Kind::of(&envelope(None, Some("Pod"), Some("v1"))), let_be);
        // It has a `type`, but that does not make it a Universal resource.
        assert_eq!(Kind::of(&envelope(Some("Opaque"), Some("Secret"), Some("v1"))), let_be);
        assert_eq!(Kind::of(&envelope(None, Some("Mesh"), Some("appmesh.k8s.aws/v1beta2"))), let_be);
    }

    #[test]
    fn a_route_of_a_misspelt_group_is_not_let_be() {
        let wrong = Kind::of(&envelope(None, Some("MeshTCPRoute"), Some("kuma/v1alpha1"))).unwrap_err();
        assert_eq!(wrong.message, "must be kuma.io/v1alpha1 for a MeshTCPRoute");
        assert_eq!((wrong.field, wrong.is_foreign), ("apiVersion", false));
    }

    #[test]
    fn a_kind_of_a_later_version_is_foreign_and_no_slip() {
        for name in ["MeshUDPRoute", "MeshOpenTelemetryBackend", "MeshZoneAddress"] {
            let wrong = Kind::of(&envelope(Some(name), None, None)).unwrap_err();
            assert!(wrong.is_foreign, "{wrong:?}");
        }
        let chart = Kind::of(&envelope(None, None, Some("v2"))).unwrap_err();
        let ours = Kind::of(&envelope(None, None, Some("kuma.io/v1alpha1"))).unwrap_err();
        assert!(chart.is_foreign && !ours.is_foreign);
    }

    #[test]
    fn lists_are_told() {
        for (kind, version) in [("List", "v1"), ("MeshTCPRouteList", "kuma.io/v1alpha1")] {
            let list = Kind::of(&envelope(None, Some(kind), Some(version)));
            assert_eq!(list, Ok((Kind::List, Form::Kubernetes)));
        }
    }
}
