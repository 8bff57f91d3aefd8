//! How many there are of what changes, and how they are called.

/// Services. One more is named by policies and does not exist.
pub(crate) const SERVICES: usize = 6;
/// Of each service: so many endpoints it can have.
pub(crate) const EACH: usize = 6;
/// Workloads that there can be.
pub(crate) const WORKLOADS: usize = 3;
/// Versions that endpoints and backendRefs can have. No endpoint ever has the last one.
pub(crate) const VERSIONS: [&str; 4] = ["a", "b", "c", "none"];

/// The name of a workload's Dataplane.
pub(crate) fn workload_name(workload: usize) -> String {
    format!("workload-{workload}")
}
