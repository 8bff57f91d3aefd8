// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a socket is bound to when it connects: it decides what the kernel makes of some addresses, and where it can
//! get.

use crate::Address;

/// The index of `lo`, which is the first device of each network namespace.
pub const LOOPBACK_DEVICE: u32 = 1;

/// What a socket is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its address; unspecified if it has none yet.
    pub address: Address,
    /// Its device (`SO_BINDTODEVICE`); 0 if it may be any.
    pub device: u32,
}

impl Source {
    /// What the kernel connects to when this is dialled, which goes for the unspecified addresses alone: the socket's
    /// own IPv4 address, or loopback.
    #[inline(always)]
    pub fn meant_by(&self, dialled: Address) -> Address {
        let own = self.address.v4_word();
        match dialled.v4_word() {
            Some(0) => match own {
                Some(word) if word != 0 => self.address,
                _ => Address::LOOPBACK_V4,
            },
            Some(_) => dialled,
            None if !dialled.is_unspecified() => dialled,
            None if own.is_some() => Address::LOOPBACK_V4,
            None => Address::LOOPBACK_V6,
        }
    }

    /// Whether packets from here can get to an endpoint, as far as that can be told: those from loopback do not leave
    /// the host, and a socket with an address of one family has none of the other.
    ///
    /// Addresses of the host itself are taken for those of others: which there are is not known here.
    #[inline(always)]
    pub fn can_reach(&self, endpoint: &Address) -> bool {
        // One way out after the other: flags that are put together at the end would be twice as many ways for the
        // verifier each.
        if !endpoint.is_loopback() {
            if self.device == LOOPBACK_DEVICE {
                return false;
            }
            if self.address.is_loopback() {
                return false;
            }
        }
        if self.address.is_unspecified() {
            return true;
        }
        self.address.is_v4() == endpoint.is_v4()
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn source(text: &str, device: u32) -> Source {
        Source { address: address(text), device }
    }

    #[test]
    fn unspecified_means_loopback_or_the_address_of_the_socket() {
        for (bound, dialled, meant) in [
            ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
            ("127.0.0.5", "0.0.0.0", "127.0.0.5"),
            ("10.0.0.1", "0.0.0.0", "10.0.0.1"),
            ("::", "::ffff:0.0.0.0", "127.0.0.1"),
            ("::", "::", "::1"),
            ("::1", "::", "::1"),
            ("fd00::1", "::", "::1"),
            ("::ffff:10.0.0.1", "::", "127.0.0.1"),
            ("::ffff:10.0.0.1", "::ffff:0.0.0.0", "10.0.0.1"),
        ] {
            assert_eq!(source(bound, 0).meant_by(address(dialled)), address(meant), "{bound} {dialled}");
        }
        for dialled in ["127.0.0.1", "10.0.0.1", "0.0.0.1", "::1", "fd00::1", "::2"] {
            assert_eq!(source("10.0.0.9", 0).meant_by(address(dialled)), address(dialled));
        }
    }

    #[test]
    fn what_is_bound_to_loopback_gets_to_loopback() {
        for (bound, device, endpoint, reached) in [
            ("0.0.0.0", 0, "10.0.0.1", true),
            ("0.0.0.0", 2, "10.0.0.1", true),
            ("0.0.0.0", LOOPBACK_DEVICE, "10.0.0.1", false),
            ("0.0.0.0", LOOPBACK_DEVICE, "127.0.0.9", true),
            ("10.0.0.9", 0, "10.0.0.1", true),
            ("10.0.0.9", 0, "127.0.0.1", true),
            ("127.0.0.1", 0, "10.0.0.1", false),
            ("127.255.0.1", 0, "10.0.0.1", false),
            ("127.0.0.1", 0, "127.8.0.1", true),
            ("126.255.0.1", 0, "10.0.0.1", true),
            ("::", 0, "10.0.0.1", true),
            ("::", 0, "fd00::1", true),
            ("::", LOOPBACK_DEVICE, "fd00::1", false),
            ("::1", 0, "fd00::1", false),
            ("::1", 0, "::1", true),
            ("::1", 0, "10.0.0.1", false),
            ("fd00::9", 0, "10.0.0.1", false),
            ("fd00::9", 0, "fd00::1", true),
            ("::ffff:127.0.0.1", 0, "10.0.0.1", false),
            ("::ffff:10.0.0.9", 0, "fd00::1", false),
        ] {
            let source = source(bound, device);
            assert_eq!(source.can_reach(&address(endpoint)), reached, "{bound} {device} {endpoint}");
        }
    }
}
