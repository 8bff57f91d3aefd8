// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Who is connecting.

use crate::AddressFilter;

/// Value of the map `workloads` (cgroup storage): the identity of the cgroup the program is attached to.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkloadIdentity {
    /// 0 until the loader has written it. Then the filter is empty, too, and nothing is rewritten.
    pub workload: u32,
    /// Whether somebody listens to its events; else 0.
    pub traced: u32,
    /// States that it may have in `overflow`.
    pub remembers: u32,
    /// Fills the gap before the filter.
    pub reserved: u32,
    /// The addresses that the workload's routes begin or have ever ended at.
    pub filter: AddressFilter,
}

crate::shared!(WorkloadIdentity, 1040);
