// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a connection is dialled from decides whether a sidecar would take it, and how it gets past.

/// Network namespaces in which workloads may be.
pub const NAMESPACES: u32 = 1 << 14;

/// Places of the map `namespace_places`; a power of two.
pub const NAMESPACE_PLACES: u32 = 1 << 12;

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

/// Value of the maps `namespaces` and `namespace_places`. The key of the first is the cookie of the network namespace
/// or, on kernels that tell that to no process, its inode.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceEntry {
    /// Once more, since an entry may be used for another key while it is read. 0 in a place that nobody has.
    pub key: u64,
    /// A [`Way`].
    pub way: u32,
    /// The sidecar's user there, as the host numbers it.
    pub sidecar: u32,
}

crate::shared!(NamespaceEntry, 16);

impl NamespaceEntry {
    /// As of a place that nobody has.
    pub const NOBODY: Self = Self { key: 0, way: Way::Held as u32, sidecar: 0 };

    /// The place that this key may have in `namespace_places`. Cookies begin anew at multiples of a power of two for
    /// each CPU, so their low bits alone would meet.
    #[inline(always)]
    pub const fn place(key: u64) -> u32 {
        // Fibonacci hashing, as of addresses.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - NAMESPACE_PLACES.trailing_zeros())) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_namespaces_meet() {
        // Of 16 CPUs 16 each, as the kernel counts them.
        let keys = (0..16_u64).flat_map(|cpu| (1..=16).map(move |number| cpu * 4096 + number));
        let mut taken = [false; NAMESPACE_PLACES as usize];
        keys.for_each(|key| taken[NamespaceEntry::place(key) as usize] = true);
        let places = taken.iter().filter(|taken| **taken).count();
        assert!(places > 230, "{places} places of 256");
    }
}
