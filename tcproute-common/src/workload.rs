// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Who is connecting, and where such a connection could possibly matter.

use crate::SocketAddress;

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

/// A Bloom filter with one hash function, in 8192 bits.
///
/// It spares a connection to anywhere else the look-ups in cold memory: that of its route, and that of a
/// state which the socket may have from an earlier connect().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressFilter(pub [u64; AddressFilter::WORDS]);

crate::shared!(AddressFilter, 1024);

impl AddressFilter {
    /// 8192 bits: a thousand addresses let one stranger in nine through.
    pub const WORDS: usize = 128;

    /// Lets no address through.
    pub const EMPTY: Self = Self([0; Self::WORDS]);

    /// The word of an address and the bit in it.
    #[inline(always)]
    pub const fn place(socket: &SocketAddress) -> (usize, u64) {
        let [a, b, c, d] = socket.address.words();
        // Fibonacci hashing: the upper bits of the product depend on all bits of the factor.
        let hash = (a ^ b ^ c ^ d ^ (socket.port << 16 | socket.port)).wrapping_mul(0x9E37_79B1) >> 19;
        // The mask is for the verifier: the shift leaves 13 bits.
        ((hash >> 6) as usize & (Self::WORDS - 1), 1 << (hash & 63))
    }

    /// Lets an address through from now on.
    pub const fn insert(&mut self, socket: &SocketAddress) {
        let (word, bit) = Self::place(socket);
        self.0[word] |= bit;
    }

    /// Lets through what the other one lets through, too.
    pub fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// Whether the address may have been inserted.
    pub const fn may_contain(&self, socket: &SocketAddress) -> bool {
        let (word, bit) = Self::place(socket);
        self.0[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn any_address() -> impl Strategy<Value = SocketAddress> {
        (any::<u32>(), any::<u16>())
            .prop_map(|(ip, port)| SocketAddr::from((Ipv4Addr::from(ip), port)).into())
    }

    proptest! {
        #[test]
        fn what_was_inserted_passes(addresses in proptest::collection::vec(any_address(), 1..200)) {
            let mut filter = AddressFilter::EMPTY;
            for address in &addresses {
                filter.insert(address);
            }
            prop_assert!(addresses.iter().all(|address| filter.may_contain(address)));
        }
    }

    #[test]
    fn few_strangers_pass_a_thousand_addresses() {
        let mut filter = AddressFilter::EMPTY;
        // As services are: neighbouring addresses, the same few ports.
        for last in 0..=249_u8 {
            for port in [80_u16, 3306, 5432, 9092] {
                filter.insert(&SocketAddr::from(([10, 43, 7, last], port)).into());
            }
        }
        let strangers = (0..10_000_u32).filter(|&n| {
            let [_, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
            filter.may_contain(&SocketAddr::from(([34, b, c, d], 443)).into())
        });
        let count = strangers.count();
        assert!(count < 2000, "{count} of 10000 strangers pass");
    }
}
