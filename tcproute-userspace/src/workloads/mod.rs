//! Which cgroups of this node are which Dataplane.
//!
//! - `named`: those whose cgroups are named, by a user or a Dataplane; `hosted`: the Dataplanes of this host.
//! - `pods`: those of the pods of a node of Kubernetes.
//! - `followed`: how either are followed as they come and go; `presence` tells which are gone.
//! - `together`: several of them as one.
//! - `cgroups`: the hierarchy itself.

pub mod cgroups;
mod followed;
pub mod hosted;
pub mod named;
pub mod pods;
mod presence;
pub mod together;

use std::{fmt, io, path::PathBuf, sync::Arc};

use cgroups::CgroupId;

use crate::resources::MeshName;

pub use followed::{Confirm, Followed};

/// How a local Dataplane is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataplaneName {
    /// Its mesh.
    pub mesh: MeshName,
    /// `name` or, on Kubernetes, `name.namespace`.
    pub name: Arc<str>,
}

impl fmt::Display for DataplaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What was seen of the cgroups of workloads.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Those that are there.
    found: Vec<Found>,
    /// Those that are not.
    waiting: Vec<Waiting>,
    /// Where it cannot be told what there is, and why.
    blind: Vec<(PathBuf, io::Error)>,
    /// What else cannot be told.
    doubts: Vec<String>,
}

/// The cgroups of workloads, as far as is known.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Those that count as there.
    pub found: Arc<[Found]>,
    /// What is looked for and not there.
    pub waiting: Arc<[Waiting]>,
    /// What cannot be told of them.
    pub doubts: Arc<[String]>,
    /// Whether all could be looked for, so that all others are none of ours.
    pub complete: bool,
}

/// A cgroup that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its Dataplane.
    pub dataplane: DataplaneName,
    /// Its directory.
    pub path: PathBuf,
    /// Its number.
    pub id: CgroupId,
}

/// A Dataplane whose cgroup is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The Dataplane.
    pub dataplane: DataplaneName,
    /// How the cgroup is called: a path, a pattern, or the name that a pod's directory has.
    pub cgroup: PathBuf,
}
