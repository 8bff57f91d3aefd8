//! Mesh (<https://kuma.io/docs/2.4.x/production/mesh/>), as far as it matters here: mTLS.

use super::{names::MeshName, violation::Violations, wire};

/// A mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Its name.
    pub name: MeshName,
    /// Its mTLS, if it is on.
    pub mtls: Option<MtlsMode>,
    /// Whether what is outside the mesh is reached through a zone egress.
    pub zone_egress: bool,
}

/// Whether a server with mTLS takes plaintext, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MtlsMode {
    /// It does not.
    Strict,
    /// It does.
    Permissive,
}

impl Mesh {
    /// As in `type` or `kind`.
    pub const KIND: &'static str = "Mesh";

    pub(crate) fn read(
        name: Option<MeshName>,
        mtls: Option<wire::Mtls>,
        routing: Option<wire::Routing>,
        prefix: &str,
        found: &mut Violations,
    ) -> Option<Self> {
        let path = format!("{prefix}mtls");
        let mtls = mtls.and_then(|mtls| read_mtls(mtls, &path, found));
        let zone_egress = routing.and_then(|routing| routing.zone_egress).unwrap_or(false);
        if mtls.is_none() && zone_egress {
            found.add(path, "must be set and on, as routing.zoneEgress is");
        }
        Some(Self { name: name?, mtls, zone_egress })
    }
}

/// The mode of the enabled backend; `None` also for mTLS that is off.
fn read_mtls(mtls: wire::Mtls, path: &str, found: &mut Violations) -> Option<MtlsMode> {
    let backends = mtls.backends.unwrap_or_default();
    if backends.len() > 1 {
        found.add(format!("{path}.backends"), "must have at most one entry");
    }
    let mut modes = Vec::new();
    for (i, backend) in backends.into_iter().enumerate() {
        let mode = backend.mode.as_ref().map_or(Some("STRICT"), |mode| mode.of(&["STRICT", "PERMISSIVE"]));
        if mode.is_none() {
            found.add(format!("{path}.backends[{i}].mode"), "must be STRICT or PERMISSIVE");
        }
        let path = format!("{path}.backends[{i}]");
        if backend.name.is_none() {
            found.add(format!("{path}.name"), "must be set");
        }
        // What one that is wrong would be does not matter any more.
        let mode = if mode == Some("PERMISSIVE") { MtlsMode::Permissive } else { MtlsMode::Strict };
        modes.push((backend.name, mode));
    }
    let enabled = mtls.enabled_backend.filter(|enabled| !enabled.is_empty())?;
    let mode = modes.iter().find(|(name, _)| name.as_ref() == Some(&enabled)).map(|(_, mode)| *mode);
    if mode.is_none() {
        found.add(format!("{path}.enabledBackend"), format!("there is no backend {enabled:?}"));
    }
    mode
}
