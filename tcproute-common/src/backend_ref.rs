// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Whose connections are counted where, in the map `backend_refs`.

use crate::RouteKey;

/// Bytes of a target's name that are kept.
pub const TARGET_LEN: usize = 224;

/// Value of the map `backend_refs`: the backendRef whose connections the entry of `outcomes` with the same index
/// counts. It is for the reader of a dump and for the next daemon; the programs read from it only whose a connection
/// is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendRef {
    /// Its route.
    pub route: RouteKey,
    /// Which one it is of those in the route that have the same target, counted from 0.
    pub nth: u32,
    /// Bytes of the target's name, also where that is longer than what is kept of it.
    pub target_len: u32,
    /// The target, as people read it (UTF-8), with zeros after it.
    pub target: [u8; TARGET_LEN],
}

crate::shared!(BackendRef, 256);
