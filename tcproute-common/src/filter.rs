// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a connection could possibly matter: Bloom filters with one hash function, of a workload and of the node.
//!
//! They spare a connection to anywhere else the look-ups in cold memory: that of its workload, that of its route, and
//! that of a state which the socket may have from an earlier connect().

use crate::SocketAddress;

/// What places an address in the filters.
#[derive(Debug, Clone, Copy)]
pub struct AddressHash(u32);

impl AddressHash {
    /// Of this address.
    #[inline(always)]
    pub const fn of(socket: &SocketAddress) -> Self {
        let [a, b, c, d] = socket.address.words();
        // Fibonacci hashing: the upper bits of the product depend on all bits of the factor.
        Self((a ^ b ^ c ^ d ^ (socket.port << 16 | socket.port)).wrapping_mul(0x9E37_79B1))
    }
}

macro_rules! filter {
    ($(#[$doc:meta])* $name:ident, $words:literal) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub [u64; $name::WORDS]);

        impl $name {
            /// A power of two.
            pub const WORDS: usize = $words;

            const SHIFT: u32 = 32 - (Self::WORDS * 64).ilog2();

            /// Lets no address through.
            pub const EMPTY: Self = Self([0; Self::WORDS]);

            /// The word of an address and the bit in it.
            #[inline(always)]
            pub const fn place(AddressHash(hash): AddressHash) -> (usize, u64) {
                let place = hash >> Self::SHIFT;
                // The mask is for the verifier: the shift leaves no more bits.
                ((place >> 6) as usize & (Self::WORDS - 1), 1 << (place & 63))
            }

            /// Lets an address through from now on.
            pub const fn insert(&mut self, socket: &SocketAddress) {
                let (word, bit) = Self::place(AddressHash::of(socket));
                self.0[word] |= bit;
            }

            /// Whether the address may have been inserted.
            pub const fn may_contain(&self, socket: &SocketAddress) -> bool {
                let (word, bit) = Self::place(AddressHash::of(socket));
                self.0[word] & bit != 0
            }
        }
    };
}

filter! {
    /// The addresses of a workload, in 8192 bits: a thousand of them let one stranger in nine through.
    AddressFilter, 128
}

filter! {
    /// The addresses of all workloads of a node, in 131,072 bits: ten thousand of them let one stranger in fourteen
    /// through.
    NodeFilter, 2048
}

crate::shared!(AddressFilter, 1024);
crate::shared!(NodeFilter, 16384);

impl AddressFilter {
    /// Lets through what the other one lets through, too.
    pub fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
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
            let (mut filter, mut of_node) = (AddressFilter::EMPTY, NodeFilter::EMPTY);
            for address in &addresses {
                filter.insert(address);
                of_node.insert(address);
            }
            prop_assert!(addresses.iter().all(|address| filter.may_contain(address)));
            prop_assert!(addresses.iter().all(|address| of_node.may_contain(address)));
        }
    }

    /// Of 10,000 of all other addresses, by any of the ports of all.
    fn strangers(may_contain: impl Fn(&SocketAddress) -> bool) -> usize {
        let strangers = (0..10_000_u32).filter(|&n| {
            let [_, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
            may_contain(&SocketAddr::from(([34, b, c, d], 443)).into())
        });
        strangers.count()
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
        let count = strangers(|address| filter.may_contain(address));
        assert!(count < 2000, "{count} of 10000 strangers pass");
    }

    #[test]
    fn few_strangers_pass_a_nodes_ten_thousand_addresses() {
        let mut filter = NodeFilter::EMPTY;
        for third in 0..40 {
            for last in 0..250 {
                filter.insert(&SocketAddr::from(([10, 43, third, last], 8080)).into());
            }
        }
        let count = strangers(|address| filter.may_contain(address));
        assert!(count < 1500, "{count} of 10000 strangers pass");
    }
}
