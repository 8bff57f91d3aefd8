//! What a policy selects, applies to or sends traffic to.

use super::{
    names::{ServiceName, Tags},
    violation::Violations,
    wire,
};

/// The top-level targetRef: which proxies a policy is for. Ordered from weak to strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All proxies of the mesh.
    Mesh,
    /// Those with an inbound that has all the tags.
    MeshSubset(Tags),
    /// Those with an inbound of the service.
    MeshService(ServiceName),
    /// Those with an inbound of the service that has all the tags.
    MeshServiceSubset(ServiceName, Tags),
}

/// How specific a selector is. The derived order is the one of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// `Mesh`, the weakest.
    Mesh,
    /// `MeshSubset`
    MeshSubset,
    /// `MeshService`
    MeshService,
    /// `MeshServiceSubset`, the strongest.
    MeshServiceSubset,
}

impl Selector {
    /// How specific it is.
    pub const fn strength(&self) -> Strength {
        match self {
            Self::Mesh => Strength::Mesh,
            Self::MeshSubset(_) => Strength::MeshSubset,
            Self::MeshService(_) => Strength::MeshService,
            Self::MeshServiceSubset(..) => Strength::MeshServiceSubset,
        }
    }

    /// An absent targetRef stands for the mesh, as in Kuma 2.6 and later.
    pub(super) fn read(wire: Option<wire::TargetRef>, path: &str, found: &mut Violations) -> Option<Self> {
        let Some(wire) = wire else { return Some(Self::Mesh) };
        let kind = read_kind(&wire, path, found)?;
        Some(match kind {
            Kind::Mesh => {
                forbid_name(&wire, path, found);
                forbid_tags(&wire, path, found);
                Self::Mesh
            }
            Kind::MeshSubset => {
                forbid_name(&wire, path, found);
                Self::MeshSubset(require_tags(wire.tags, kind, path, found)?)
            }
            Kind::MeshService => {
                forbid_tags(&wire, path, found);
                Self::MeshService(require_name(wire.name, kind, path, found)?)
            }
            Kind::MeshServiceSubset => {
                let name = require_name(wire.name, kind, path, found);
                let tags = require_tags(wire.tags, kind, path, found);
                Self::MeshServiceSubset(name?, tags?)
            }
        })
    }
}

/// Reads the targetRef of a `to` entry: a service, by name.
pub(super) fn read_destination(
    wire: Option<wire::TargetRef>,
    path: &str,
    found: &mut Violations,
) -> Option<ServiceName> {
    let Some(wire) = wire else {
        found.add(path, "must be set");
        return None;
    };
    let kind = read_kind(&wire, path, found)?;
    if kind != Kind::MeshService {
        found.add(format!("{path}.kind"), "value is not supported");
        return None;
    }
    forbid_tags(&wire, path, found);
    require_name(wire.name, kind, path, found)
}

/// Where a share of the connections goes: all endpoints of a service, or those with all the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTarget {
    /// The service.
    pub service: ServiceName,
    /// `None` for `MeshService`.
    pub subset: Option<Tags>,
}

impl BackendTarget {
    pub(super) fn read(wire: wire::TargetRef, path: &str, found: &mut Violations) -> Option<Self> {
        let kind = read_kind(&wire, path, found)?;
        match kind {
            Kind::MeshService => {
                forbid_tags(&wire, path, found);
                Some(Self { service: require_name(wire.name, kind, path, found)?, subset: None })
            }
            Kind::MeshServiceSubset => {
                let name = require_name(wire.name, kind, path, found);
                let tags = require_tags(wire.tags, kind, path, found);
                Some(Self { service: name?, subset: Some(tags?) })
            }
            Kind::Mesh | Kind::MeshSubset => {
                found.add(format!("{path}.kind"), "value is not supported");
                None
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mesh,
    MeshSubset,
    MeshService,
    MeshServiceSubset,
}

impl Kind {
    const ALL: [(Self, &str); 4] = [
        (Self::Mesh, "Mesh"),
        (Self::MeshSubset, "MeshSubset"),
        (Self::MeshService, "MeshService"),
        (Self::MeshServiceSubset, "MeshServiceSubset"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

fn read_kind(wire: &wire::TargetRef, path: &str, found: &mut Violations) -> Option<Kind> {
    let path = format!("{path}.kind");
    let Some(kind) = &wire.kind else {
        found.add(path, "must be set");
        return None;
    };
    let known = Kind::ALL.iter().find(|(_, name)| name == kind).map(|(known, _)| *known);
    if known.is_none() {
        found.add(path, "value is not supported");
    }
    known
}

fn require_name(name: Option<String>, kind: Kind, path: &str, found: &mut Violations) -> Option<ServiceName> {
    let set = name.and_then(|name| ServiceName::try_from(name).ok());
    found.check(&format!("{path}.name"), set.ok_or_else(|| format!("must be set with kind {}", kind.name())))
}

fn require_tags(tags: Option<Tags>, kind: Kind, path: &str, found: &mut Violations) -> Option<Tags> {
    let set = tags.filter(|tags| !tags.is_empty());
    found.check(&format!("{path}.tags"), set.ok_or_else(|| format!("must be set with kind {}", kind.name())))
}

fn forbid_name(wire: &wire::TargetRef, path: &str, found: &mut Violations) {
    if wire.name.is_some() {
        let kind = wire.kind.as_deref().unwrap_or_default();
        found.add(format!("{path}.name"), format!("must not be set with kind {kind}"));
    }
}

fn forbid_tags(wire: &wire::TargetRef, path: &str, found: &mut Violations) {
    if wire.tags.is_some() {
        let kind = wire.kind.as_deref().unwrap_or_default();
        found.add(format!("{path}.tags"), format!("must not be set with kind {kind}"));
    }
}
