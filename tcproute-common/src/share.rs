// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What one workload may take of what all of them share in the kernel, and what it has taken.

use crate::Kept;

/// Value of the map `shares`, by workload: what it has of `overflow`. Written by the programs.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// States in `overflow` that count for it.
    pub remembered: u32,
    /// Tells it from others that had its number before, whose sockets may outlive them.
    pub epoch: u32,
    /// Connections that were routed and not remembered, since its share was taken.
    pub unremembered: u64,
}

crate::shared!(Share, 16);

/// Value of the map `overflow`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The state. Its lock is never held: nobody else has the socket.
    pub kept: Kept,
    /// For whom it counts; 0 for nobody.
    pub workload: u32,
    /// [`Share::epoch`] of that workload.
    pub epoch: u32,
}

crate::shared!(Stored, 72);

/// Value of the map `spent`, by workload: what the programs have made for it so far, modulo 2^32. Written by them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Entries of `failing`, without those that the programs have removed.
    pub failing: u32,
    /// Records in `events`.
    pub events: u32,
    /// Records that found no room.
    pub events_lost: u64,
    /// Failures that were not counted, since there was no room for their endpoint.
    pub failing_lost: u64,
}

crate::shared!(Spent, 24);

/// Value of the map `credits`, by workload: how far [`Spent`] may go. Written by the loader, which raises it by what it
/// has read or removed.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// For [`Spent::failing`].
    pub failing: u32,
    /// For [`Spent::events`], while more than half of the buffer is taken.
    pub events: u32,
}

crate::shared!(Credit, 8);

/// Workloads that can have a share.
pub const SHARES: u32 = 1 << 16;

/// Entries of the map `failing`.
pub const FAILING: u32 = 1 << 14;
