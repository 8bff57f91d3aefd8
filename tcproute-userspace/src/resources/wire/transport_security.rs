//! MeshIdentity and MeshTLS as they are written: only what tells which servers refuse plaintext.

use serde::Deserialize;

use super::{TargetRef, services::LabelSelector};

/// `spec` of a MeshIdentity.
#[derive(Debug, Deserialize)]
pub(crate) struct MeshIdentitySpec {
    pub(crate) selector: Option<IdentitySelector>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct IdentitySelector {
    pub(crate) dataplane: Option<LabelSelector>,
}

/// `status` of a MeshIdentity.
#[derive(Debug, Deserialize)]
pub(crate) struct MeshIdentityStatus {
    pub(crate) conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Condition {
    pub(crate) r#type: Option<String>,
    pub(crate) status: Option<String>,
}

/// `spec` of a MeshTLS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeshTlsSpec {
    pub(crate) target_ref: Option<TargetRef>,
    pub(crate) from: Option<Vec<TlsRule>>,
    pub(crate) rules: Option<Vec<TlsRule>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsRule {
    pub(crate) default: Option<TlsConf>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsConf {
    pub(crate) mode: Option<String>,
}
