//! Dataplane as it is written.

use serde::{Deserialize, de::IgnoredAny};

use super::{Enumerated, TargetRef, Time};
use crate::resources::names::{Labels, Tags};

/// `spec` of a Dataplane on Kubernetes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataplaneSpec {
    pub(crate) networking: Option<DataplaneNetworking>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) probes: Option<Probes>,
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
    pub(crate) creation_time: Option<Time>,
    #[serde(rename = "modificationTime")]
    _modification_time: Option<IgnoredAny>,
    #[serde(rename = "kri")]
    _kri: Option<IgnoredAny>,
    pub(crate) networking: Option<DataplaneNetworking>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) probes: Option<Probes>,
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
    pub(crate) gateway: Option<Gateway>,
    pub(crate) listeners: Option<Vec<IgnoredAny>>,
    pub(crate) admin: Option<Admin>,
    #[serde(alias = "transparent_proxying")]
    pub(crate) transparent_proxying: Option<TransparentProxying>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransparentProxying {
    #[serde(alias = "redirect_port_outbound")]
    pub(crate) redirect_port_outbound: Option<u32>,
    #[serde(rename = "redirectPortInbound", alias = "redirect_port_inbound")]
    _redirect_port_inbound: Option<IgnoredAny>,
    #[serde(rename = "redirectPortInboundV6", alias = "redirect_port_inbound_v6")]
    _redirect_port_inbound_v6: Option<IgnoredAny>,
    #[serde(rename = "directAccessServices", alias = "direct_access_services")]
    _direct_access_services: Option<IgnoredAny>,
    #[serde(rename = "reachableServices", alias = "reachable_services")]
    _reachable_services: Option<IgnoredAny>,
    #[serde(rename = "reachableBackends", alias = "reachable_backends")]
    _reachable_backends: Option<IgnoredAny>,
    #[serde(rename = "ipFamilyMode", alias = "ip_family_mode")]
    _ip_family_mode: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inbound {
    pub(crate) port: Option<u32>,
    pub(crate) address: Option<String>,
    pub(crate) health: Option<Health>,
    pub(crate) tags: Option<Tags>,
    pub(crate) protocol: Option<String>,
    pub(crate) service_port: Option<u32>,
    pub(crate) service_address: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(rename = "serviceProbe")]
    _service_probe: Option<IgnoredAny>,
    pub(crate) state: Option<Enumerated>,
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
    /// Apart, since there may be very many outbounds and few have one.
    pub(crate) backend_ref: Option<Box<TargetRef>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) tags: Option<Tags>,
    pub(crate) r#type: Option<Enumerated>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Admin {
    pub(crate) port: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metrics {
    pub(crate) r#type: Option<String>,
    #[serde(rename = "name")]
    _name: Option<IgnoredAny>,
    #[serde(rename = "conf")]
    _conf: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Probes {
    pub(crate) port: Option<u32>,
    pub(crate) endpoints: Option<Vec<ProbeEndpoint>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProbeEndpoint {
    #[serde(alias = "inbound_port")]
    pub(crate) inbound_port: Option<u32>,
    #[serde(alias = "inbound_path")]
    pub(crate) inbound_path: Option<String>,
    pub(crate) path: Option<String>,
}
