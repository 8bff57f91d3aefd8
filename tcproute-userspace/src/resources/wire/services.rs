//! MeshService, MeshExternalService and MeshMultiZoneService as they are written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::resources::names::{Labels, Tags};

/// `spec` of a MeshService.
#[derive(Debug, Deserialize)]
pub(crate) struct MeshServiceSpec {
    pub(crate) selector: Option<Selector>,
    pub(crate) ports: Option<Vec<Port>>,
    #[serde(rename = "identities")]
    _identities: Option<IgnoredAny>,
    pub(crate) state: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) dataplane_tags: Option<Tags>,
    pub(crate) dataplane_ref: Option<DataplaneName>,
    pub(crate) dataplane_labels: Option<LabelSelector>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DataplaneName {
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelSelector {
    pub(crate) match_labels: Option<Labels>,
}

/// A port of a MeshService or MeshMultiZoneService.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) port: Option<i32>,
    pub(crate) target_port: Option<TargetPort>,
    pub(crate) name: Option<String>,
    #[serde(alias = "protocol")]
    pub(crate) app_protocol: Option<String>,
}

/// The number or name of an inbound, or something that is neither.
#[derive(Debug)]
pub(crate) enum TargetPort {
    Number(i64),
    Name(String),
    Wrong,
}

impl<'de> Deserialize<'de> for TargetPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl<'de> Visitor<'de> for NumberOrName {
            type Value = TargetPort;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port or the name of an inbound")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TargetPort, E> {
                Ok(i64::try_from(number).map_or(TargetPort::Wrong, TargetPort::Number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TargetPort, E> {
                Ok(TargetPort::Number(number))
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<TargetPort, E> {
                Ok(TargetPort::Wrong)
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<TargetPort, E> {
                Ok(TargetPort::Wrong)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<TargetPort, A::Error> {
                Ok(TargetPort::Wrong)
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<TargetPort, A::Error> {
                Ok(TargetPort::Wrong)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<TargetPort, E> {
                Ok(TargetPort::Wrong)
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TargetPort, E> {
                Ok(TargetPort::Name(name.to_owned()))
            }
        }

        deserializer.deserialize_any(NumberOrName)
    }
}

/// `status` of a MeshService or MeshMultiZoneService.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Vips {
    pub(crate) vips: Option<Vec<Vip>>,
    #[serde(rename = "addresses")]
    _addresses: Option<IgnoredAny>,
    #[serde(rename = "dataplaneProxies")]
    _dataplane_proxies: Option<IgnoredAny>,
    #[serde(rename = "hostnameGenerators")]
    _hostname_generators: Option<IgnoredAny>,
    pub(crate) mesh_services: Option<Vec<MatchedService>>,
    #[serde(rename = "tls")]
    _tls: Option<IgnoredAny>,
}

/// A MeshService that a MeshMultiZoneService has found.
#[derive(Debug, Deserialize)]
pub(crate) struct MatchedService {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) zone: Option<String>,
    #[serde(rename = "mesh")]
    _mesh: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vip {
    pub(crate) ip: Option<String>,
}

/// `spec` of a MeshMultiZoneService.
#[derive(Debug, Deserialize)]
pub(crate) struct MeshMultiZoneServiceSpec {
    pub(crate) selector: Option<MultiZoneSelector>,
    pub(crate) ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MultiZoneSelector {
    pub(crate) mesh_service: Option<LabelSelector>,
}

/// `spec` of a MeshExternalService.
#[derive(Debug, Deserialize)]
pub(crate) struct MeshExternalServiceSpec {
    pub(crate) r#match: Option<Match>,
    pub(crate) endpoints: Option<Vec<ExternalEndpoint>>,
    pub(crate) tls: Option<ServiceTls>,
    pub(crate) extension: Option<Extension>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Extension {
    pub(crate) r#type: Option<String>,
    #[serde(rename = "config")]
    _config: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Match {
    pub(crate) port: Option<u32>,
    pub(crate) protocol: Option<String>,
    pub(crate) r#type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExternalEndpoint {
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u32>,
    #[serde(rename = "priority")]
    _priority: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceTls {
    pub(crate) enabled: Option<bool>,
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    #[serde(rename = "allowRenegotiation")]
    _allow_renegotiation: Option<IgnoredAny>,
    #[serde(rename = "verification")]
    _verification: Option<IgnoredAny>,
}

/// `status` of a MeshExternalService.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeshExternalServiceStatus {
    pub(crate) vip: Option<Vip>,
    #[serde(rename = "addresses")]
    _addresses: Option<IgnoredAny>,
    #[serde(rename = "hostnameGenerators")]
    _hostname_generators: Option<IgnoredAny>,
}
