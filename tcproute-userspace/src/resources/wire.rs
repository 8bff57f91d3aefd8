//! The documents as they are written: serde structs without any rule of their own.
//!
//! Plain structs only: `serde(tag)`, `untagged` and `flatten` lose the place of an error. Every field may be
//! missing, since serde would stop at the first that is; which must be set is for the rules to say. Unknown fields
//! never get here: who reads the document takes them out and reports them all.

mod services;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::names::{Labels, Tags};
pub(crate) use services::{
    ExternalEndpoint, MeshExternalServiceSpec, MeshExternalServiceStatus, MeshMultiZoneServiceSpec,
    MeshServiceSpec, Port, TargetPort, Vips,
};

/// Enough of any document to tell what it is.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) r#type: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) api_version: Option<String>,
}

/// The Kubernetes form of any resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kubernetes<S, T = IgnoredAny> {
    #[serde(rename = "apiVersion")]
    _api_version: Option<IgnoredAny>,
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) mesh: Option<String>,
    pub(crate) spec: Option<S>,
    pub(crate) status: Option<T>,
}

/// `metadata`, whose other fields are the API server's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<Labels>,
    #[serde(rename = "annotations")]
    _annotations: Option<IgnoredAny>,
    #[serde(rename = "creationTimestamp")]
    _creation_timestamp: Option<IgnoredAny>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: Option<IgnoredAny>,
    #[serde(rename = "deletionTimestamp")]
    _deletion_timestamp: Option<IgnoredAny>,
    #[serde(rename = "finalizers")]
    _finalizers: Option<IgnoredAny>,
    #[serde(rename = "generateName")]
    _generate_name: Option<IgnoredAny>,
    #[serde(rename = "generation")]
    _generation: Option<IgnoredAny>,
    #[serde(rename = "managedFields")]
    _managed_fields: Option<IgnoredAny>,
    #[serde(rename = "ownerReferences")]
    _owner_references: Option<IgnoredAny>,
    #[serde(rename = "resourceVersion")]
    _resource_version: Option<IgnoredAny>,
    #[serde(rename = "selfLink")]
    _self_link: Option<IgnoredAny>,
    #[serde(rename = "uid")]
    _uid: Option<IgnoredAny>,
}

/// The Universal form of a resource with `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Universal<S, T = IgnoredAny> {
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    pub(crate) mesh: Option<String>,
    pub(crate) labels: Option<Labels>,
    #[serde(rename = "creationTime")]
    _creation_time: Option<IgnoredAny>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    pub(crate) spec: Option<S>,
    pub(crate) status: Option<T>,
}

/// `targetRef` anywhere, and what a backendRef shares with it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetRef {
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) tags: Option<Tags>,
}

/// `spec` of a `MeshTCPRoute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TcpRouteSpec {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) to: Option<Vec<TcpRouteTo>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TcpRouteTo {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) rules: Option<Vec<TcpRouteRule>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TcpRouteRule {
    pub(crate) default: Option<TcpRouteConf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TcpRouteConf {
    pub(crate) backend_refs: Option<Vec<BackendRef>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackendRef {
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) tags: Option<Tags>,
    pub(crate) weight: Option<Weight>,
}

impl BackendRef {
    /// What it refers to, and the weight.
    pub(crate) fn split(self) -> (TargetRef, Option<Weight>) {
        let Self { kind, name, namespace, labels, section_name, port, tags, weight } = self;
        (TargetRef { kind, name, namespace, labels, section_name, port, tags }, weight)
    }
}

/// A weight that may turn out to be none, so that the violations beside it are still found.
#[derive(Debug)]
pub(crate) struct Weight(pub(crate) Option<u32>);

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl<'de> Visitor<'de> for AnyNumber {
            type Value = Weight;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 to 4294967295")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Weight, E> {
                Ok(Weight(u32::try_from(number).ok()))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Weight, E> {
                Ok(Weight(None))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Weight, E> {
                Ok(Weight(None))
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Weight, E> {
                Ok(Weight(None))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Weight, E> {
                Ok(Weight(None))
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Weight, E> {
                Ok(Weight(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Weight, A::Error> {
                Ok(Weight(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Weight, A::Error> {
                Ok(Weight(None))
            }
        }

        deserializer.deserialize_any(AnyNumber)
    }
}

/// `spec` of a `MeshHTTPRoute`: only what tells which proxies and destinations it covers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteSpec {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) to: Option<Vec<HttpRouteTo>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteTo {
    pub(crate) target_ref: Option<TargetRef>,
    #[serde(rename = "hostnames")]
    _hostnames: Option<IgnoredAny>,
    #[serde(rename = "rules")]
    _rules: Option<IgnoredAny>,
}

/// `spec` of a Dataplane on Kubernetes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataplaneSpec {
    pub(crate) networking: Option<DataplaneNetworking>,
    #[serde(rename = "metrics")]
    _metrics: Option<IgnoredAny>,
    #[serde(rename = "probes")]
    _probes: Option<IgnoredAny>,
    #[serde(rename = "envoy")]
    _envoy: Option<IgnoredAny>,
}

/// A Universal Dataplane.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UniversalDataplane {
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    pub(crate) mesh: Option<String>,
    pub(crate) labels: Option<Labels>,
    #[serde(rename = "creationTime")]
    _creation_time: Option<IgnoredAny>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    pub(crate) networking: Option<DataplaneNetworking>,
    #[serde(rename = "metrics")]
    _metrics: Option<IgnoredAny>,
    #[serde(rename = "probes")]
    _probes: Option<IgnoredAny>,
    #[serde(rename = "envoy")]
    _envoy: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataplaneNetworking {
    pub(crate) address: Option<String>,
    pub(crate) advertised_address: Option<String>,
    pub(crate) inbound: Option<Vec<Inbound>>,
    pub(crate) outbound: Option<Vec<Outbound>>,
    #[serde(rename = "gateway")]
    _gateway: Option<IgnoredAny>,
    #[serde(rename = "admin")]
    _admin: Option<IgnoredAny>,
    #[serde(rename = "transparentProxying", alias = "transparent_proxying")]
    _transparent_proxying: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inbound {
    pub(crate) port: Option<u32>,
    pub(crate) address: Option<String>,
    pub(crate) health: Option<Health>,
    pub(crate) tags: Option<Tags>,
    #[serde(rename = "servicePort")]
    _service_port: Option<IgnoredAny>,
    #[serde(rename = "serviceAddress")]
    _service_address: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    #[serde(rename = "serviceProbe")]
    _service_probe: Option<IgnoredAny>,
    pub(crate) state: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Health {
    pub(crate) ready: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outbound {
    pub(crate) port: Option<u32>,
    pub(crate) address: Option<String>,
    pub(crate) tags: Option<Tags>,
    pub(crate) backend_ref: Option<TargetRef>,
}

/// `spec` of an ExternalService on Kubernetes.
#[derive(Debug, Deserialize)]
pub(crate) struct ExternalServiceSpec {
    pub(crate) tags: Option<Tags>,
    pub(crate) networking: Option<ExternalNetworking>,
}

/// A Universal ExternalService.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UniversalExternalService {
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    pub(crate) mesh: Option<String>,
    #[serde(rename = "labels")]
    _labels: Option<IgnoredAny>,
    #[serde(rename = "creationTime")]
    _creation_time: Option<IgnoredAny>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    pub(crate) tags: Option<Tags>,
    pub(crate) networking: Option<ExternalNetworking>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExternalNetworking {
    pub(crate) address: Option<String>,
    pub(crate) tls: Option<ExternalTls>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalTls {
    pub(crate) enabled: Option<bool>,
    #[serde(rename = "caCert", alias = "ca_cert")]
    _ca_cert: Option<IgnoredAny>,
    #[serde(rename = "clientCert", alias = "client_cert")]
    _client_cert: Option<IgnoredAny>,
    #[serde(rename = "clientKey", alias = "client_key")]
    _client_key: Option<IgnoredAny>,
    #[serde(rename = "allowRenegotiation")]
    _allow_renegotiation: Option<IgnoredAny>,
    #[serde(rename = "skipHostnameVerification")]
    _skip_hostname_verification: Option<IgnoredAny>,
    #[serde(rename = "serverName", alias = "server_name")]
    _server_name: Option<IgnoredAny>,
}

/// A Universal Mesh: all that matters is mTLS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UniversalMesh {
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    pub(crate) name: Option<String>,
    #[serde(rename = "labels")]
    _labels: Option<IgnoredAny>,
    #[serde(rename = "creationTime")]
    _creation_time: Option<IgnoredAny>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
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
    #[serde(rename = "routing")]
    _routing: Option<IgnoredAny>,
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
    #[serde(rename = "routing")]
    _routing: Option<IgnoredAny>,
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
    pub(crate) mode: Option<String>,
    #[serde(rename = "type")]
    _type: Option<IgnoredAny>,
    #[serde(rename = "conf")]
    _conf: Option<IgnoredAny>,
    #[serde(rename = "dpCert")]
    _dp_cert: Option<IgnoredAny>,
    #[serde(rename = "rootChain")]
    _root_chain: Option<IgnoredAny>,
}

/// A policy of another kind: only what tells which proxies it is for.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyPolicy {
    pub(crate) name: Option<String>,
    pub(crate) mesh: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) spec: Option<AnyPolicySpec>,
    // Universal policies of the first generation have these at top level.
    pub(crate) sources: Option<Vec<LegacySelector>>,
    pub(crate) destinations: Option<Vec<LegacySelector>>,
    pub(crate) selectors: Option<Vec<LegacySelector>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnyPolicySpec {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) sources: Option<Vec<LegacySelector>>,
    pub(crate) destinations: Option<Vec<LegacySelector>>,
    pub(crate) selectors: Option<Vec<LegacySelector>>,
}

/// How a policy of the first generation selects proxies.
#[derive(Debug, Deserialize)]
pub(crate) struct LegacySelector {
    pub(crate) r#match: Option<Tags>,
}
