//! Which fields of a targetRef are set that its kind does not have.

use crate::resources::{names::Tags, violation::Violations, wire};

/// The fields that some kinds do not have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Name,
    Mesh,
    Namespace,
    Labels,
    Section,
    Port,
    Tags,
    ProxyTypes,
}

impl Field {
    /// Its name, and whether it is set; an empty value is none.
    fn of(self, wire: &wire::TargetRef) -> (&'static str, bool) {
        let is_full = |map: &Option<Tags>| map.as_ref().is_some_and(|map| !map.is_empty());
        match self {
            Self::Name => ("name", is_set(wire.name.as_ref())),
            Self::Mesh => ("mesh", is_set(wire.mesh.as_ref())),
            Self::Namespace => ("namespace", is_set(wire.namespace.as_ref())),
            Self::Labels => ("labels", is_full(&wire.labels)),
            Self::Section => ("sectionName", is_set(wire.section_name.as_ref())),
            Self::Port => ("port", wire.port.is_some()),
            Self::Tags => ("tags", is_full(&wire.tags)),
            Self::ProxyTypes => ("proxyTypes", wire.proxy_types.as_ref().is_some_and(|all| !all.is_empty())),
        }
    }
}

pub(super) fn is_set(value: Option<&String>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

/// The fields that are set and should not be, each with what is wrong.
fn unwanted(wire: &wire::TargetRef, fields: &[Field], path: &str) -> impl Iterator<Item = (String, String)> {
    let kind = wire.kind.as_deref().unwrap_or_default();
    let set = fields.iter().map(|field| field.of(wire)).filter(|(_, set)| *set);
    set.map(move |(name, _)| (format!("{path}.{name}"), format!("must not be set with kind {kind}")))
}

pub(super) fn forbid(wire: &wire::TargetRef, fields: &[Field], path: &str, found: &mut Violations) {
    for (path, message) in unwanted(wire, fields, path) {
        found.add(path, message);
    }
}

pub(super) fn forbid_strict(wire: &wire::TargetRef, fields: &[Field], path: &str, found: &mut Violations) {
    for (path, message) in unwanted(wire, fields, path) {
        found.add_strict(&path, &message);
    }
}
