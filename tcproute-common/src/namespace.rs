// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a connection is dialled from decides whether a sidecar would take it, and how it gets past.

/// Network namespaces in which workloads may be.
pub const NAMESPACES: u32 = 1 << 14;

/// What becomes of routed connections of a network namespace. A value of [`NamespaceEntry::way`].
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// They are left to the address that was dialled: a sidecar takes them, or that is not known yet. So are those of
    /// namespaces that are not in the map.
    Held = 0,
    /// They are routed: nobody else takes them.
    Plain = 1,
    /// They are routed and marked, and so led past the sidecar.
    Past = 2,
}

impl Way {
    const ALL: [Self; 3] = [Self::Held, Self::Plain, Self::Past];

    /// From an entry.
    pub fn new(way: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == way)
    }
}

/// Value of the map `namespaces`. Its key is the cookie of the network namespace or, on kernels that tell that to no
/// process, its inode.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceEntry {
    /// Once more, since an entry may be used for another key while it is read.
    pub key: u64,
    /// A [`Way`].
    pub way: u32,
    /// The sidecar's user there, as the host numbers it.
    pub sidecar: u32,
}

crate::shared!(NamespaceEntry, 16);
