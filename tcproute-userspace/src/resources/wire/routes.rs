//! MeshTCPRoute and MeshHTTPRoute as they are written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::TargetRef;
use crate::resources::names::{Labels, Tags};

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
    pub(crate) mesh: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<Labels>,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) tags: Option<Tags>,
    pub(crate) proxy_types: Option<Vec<String>>,
    pub(crate) weight: Option<Weight>,
}

impl BackendRef {
    /// What it refers to, and the weight.
    pub(crate) fn split(self) -> (TargetRef, Option<Weight>) {
        let Self { kind, name, mesh, namespace, labels, section_name, port, tags, proxy_types, weight } =
            self;
        let target = TargetRef { kind, name, mesh, namespace, labels, section_name, port, tags, proxy_types };
        (target, weight)
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
    pub(crate) rules: Option<Vec<HttpRouteRule>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpRouteRule {
    pub(crate) matches: Option<Vec<HttpMatch>>,
    pub(crate) default: Option<HttpRouteConf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteConf {
    pub(crate) backend_refs: Option<Vec<BackendRef>>,
    #[serde(rename = "filters")]
    _filters: Option<IgnoredAny>,
}

/// Requests. But for the path they are only compared: a stronger policy's rule for the same ones takes the place of a
/// weaker one's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpMatch {
    pub(crate) path: Option<HttpPath>,
    pub(crate) method: Option<serde_json::Value>,
    pub(crate) headers: Option<serde_json::Value>,
    pub(crate) query_params: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpPath {
    pub(crate) r#type: Option<String>,
    pub(crate) value: Option<String>,
}
