//! Routes for builtin gateways (Kuma 2.6 to 2.14): they are judged, and concern no sidecar.

use super::{
    Kind,
    fields::{Field, forbid},
    read_kind, require_name,
};
use crate::resources::{violation::Violations, wire};

/// Whether a route is for builtin gateways: these are no sidecars, and nothing else comes of it here.
pub(in crate::resources) fn is_for_gateways(top: Option<&wire::TargetRef>) -> bool {
    top.and_then(|top| top.kind.as_deref()) == Some(Kind::MeshGateway.name())
}

/// Checks the targetRefs of a route for builtin gateways.
pub(in crate::resources) fn check_for_gateways<'w>(
    top: Option<wire::TargetRef>,
    to: impl Iterator<Item = Option<&'w wire::TargetRef>>,
    found: &mut Violations,
) {
    use Field::{Labels, Mesh, Namespace, ProxyTypes, Section};

    if let Some(top) = top {
        forbid(&top, &[Mesh, Namespace, Labels, Section, ProxyTypes], "spec.targetRef", found);
        require_name(top.name, Kind::MeshGateway.name(), "spec.targetRef", found);
    }
    for (i, target) in to.enumerate() {
        let path = format!("spec.to[{i}].targetRef");
        let Some(target) = target else {
            found.add(path, "must be set");
            continue;
        };
        if read_kind(target, &path, found).is_some_and(|kind| kind != Kind::Mesh) {
            found.add(format!("{path}.kind"), "value is not supported beside a MeshGateway: must be Mesh");
        }
    }
}
