//! ExternalService as it is written.

use serde::{Deserialize, de::IgnoredAny};

use crate::resources::names::Tags;

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
    #[serde(rename = "kri")]
    _kri: Option<IgnoredAny>,
    pub(crate) tags: Option<Tags>,
    pub(crate) networking: Option<ExternalNetworking>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalNetworking {
    pub(crate) address: Option<String>,
    pub(crate) tls: Option<ExternalTls>,
    #[serde(rename = "disableHostDNSEntry")]
    _disable_host_dns_entry: Option<IgnoredAny>,
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
    #[serde(alias = "server_name")]
    pub(crate) server_name: Option<String>,
}
