//! Which cgroups of this node are which Dataplane.

pub mod cgroups;
pub mod named;
mod presence;

use std::{io, path::PathBuf, sync::Arc};

use cgroups::CgroupId;

/// What was seen of the cgroups of workloads.
#[derive(Debug, Default)]
pub struct Look {
    /// Those that are there.
    pub found: Vec<Found>,
    /// Where it cannot be told what there is, and why.
    pub blind: Vec<(PathBuf, io::Error)>,
}

/// The cgroups of workloads, as far as is known.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Those that count as there.
    pub found: Arc<[Found]>,
    /// What cannot be told of them.
    pub doubts: Arc<[String]>,
    /// Whether all could be looked for, so that all others are none of ours.
    pub complete: bool,
}

/// A cgroup that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name of its Dataplane: `name` or, on Kubernetes, `name.namespace`.
    pub dataplane: Arc<str>,
    /// Its directory.
    pub path: PathBuf,
    /// Its number.
    pub id: CgroupId,
}
