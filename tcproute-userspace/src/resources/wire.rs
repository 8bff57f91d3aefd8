//! The documents as they are written: serde structs without any rule of their own.
//!
//! Plain structs only: `serde(tag)`, `untagged` and `flatten` lose the place of an error. Every field may be
//! missing, since serde would stop at the first that is; which must be set is for the rules to say. Unknown fields
//! never get here: who reads the document takes them out and reports them all.

mod dataplane;
mod enumerated;
mod external_service;
mod kubernetes;
mod mesh;
mod routes;
mod services;
mod time;
mod transport_security;

use serde::{Deserialize, de::IgnoredAny};

use super::names::{Labels, Tags};
pub(crate) use dataplane::{
    DataplaneNetworking, DataplaneSpec, Gateway, Inbound, Metrics, Outbound, Probes, UniversalDataplane,
};
pub(crate) use enumerated::Enumerated;
pub(crate) use external_service::{ExternalNetworking, ExternalServiceSpec, UniversalExternalService};
pub(crate) use kubernetes::ClusterServiceSpec;
pub(crate) use mesh::{MeshSpec, Mtls, Routing, UniversalMesh};
pub(crate) use routes::{
    BackendRef, HttpMatch, HttpPath, HttpRouteRule, HttpRouteSpec, TcpRouteRule, TcpRouteSpec, TcpRouteTo,
    Weight,
};
pub(crate) use services::{
    ExternalEndpoint, Match, MatchedService, MeshExternalServiceSpec, MeshExternalServiceStatus,
    MeshMultiZoneServiceSpec, MeshServiceSpec, Port, Selector, TargetPort, Vips,
};
pub(crate) use time::Time;
pub(crate) use transport_security::{MeshIdentitySpec, MeshIdentityStatus, MeshTlsSpec};

/// Enough of any document to tell what it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) r#type: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) api_version: Option<String>,
}

impl Envelope {
    /// That of the items of this list, if it tells: an API server leaves it out of each item.
    pub(crate) fn item(&self) -> Option<Self> {
        let kind = self.kind.as_deref()?.strip_suffix("List").filter(|kind| !kind.is_empty())?.to_owned();
        Some(Self { r#type: None, kind: Some(kind), api_version: self.api_version.clone() })
    }
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
    pub(crate) annotations: Option<Labels>,
    pub(crate) creation_timestamp: Option<Time>,
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
    pub(crate) creation_time: Option<Time>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    #[serde(rename = "kri")]
    _kri: Option<IgnoredAny>,
    pub(crate) spec: Option<S>,
    pub(crate) status: Option<T>,
}

/// `targetRef` anywhere, and what a backendRef shares with it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetRef {
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) mesh: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) tags: Option<Tags>,
    pub(crate) proxy_types: Option<Vec<String>>,
}

/// A policy of another kind: only what tells which proxies it is for, and on which connections.
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
    // As TrafficRoute has it.
    pub(crate) conf: Option<TrafficRouteConf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnyPolicySpec {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) to: Option<Vec<PolicyTo>>,
    pub(crate) from: Option<Vec<PolicyFrom>>,
    pub(crate) rules: Option<Vec<PolicyRule>>,
    pub(crate) sources: Option<Vec<LegacySelector>>,
    pub(crate) destinations: Option<Vec<LegacySelector>>,
    pub(crate) selectors: Option<Vec<LegacySelector>>,
    pub(crate) conf: Option<TrafficRouteConf>,
}

/// What a policy is about that is dialled.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyTo {
    pub(crate) target_ref: Option<TargetRef>,
}

/// Whose connections a policy is about that are taken.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyFrom {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) default: Option<PolicyDefault>,
}

/// As `from`, of later versions.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PolicyRule {
    pub(crate) default: Option<PolicyDefault>,
}

/// What a MeshTrafficPermission says. Policies of other kinds have other things in the same place.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PolicyDefault {
    pub(crate) action: Option<String>,
    pub(crate) deny: Option<Vec<IgnoredAny>>,
}

/// How a policy of the first generation selects proxies.
#[derive(Debug, Deserialize)]
pub(crate) struct LegacySelector {
    pub(crate) r#match: Option<Tags>,
}

/// Where a TrafficRoute leads to. Policies of other kinds have other things in the same place.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TrafficRouteConf {
    pub(crate) destination: Option<Tags>,
    pub(crate) split: Option<Vec<TrafficRouteSplit>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct TrafficRouteSplit {
    pub(crate) destination: Option<Tags>,
}
