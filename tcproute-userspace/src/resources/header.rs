//! What every resource has besides its content: mesh, name and labels.

use super::{
    document::Identity,
    names::{Labels, MeshName, ResourceName},
    target_ref::ProxyType,
    violation::Violations,
    wire,
};

/// The label with the place that a resource comes from.
const ORIGIN_LABEL: &str = "kuma.io/origin";
/// The label with the role of a policy.
const ROLE_LABEL: &str = "kuma.io/policy-role";
/// The label with the name that a resource was given where it comes from.
const DISPLAY_NAME_LABEL: &str = "kuma.io/display-name";

/// Mesh and name: no two resources of a kind share both.
pub type Key = (MeshName, ResourceName);

/// Mesh and name of a Dataplane.
pub type DataplaneKey = Key;

/// Mesh, name and labels of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) mesh: MeshName,
    pub(crate) name: ResourceName,
    pub(crate) labels: Labels,
    /// The field that holds the labels.
    labels_path: &'static str,
}

/// Mesh and name of a policy, and what else decides how strong it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHeader {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its name, which decides between policies of the same strength.
    pub name: ResourceName,
    /// The name it was given where it comes from.
    pub display_name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its role.
    pub role: Role,
    /// The only type of proxies that it is for; `None` for both.
    pub proxies: Option<ProxyType>,
}

/// Where a policy comes from (label `kuma.io/origin`), from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The global control plane.
    Global,
    /// Not said. Kuma, too, has it between the others.
    Unknown,
    /// The control plane of a zone.
    Zone,
}

/// What a policy is for (label `kuma.io/policy-role`), from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Header {
    pub(super) fn universal(
        name: Option<String>,
        mesh: Option<String>,
        labels: Option<Labels>,
        found: &mut Violations,
    ) -> Option<Self> {
        let mesh = read_mesh(mesh, "mesh", found);
        let name = read_name(name, "name", found);
        let name = name.map(|name| ResourceName { name, namespace: None });
        Some(Self { mesh: mesh?, name: name?, labels: labels.unwrap_or_default(), labels_path: "labels" })
    }

    pub(super) fn on_kubernetes(
        metadata: Option<wire::Metadata>,
        mesh: Option<String>,
        found: &mut Violations,
    ) -> Option<Self> {
        let metadata = metadata.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let mesh = match mesh.filter(|mesh| !mesh.is_empty()) {
            Some(mesh) => read_mesh(Some(mesh), "mesh", found),
            None => read_mesh(labels.get(Identity::MESH_LABEL).cloned(), "metadata.labels", found),
        };
        let name = read_name(metadata.name, "metadata.name", found);
        let namespace = metadata.namespace;
        let name = name.map(|name| ResourceName { name, namespace });
        Some(Self { mesh: mesh?, name: name?, labels, labels_path: "metadata.labels" })
    }

    /// The name that it was given where it comes from: a copy of it may have a longer one.
    pub(super) fn display_name(&self) -> &String {
        self.labels.get(DISPLAY_NAME_LABEL).unwrap_or(&self.name.name)
    }

    /// The field that holds the name.
    pub(super) fn name_path(&self) -> &'static str {
        if self.labels_path == "labels" { "name" } else { "metadata.name" }
    }

    /// The header of a policy.
    pub(super) fn policy(self, proxies: Option<ProxyType>, found: &mut Violations) -> PolicyHeader {
        let path = self.labels_path;
        let origin = match self.labels.get(ORIGIN_LABEL).map(String::as_str) {
            None | Some("") => Origin::Unknown,
            Some("global") => Origin::Global,
            Some("zone") => Origin::Zone,
            Some(_) => {
                // Kuma does not look at what else it says.
                found.add_strict(path, &format!("{ORIGIN_LABEL} must be global or zone"));
                Origin::Unknown
            }
        };
        let role = match self.labels.get(ROLE_LABEL).map(String::as_str) {
            None | Some("" | "system") => Role::System,
            Some("producer") => Role::Producer,
            Some("consumer") => Role::Consumer,
            Some("workload-owner") => Role::WorkloadOwner,
            Some(_) => {
                let roles = "system, producer, consumer or workload-owner";
                found.add_strict(path, &format!("{ROLE_LABEL} must be {roles}"));
                Role::System
            }
        };
        let display_name = self.display_name().clone();
        PolicyHeader { mesh: self.mesh, name: self.name, display_name, origin, role, proxies }
    }
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
