//! The kinds that are watched, and what each is for.

/// A kind of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WatchedKind {
    /// Empty for those of Kubernetes itself.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
}

/// Which of its objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// All.
    Everywhere,
    /// Those of this node.
    Node,
    /// Those of the namespace of the control plane.
    SystemNamespace,
}

const fn kuma(plural: &'static str, kind: &'static str) -> WatchedKind {
    WatchedKind { group: "kuma.io", version: "v1alpha1", plural, kind, scope: Scope::Everywhere }
}

const fn core(plural: &'static str, kind: &'static str, scope: Scope) -> WatchedKind {
    WatchedKind { group: "", version: "v1", plural, kind, scope }
}

/// The pods of this node.
pub(super) const PODS: WatchedKind = core("pods", "Pod", Scope::Node);
/// For meshes and injection.
pub(super) const NAMESPACES: WatchedKind = core("namespaces", "Namespace", Scope::Everywhere);
/// What pods dial, and what their Dataplanes will be.
pub(super) const SERVICES: WatchedKind = core("services", "Service", Scope::Everywhere);
/// Where the control plane keeps what pods dial (2.4 to 2.14).
pub(super) const CONFIG_MAPS: WatchedKind = core("configmaps", "ConfigMap", Scope::SystemNamespace);

/// Endpoints of pods that have no Dataplane, where such pods are workloads.
pub(super) const ENDPOINT_SLICES: WatchedKind = WatchedKind {
    group: "discovery.k8s.io",
    version: "v1",
    plural: "endpointslices",
    kind: "EndpointSlice",
    scope: Scope::Everywhere,
};

/// Where it is seen that kinds come and go. They are long, so only their names are asked for.
pub(super) const DEFINITIONS: WatchedKind = WatchedKind {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    kind: "CustomResourceDefinition",
    scope: Scope::Everywhere,
};

/// Those of Kubernetes itself, which are always there.
pub(super) const CORE: [WatchedKind; 4] = [PODS, NAMESPACES, SERVICES, CONFIG_MAPS];

/// Workloads.
pub(super) const DATAPLANES: WatchedKind = kuma("dataplanes", "Dataplane");
/// What is put in force.
pub(super) const MESH_TCP_ROUTES: WatchedKind = kuma("meshtcproutes", "MeshTCPRoute");

/// Kuma's, each of which may not be installed.
pub(super) const KUMA: [WatchedKind; 23] = [
    kuma("meshes", "Mesh"),
    DATAPLANES,
    MESH_TCP_ROUTES,
    kuma("meshhttproutes", "MeshHTTPRoute"),
    kuma("externalservices", "ExternalService"),
    kuma("meshservices", "MeshService"),
    kuma("meshexternalservices", "MeshExternalService"),
    kuma("meshmultizoneservices", "MeshMultiZoneService"),
    kuma("meshidentities", "MeshIdentity"),
    kuma("meshtlses", "MeshTLS"),
    kuma("trafficroutes", "TrafficRoute"),
    // What a bypass gives up.
    kuma("meshaccesslogs", "MeshAccessLog"),
    kuma("meshcircuitbreakers", "MeshCircuitBreaker"),
    kuma("meshfaultinjections", "MeshFaultInjection"),
    kuma("meshhealthchecks", "MeshHealthCheck"),
    kuma("meshloadbalancingstrategies", "MeshLoadBalancingStrategy"),
    kuma("meshpassthroughs", "MeshPassthrough"),
    kuma("meshproxypatches", "MeshProxyPatch"),
    kuma("meshratelimits", "MeshRateLimit"),
    kuma("meshretries", "MeshRetry"),
    kuma("meshtimeouts", "MeshTimeout"),
    kuma("meshtraces", "MeshTrace"),
    kuma("meshtrafficpermissions", "MeshTrafficPermission"),
];

/// Where Kuma's kinds are looked for.
pub(super) const DISCOVERY: &str = "/apis/kuma.io/v1alpha1";

/// Whether the definition of this name is of a kind of Kuma.
pub(super) fn defines_kumas(definition: &str) -> bool {
    definition.ends_with(".kuma.io")
}

impl WatchedKind {
    /// Whether it is one that may not be installed.
    pub(super) fn is_kumas(&self) -> bool {
        self.group == "kuma.io"
    }

    /// As in `apiVersion`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// In which form its objects are asked for.
    pub(super) fn accepted(&self) -> &'static str {
        if *self == DEFINITIONS {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
        } else {
            "application/json"
        }
    }

    /// The path of its objects.
    pub(super) fn path(&self, system_namespace: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match self.scope {
            Scope::Everywhere | Scope::Node => format!("{root}/{}", self.plural),
            Scope::SystemNamespace => format!("{root}/namespaces/{system_namespace}/{}", self.plural),
        }
    }

    /// The rule that an operator has to add where it is forbidden.
    pub(super) fn rule(&self, system_namespace: &str) -> String {
        let place = match self.scope {
            Scope::Everywhere | Scope::Node => "a ClusterRole".to_owned(),
            Scope::SystemNamespace => format!("a Role in the namespace {system_namespace}"),
        };
        let (group, plural) = (self.group, self.plural);
        format!("{place} needs {{apiGroups: [\"{group}\"], resources: [{plural}], verbs: [list, watch]}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_path() {
        let paths: Vec<String> =
            [KUMA[2], PODS, CONFIG_MAPS].iter().map(|kind| kind.path("kuma-system")).collect();
        assert_eq!(
            paths,
            [
                "/apis/kuma.io/v1alpha1/meshtcproutes",
                "/api/v1/pods",
                "/api/v1/namespaces/kuma-system/configmaps"
            ]
        );
        assert_eq!(
            (KUMA[0].api_version(), PODS.api_version()),
            ("kuma.io/v1alpha1".to_owned(), "v1".to_owned())
        );
    }
}
