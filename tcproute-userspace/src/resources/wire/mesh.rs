//! Mesh as it is written: all that matters is mTLS.

use serde::{Deserialize, de::IgnoredAny};

use super::Enumerated;

/// A Universal Mesh.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UniversalMesh {
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    // Nothing, and yet some write it.
    #[serde(rename = "mesh")]
    _mesh: Option<IgnoredAny>,
    #[serde(rename = "labels")]
    _labels: Option<IgnoredAny>,
    #[serde(rename = "creationTime")]
    _creation_time: Option<IgnoredAny>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    #[serde(rename = "kri")]
    _kri: Option<IgnoredAny>,
    pub(crate) mtls: Option<Mtls>,
    #[serde(rename = "constraints")]
    _constraints: Option<IgnoredAny>,
    #[serde(rename = "logging")]
    _logging: Option<IgnoredAny>,
    #[serde(rename = "meshServices")]
    _mesh_services: Option<IgnoredAny>,
    #[serde(rename = "metrics")]
    _metrics: Option<IgnoredAny>,
    #[serde(rename = "networking")]
    _networking: Option<IgnoredAny>,
    pub(crate) routing: Option<Routing>,
    #[serde(rename = "skipCreatingInitialPolicies")]
    _skip_creating_initial_policies: Option<IgnoredAny>,
    #[serde(rename = "tracing")]
    _tracing: Option<IgnoredAny>,
}

/// `spec` of a Mesh on Kubernetes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeshSpec {
    pub(crate) mtls: Option<Mtls>,
    #[serde(rename = "constraints")]
    _constraints: Option<IgnoredAny>,
    #[serde(rename = "logging")]
    _logging: Option<IgnoredAny>,
    #[serde(rename = "meshServices")]
    _mesh_services: Option<IgnoredAny>,
    #[serde(rename = "metrics")]
    _metrics: Option<IgnoredAny>,
    #[serde(rename = "networking")]
    _networking: Option<IgnoredAny>,
    pub(crate) routing: Option<Routing>,
    #[serde(rename = "skipCreatingInitialPolicies")]
    _skip_creating_initial_policies: Option<IgnoredAny>,
    #[serde(rename = "tracing")]
    _tracing: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mtls {
    pub(crate) enabled_backend: Option<String>,
    pub(crate) backends: Option<Vec<MtlsBackend>>,
    #[serde(rename = "skipValidation")]
    _skip_validation: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MtlsBackend {
    pub(crate) name: Option<String>,
    pub(crate) mode: Option<Enumerated>,
    // Which authorities there are depends on the build of Kuma.
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    #[serde(rename = "conf")]
    _conf: Option<IgnoredAny>,
    #[serde(rename = "dpCert")]
    _dp_cert: Option<IgnoredAny>,
    #[serde(rename = "rootChain")]
    _root_chain: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Routing {
    pub(crate) zone_egress: Option<bool>,
    #[serde(rename = "localityAwareLoadBalancing")]
    _locality_aware_load_balancing: Option<IgnoredAny>,
    #[serde(rename = "defaultForbidMeshExternalServiceAccess")]
    _default_forbid_mesh_external_service_access: Option<IgnoredAny>,
}
