//! Mesh (<https://kuma.io/docs/2.4.x/production/mesh/>), as far as it matters here: mTLS.

use super::{names::MeshName, violation::Violations, wire};

/// A mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Its name.
    pub name: MeshName,
    /// Its mTLS, if it is on.
    pub mtls: Option<MtlsMode>,
}

/// Whether a server with mTLS takes plaintext, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtlsMode {
    /// It does not.
    Strict,
    /// It does.
    Permissive,
}

impl Mesh {
    pub(crate) fn read(
        name: MeshName,
        mtls: Option<wire::Mtls>,
        path: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let Some(mtls) = mtls else { return Some(Self { name, mtls: None }) };
        let Some(enabled) = mtls.enabled_backend.filter(|enabled| !enabled.is_empty()) else {
            return Some(Self { name, mtls: None });
        };
        let backends = mtls.backends.unwrap_or_default();
        let Some((i, backend)) = backends.iter().enumerate().find(|(_, backend)| backend.name == enabled)
        else {
            found.add(format!("{path}.enabledBackend"), format!("there is no backend {enabled:?}"));
            return None;
        };
        let mode = match backend.mode.as_deref() {
            None | Some("STRICT" | "") => Some(MtlsMode::Strict),
            Some("PERMISSIVE") => Some(MtlsMode::Permissive),
            Some(_) => {
                found.add(format!("{path}.backends[{i}].mode"), "must be STRICT or PERMISSIVE");
                None
            }
        };
        Some(Self { name, mtls: Some(mode?) })
    }
}
