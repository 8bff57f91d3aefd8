//! What every resource has besides its content: mesh, name and labels.

use jiff::Timestamp;

use super::{
    guard::Provenance,
    names::{Labels, MeshName, ResourceName},
    target_ref::{ProxyType, ServiceBy, ServiceKind, ServiceRef},
    violation::Violations,
    wire,
};

/// The label with the place that a resource comes from.
const ORIGIN_LABEL: &str = "kuma.io/origin";
/// The label with the role of a policy.
const ROLE_LABEL: &str = "kuma.io/policy-role";
/// The label with the name that a resource was given where it comes from.
pub(crate) const DISPLAY_NAME_LABEL: &str = "kuma.io/display-name";
/// The label with the namespace that a resource has on Kubernetes.
pub(crate) const NAMESPACE_LABEL: &str = "k8s.kuma.io/namespace";
/// The label, or tag of an inbound, with the zone that a resource is of.
pub(crate) const ZONE_LABEL: &str = "kuma.io/zone";
/// The label that tells whether a policy is in force.
const EFFECT_LABEL: &str = "kuma.io/effect";
/// The namespaces that Kuma and Kong Mesh are installed in unless told otherwise.
const SYSTEM_NAMESPACES: [&str; 2] = ["kuma-system", "kong-mesh-system"];

/// The label that names the mesh of a resource on Kubernetes.
pub(crate) const MESH_LABEL: &str = "kuma.io/mesh";

/// Mesh and name: no two resources of a kind share both.
pub type Key = (MeshName, ResourceName);

/// Mesh and name of a Dataplane.
pub type DataplaneKey = Key;

/// Mesh, name and labels of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) mesh: MeshName,
    pub(crate) name: ResourceName,
    pub(crate) meta: Meta,
    /// The field that holds the labels.
    labels_path: &'static str,
}

/// What a resource is known by besides its mesh and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its labels. On Kubernetes those of its name and namespace are among them, written or not, as Kuma has it.
    pub labels: Labels,
    /// The name it was given where it comes from.
    pub display_name: String,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
    /// Who may have written it.
    pub provenance: Provenance,
}

/// The part of a mesh that a resource belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Zone<'a> {
    /// No single one: it comes from the global control plane.
    All,
    /// The one of the control plane that has it, whatever its name.
    Local,
    /// That of this name.
    Named(&'a str),
}

/// Mesh and name of a policy, and what else decides how strong it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHeader {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name, which decides between policies of the same strength.
    pub name: ResourceName,
    /// Its labels, and the name it was given where it comes from.
    pub meta: Meta,
    /// Where it comes from.
    pub origin: Origin,
    /// Its role.
    pub role: Role,
    /// The only type of proxies that it is for; `None` for both.
    pub proxies: Option<ProxyType>,
    /// Whether it is only tried out: such a policy is never in force.
    pub shadow: bool,
}

/// Where a policy comes from (label `kuma.io/origin`), from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The global control plane.
    Global,
    /// Not said. Kuma, too, has it between the others.
    Unknown,
    /// The control plane of a zone.
    Zone,
}

/// What a policy is for (label `kuma.io/policy-role`), from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everybody, from the operator of the mesh; also where nothing is said.
    System,
    /// The consumers of a service, from its owner.
    Producer,
    /// The workloads of a namespace, from their owner.
    Consumer,
    /// The owner's own workloads.
    WorkloadOwner,
}

impl PolicyHeader {
    /// Mesh and name.
    pub fn key(&self) -> Key {
        (self.mesh.clone(), self.name.clone())
    }
}

impl Meta {
    /// The namespace it is of: on Universal a resource may say so by a label.
    pub fn namespace(&self) -> Option<&str> {
        self.label(NAMESPACE_LABEL)
    }

    /// The zone it is of.
    pub fn zone(&self) -> Zone<'_> {
        match (self.label(ORIGIN_LABEL), self.label(ZONE_LABEL)) {
            (_, Some(zone)) => Zone::Named(zone),
            (Some("global"), None) => Zone::All,
            (_, None) => Zone::Local,
        }
    }

    /// Whether it has come here from the global control plane, and so perhaps from another zone.
    pub fn is_synced(&self) -> bool {
        self.label(ORIGIN_LABEL) == Some("global")
    }

    /// Whether it says where it comes from.
    pub fn has_origin(&self) -> bool {
        self.label(ORIGIN_LABEL).is_some()
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).filter(|value| !value.is_empty())
    }
}

impl Zone<'_> {
    /// Whether who refers by name, and is of this zone, means one of the other. That of the control plane may have any
    /// name.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, other) | (other, Self::All) => *other == Self::All,
            (Self::Named(one), Self::Named(other)) => one == other,
            _ => true,
        }
    }
}

impl Header {
    pub(super) fn universal(
        name: Option<String>,
        mesh: Option<String>,
        labels: Option<Labels>,
        created: Option<wire::Time>,
        found: &mut Violations,
    ) -> Option<Self> {
        let mesh = read_mesh(mesh, "mesh", found);
        let name = ResourceName { name: read_name(name, "name", found)?.into(), namespace: None };
        let labels = labels.unwrap_or_default();
        let display_name = display_name(&labels, None, &name);
        let created = created.and_then(|created| created.0);
        let meta = Meta { labels, display_name, created, provenance: Provenance::default() };
        Some(Self { mesh: mesh?, name, meta, labels_path: "labels" })
    }

    pub(super) fn on_kubernetes(
        metadata: Option<wire::Metadata>,
        mesh: Option<String>,
        found: &mut Violations,
    ) -> Option<Self> {
        let metadata = metadata.unwrap_or_default();
        let mut labels = metadata.labels.unwrap_or_default();
        let mesh = match mesh.filter(|mesh| !mesh.is_empty()) {
            Some(mesh) => read_mesh(Some(mesh), "mesh", found),
            None => read_mesh(labels.get(MESH_LABEL).map(str::to_owned), "metadata.labels", found),
        };
        let name = read_name(metadata.name, "metadata.name", found)?;
        let name = ResourceName { name: name.into(), namespace: metadata.namespace.map(Into::into) };
        let display_name = display_name(&labels, metadata.annotations.as_ref(), &name);
        // Kuma never stores these: it makes them up whenever it reads the object.
        labels.insert_missing(DISPLAY_NAME_LABEL, &display_name);
        if let Some(namespace) = &name.namespace {
            labels.insert_missing(NAMESPACE_LABEL, namespace);
        }
        let created = metadata.creation_timestamp.and_then(|created| created.0);
        let meta = Meta { labels, display_name, created, provenance: Provenance::default() };
        Some(Self { mesh: mesh?, name, meta, labels_path: "metadata.labels" })
    }

    /// The field that holds the name.
    pub(super) fn name_path(&self) -> &'static str {
        if self.labels_path == "labels" { "name" } else { "metadata.name" }
    }

    /// Whether it is a policy that is only tried out.
    pub(super) fn is_shadow(&self) -> bool {
        self.meta.label(EFFECT_LABEL) == Some("shadow")
    }

    /// Mesh and name.
    pub(super) fn key(&self) -> Key {
        (self.mesh.clone(), self.name.clone())
    }

    /// The header of a policy about these destinations.
    pub(super) fn policy(
        self,
        proxies: Option<ProxyType>,
        to: &[Option<&ServiceRef>],
        found: &mut Violations,
    ) -> PolicyHeader {
        let path = self.labels_path;
        let labels = &self.meta.labels;
        let origin = match labels.get(ORIGIN_LABEL) {
            None | Some("") => Origin::Unknown,
            Some("global") => Origin::Global,
            Some("zone") => Origin::Zone,
            Some(_) => {
                // Kuma does not look at what else it says.
                found.add_strict(path, &format!("{ORIGIN_LABEL} must be global or zone"));
                Origin::Unknown
            }
        };
        let role = match labels.get(ROLE_LABEL) {
            None | Some("") => role_of(self.name.namespace.as_deref(), to),
            Some("system") => Role::System,
            Some("producer") => Role::Producer,
            Some("consumer") => Role::Consumer,
            Some("workload-owner") => Role::WorkloadOwner,
            Some(_) => {
                let roles = "system, producer, consumer or workload-owner";
                found.add_strict(path, &format!("{ROLE_LABEL} must be {roles}"));
                Role::System
            }
        };
        let shadow = self.is_shadow();
        let Self { mesh, name, meta, .. } = self;
        PolicyHeader { mesh, name, meta, origin, role, proxies, shadow }
    }
}

/// The role that a control plane gives a policy of this namespace when it is created: who owns all services that it is
/// about is their producer. On Universal there are no namespaces, and so there is one role only.
fn role_of(namespace: Option<&str>, to: &[Option<&ServiceRef>]) -> Role {
    let Some(namespace) = namespace.filter(|namespace| !SYSTEM_NAMESPACES.contains(namespace)) else {
        return Role::System;
    };
    let own = |service: Option<&ServiceRef>| match service {
        Some(ServiceRef { kind: ServiceKind::MeshService, by: ServiceBy::Name(_, of), .. }) => {
            of.as_deref().is_none_or(|of| of == namespace)
        }
        _ => false,
    };
    if to.is_empty() {
        Role::WorkloadOwner
    } else if to.iter().copied().all(own) {
        Role::Producer
    } else {
        Role::Consumer
    }
}

fn display_name(labels: &Labels, annotations: Option<&Labels>, name: &ResourceName) -> String {
    // The value of a label is too short for some names, so on Kubernetes it is an annotation.
    let annotation = annotations.and_then(|annotations| annotations.get(DISPLAY_NAME_LABEL));
    let written = annotation.or_else(|| labels.get(DISPLAY_NAME_LABEL));
    written.filter(|written| !written.is_empty()).unwrap_or(&name.name).to_owned()
}

fn read_mesh(mesh: Option<String>, path: &str, found: &mut Violations) -> Option<MeshName> {
    match mesh.filter(|mesh| !mesh.is_empty()) {
        Some(mesh) => read_name(Some(mesh), path, found).and_then(|mesh| MeshName::try_from(mesh).ok()),
        None => Some(MeshName::default()),
    }
}

/// A name with Kuma's allowed characters, those of its versions together.
pub(super) fn read_name(name: Option<String>, path: &str, found: &mut Violations) -> Option<String> {
    let name = found.check(path, name.ok_or("must be set"))?;
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    if name.is_empty() {
        found.add(path, "must not be empty");
    } else if !name.chars().all(is_allowed) {
        found.add(path, "must consist of lower case letters, digits, dashes, dots and underscores");
    } else {
        return Some(name);
    }
    None
}
