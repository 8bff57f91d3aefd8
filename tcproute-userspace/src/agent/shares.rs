//! What workloads have taken of what all share in the kernel, with their names.

use std::path::PathBuf;

use anyhow::Result;

use super::in_force::InForce;
use crate::bpf::{Shared, Taken};

/// Of all workloads.
#[derive(Debug, Clone, Default)]
pub struct SharesState {
    /// What one workload may take, in the order of [`Shared::ALL`].
    pub most: [u32; 3],
    /// Those that are attached.
    pub workloads: Vec<WorkloadShare>,
}

/// Of one workload.
#[derive(Debug, Clone)]
pub struct WorkloadShare {
    /// The mesh of its Dataplane.
    pub mesh: String,
    /// Its Dataplane.
    pub dataplane: String,
    /// The directory of its cgroup.
    pub cgroup: PathBuf,
    /// What it has, in the order of [`Shared::ALL`].
    pub taken: [Taken; 3],
}

/// As it is in the kernel.
pub(super) fn shares(in_force: &InForce<'_>) -> Result<SharesState> {
    let mut workloads = Vec::new();
    for workload in in_force.workloads.values().filter(|workload| workload.attached) {
        let routes = workload.routes.as_ref();
        workloads.push(WorkloadShare {
            mesh: routes.map(|routes| routes.mesh.to_string()).unwrap_or_default(),
            dataplane: routes.map(|routes| routes.dataplane.clone()).unwrap_or_default(),
            cgroup: workload.path.clone(),
            taken: in_force.datapath.taken(workload.id)?,
        });
    }
    Ok(SharesState { most: Shared::ALL.map(|of| in_force.datapath.share(of)), workloads })
}
