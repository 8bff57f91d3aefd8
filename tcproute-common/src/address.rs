// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Addresses as the maps hold them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv6 address, or an IPv4 one in its v4-mapped form (RFC 4291 §2.5.5.2), so that one table serves
/// `AF_INET` sockets and `AF_INET6` sockets that dial `::ffff:a.b.c.d`.
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// In network order.
    pub bytes: [u8; 16],
}

crate::shared!(Address, 16);

/// The words of `::ffff:0:0/96`, in network order.
const V4_MAPPED: [u32; 3] = [0, 0, 0x0000_ffff_u32.to_be()];

impl Address {
    /// `127.0.0.1`.
    pub const LOOPBACK_V4: Self = Self::from_v4_word(0x7f00_0001_u32.to_be());

    /// `::1`.
    pub const LOOPBACK_V6: Self = Self::from_words([0, 0, 0, 1_u32.to_be()]);

    /// From the four words of an IPv6 address, each in network order, as `bpf_sock_addr.user_ip6` has them.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: both are 16 plain bytes. Put together byte by byte, the zeros become a call of memset,
        // which in BPF is a loop.
        Self { bytes: unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) } }
    }

    /// From an IPv4 address in network order, as `bpf_sock_addr.user_ip4` has it.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self::from_words([V4_MAPPED[0], V4_MAPPED[1], V4_MAPPED[2], word])
    }

    /// The four words in network order.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        // SAFETY: both are 16 plain bytes, and the type is aligned to 4.
        unsafe { core::mem::transmute::<[u8; 16], [u32; 4]>(self.bytes) }
    }

    /// The IPv4 address in network order, when this is a v4-mapped one.
    #[inline(always)]
    pub const fn v4_word(&self) -> Option<u32> {
        let [a, b, c, d] = self.words();
        if a | b | (c ^ V4_MAPPED[2]) == 0 { Some(d) } else { None }
    }

    /// Whether it is an IPv4 one.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.v4_word().is_some()
    }

    /// Whether it is `0.0.0.0` or `::`.
    #[inline(always)]
    pub const fn is_unspecified(&self) -> bool {
        let [a, b, c, d] = self.words();
        (a | b | c | d == 0) || (a | b | (c ^ V4_MAPPED[2]) | d == 0)
    }

    /// Whether it is in `127.0.0.0/8`, or `::1`.
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        let [a, b, c, d] = self.words();
        let is_v4 =
            a | b | (c ^ V4_MAPPED[2]) | ((d ^ 0x7f00_0000_u32.to_be()) & 0xff00_0000_u32.to_be()) == 0;
        let is_v6 = a | b | c | (d ^ 1_u32.to_be()) == 0;
        is_v4 || is_v6
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self { bytes: v4.to_ipv6_mapped().octets() },
            IpAddr::V6(v6) => Self { bytes: v6.octets() },
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address.v4_word() {
            Some(word) => Self::V4(Ipv4Addr::from(word.to_ne_bytes())),
            None => Self::V6(Ipv6Addr::from(address.bytes)),
        }
    }
}

/// An address and a port: an endpoint, or what an application dialled.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketAddress {
    /// In network order.
    pub address: Address,
    /// In host order; a `u32` so that there is no padding.
    pub port: u32,
}

crate::shared!(SocketAddress, 20);

impl SocketAddress {
    /// No address that anybody has.
    pub const NOWHERE: Self = Self { address: Address::from_words([0; 4]), port: 0 };
}

impl From<SocketAddr> for SocketAddress {
    fn from(socket: SocketAddr) -> Self {
        Self { address: socket.ip().into(), port: u32::from(socket.port()) }
    }
}

impl From<SocketAddress> for SocketAddr {
    fn from(socket: SocketAddress) -> Self {
        Self::new(socket.address.into(), socket.port as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4_is_held_mapped_and_comes_back() {
        let ip: IpAddr = Ipv4Addr::new(192, 168, 0, 4).into();
        let address = Address::from(ip);
        assert_eq!(address.bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 0, 4]);
        assert_eq!(address.v4_word(), Some(u32::from_ne_bytes([192, 168, 0, 4])));
        assert_eq!(Address::from_v4_word(u32::from_ne_bytes([192, 168, 0, 4])), address);
        assert_eq!(IpAddr::from(address), ip);
    }

    #[test]
    fn v6_words_are_network_order() {
        let ip: IpAddr = "2001:db8::1".parse::<Ipv6Addr>().unwrap().into();
        let address = Address::from(ip);
        assert_eq!(address.v4_word(), None);
        assert_eq!(Address::from_words(address.words()), address);
        assert_eq!(IpAddr::from(address), ip);
    }
}
