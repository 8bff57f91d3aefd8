//! Who is connecting.

/// Value of the map `workloads` (cgroup storage): the identity of the cgroup the program is attached to.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadIdentity {
    /// 0 until the loader has written it: then no route matches and nothing is rewritten.
    pub workload: u32,
}

crate::shared!(WorkloadIdentity, 4);
