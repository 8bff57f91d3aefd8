// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The versions of what is in the maps, by which a new build knows whether it can go on with those of an older one.

/// To be raised with every change of what is in the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutVersion {
    /// Of `routes` and all that they lead to, and of `outcomes`, `carried` and `backend_refs`.
    pub tables: u32,
    /// Of `connections`, `overflow`, `shares`, `addresses`, `workloads`, `namespaces`, `namespace_places` and
    /// `counters`.
    pub states: u32,
}

impl LayoutVersion {
    /// Of this build.
    pub const CURRENT: Self = Self { tables: 5, states: 6 };
}
