//! Kinds of objects: how each is named, and where an API server has it.

use serde_json::{Value, json};

/// A kind of object. A place of one is `namespace/name`, or `name` where there are no namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Empty is the one of pods and services.
    pub group: &'static str,
    /// Of the group.
    pub version: &'static str,
    /// As objects tell it, such as `Pod`.
    pub name: &'static str,
    /// As paths have it, such as `pods`.
    pub plural: &'static str,
    /// Whether each object is in a namespace.
    pub namespaced: bool,
}

impl Kind {
    const fn core(name: &'static str, plural: &'static str, namespaced: bool) -> Self {
        Self { group: "", version: "v1", name, plural, namespaced }
    }

    const fn kuma(name: &'static str, plural: &'static str, namespaced: bool) -> Self {
        Self { group: "kuma.io", version: "v1alpha1", name, plural, namespaced }
    }

    const fn monitoring(name: &'static str, plural: &'static str) -> Self {
        Self { group: "monitoring.coreos.com", version: "v1", name, plural, namespaced: true }
    }

    const fn rbac(name: &'static str, plural: &'static str) -> Self {
        let group = "rbac.authorization.k8s.io";
        Self { group, version: "v1", name, plural, namespaced: false }
    }

    /// As objects tell it: group and version.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of all objects of this kind, or of those of a namespace.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("/{root}/{}{namespace}/{}", self.api_version(), self.plural)
    }

    /// The path of an object.
    pub fn path(&self, place: &str) -> String {
        let (namespace, name) = self.split(place);
        format!("{}/{name}", self.collection(namespace))
    }

    /// An object of this kind at a place; `rest` are its other fields.
    pub fn object(&self, place: &str, rest: Value) -> Value {
        let (namespace, name) = self.split(place);
        let mut object = rest;
        object["apiVersion"] = json!(self.api_version());
        object["kind"] = json!(self.name);
        object["metadata"]["name"] = json!(name);
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    /// The place of an object of this kind.
    pub fn place(&self, object: &Value) -> String {
        let field = |name: &str| object["metadata"][name].as_str();
        let name = field("name").unwrap_or_else(|| panic!("an object without a name: {object}"));
        if !self.namespaced {
            return name.to_owned();
        }
        let namespace = field("namespace").unwrap_or_else(|| panic!("{name} is in no namespace"));
        format!("{namespace}/{name}")
    }

    fn split<'p>(&self, place: &'p str) -> (Option<&'p str>, &'p str) {
        match place.split_once('/') {
            Some((namespace, name)) if self.namespaced => (Some(namespace), name),
            None if !self.namespaced => (None, place),
            _ => panic!("{place:?} is no place of {}", self.plural),
        }
    }
}

/// A namespace.
pub const NAMESPACE: Kind = Kind::core("Namespace", "namespaces", false);
/// A node.
pub const NODE: Kind = Kind::core("Node", "nodes", false);
/// A pod.
pub const POD: Kind = Kind::core("Pod", "pods", true);
/// A service.
pub const SERVICE: Kind = Kind::core("Service", "services", true);
/// Who the processes of a pod are to the API server.
pub const SERVICE_ACCOUNT: Kind = Kind::core("ServiceAccount", "serviceaccounts", true);
/// What there is told of nodes and pods.
pub const EVENT: Kind = Kind::core("Event", "events", true);
/// A ConfigMap.
pub const CONFIG_MAP: Kind = Kind::core("ConfigMap", "configmaps", true);
/// Endpoints of a service.
pub const ENDPOINT_SLICE: Kind = Kind {
    group: "discovery.k8s.io",
    version: "v1",
    name: "EndpointSlice",
    plural: "endpointslices",
    namespaced: true,
};
/// What a user may do.
pub const CLUSTER_ROLE: Kind = Kind::rbac("ClusterRole", "clusterroles");
/// Who may do it.
pub const CLUSTER_ROLE_BINDING: Kind = Kind::rbac("ClusterRoleBinding", "clusterrolebindings");
/// A kind that is added to those of the server.
pub const CUSTOM_RESOURCE_DEFINITION: Kind = Kind {
    group: "apiextensions.k8s.io",
    version: "v1",
    name: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    namespaced: false,
};

/// What of pods the Prometheus Operator has scraped.
pub const POD_MONITOR: Kind = Kind::monitoring("PodMonitor", "podmonitors");
/// By what rules Prometheus tells what is wrong.
pub const PROMETHEUS_RULE: Kind = Kind::monitoring("PrometheusRule", "prometheusrules");

/// Kuma's Mesh.
pub const MESH: Kind = Kind::kuma("Mesh", "meshes", false);
/// Kuma's ExternalService.
pub const EXTERNAL_SERVICE: Kind = Kind::kuma("ExternalService", "externalservices", false);
/// Kuma's TrafficRoute.
pub const TRAFFIC_ROUTE: Kind = Kind::kuma("TrafficRoute", "trafficroutes", false);
/// Kuma's Dataplane.
pub const DATAPLANE: Kind = Kind::kuma("Dataplane", "dataplanes", true);
/// Kuma's MeshTCPRoute.
pub const MESH_TCP_ROUTE: Kind = Kind::kuma("MeshTCPRoute", "meshtcproutes", true);
/// Kuma's MeshHTTPRoute.
pub const MESH_HTTP_ROUTE: Kind = Kind::kuma("MeshHTTPRoute", "meshhttproutes", true);
/// Kuma's MeshTrafficPermission.
pub const MESH_TRAFFIC_PERMISSION: Kind = Kind::kuma("MeshTrafficPermission", "meshtrafficpermissions", true);
/// Kuma's MeshTimeout.
pub const MESH_TIMEOUT: Kind = Kind::kuma("MeshTimeout", "meshtimeouts", true);
/// Kuma's MeshMetric, which came with other rules for policies.
pub const MESH_METRIC: Kind = Kind::kuma("MeshMetric", "meshmetrics", true);
/// Kuma's MeshService.
pub const MESH_SERVICE: Kind = Kind::kuma("MeshService", "meshservices", true);
/// Kuma's MeshExternalService.
pub const MESH_EXTERNAL_SERVICE: Kind = Kind::kuma("MeshExternalService", "meshexternalservices", true);
/// Kuma's MeshMultiZoneService.
pub const MESH_MULTI_ZONE_SERVICE: Kind = Kind::kuma("MeshMultiZoneService", "meshmultizoneservices", true);
/// Kuma's HostnameGenerator.
pub const HOSTNAME_GENERATOR: Kind = Kind::kuma("HostnameGenerator", "hostnamegenerators", true);
/// Kuma's MeshIdentity.
pub const MESH_IDENTITY: Kind = Kind::kuma("MeshIdentity", "meshidentities", true);
/// Kuma's MeshTLS.
pub const MESH_TLS: Kind = Kind::kuma("MeshTLS", "meshtlses", true);

/// All of Kuma's.
pub const KUMA: [Kind; 15] = [
    MESH,
    EXTERNAL_SERVICE,
    TRAFFIC_ROUTE,
    DATAPLANE,
    MESH_TCP_ROUTE,
    MESH_HTTP_ROUTE,
    MESH_TRAFFIC_PERMISSION,
    MESH_TIMEOUT,
    MESH_METRIC,
    MESH_SERVICE,
    MESH_EXTERNAL_SERVICE,
    MESH_MULTI_ZONE_SERVICE,
    HOSTNAME_GENERATOR,
    MESH_IDENTITY,
    MESH_TLS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_where_an_api_server_has_them() {
        assert_eq!(POD.path("demo/web-1"), "/api/v1/namespaces/demo/pods/web-1");
        assert_eq!(DATAPLANE.collection(None), "/apis/kuma.io/v1alpha1/dataplanes");
        assert_eq!(MESH.path("default"), "/apis/kuma.io/v1alpha1/meshes/default");
        let object = DATAPLANE.object("demo/web-1", json!({"mesh": "default", "metadata": {"uid": "1"}}));
        let expected = json!({
            "apiVersion": "kuma.io/v1alpha1",
            "kind": "Dataplane",
            "mesh": "default",
            "metadata": {"name": "web-1", "namespace": "demo", "uid": "1"},
        });
        assert_eq!(object, expected);
        assert_eq!(DATAPLANE.place(&object), "demo/web-1");
    }
}
