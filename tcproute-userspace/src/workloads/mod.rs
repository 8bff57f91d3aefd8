//! Which cgroups of this node are which Dataplane.

pub mod cgroups;
pub mod named;

use std::{path::PathBuf, sync::Arc};

use cgroups::CgroupId;

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
