//! The tables of old (xtables), as far as they have to be read: they are no part of nftables, and the kernel tells
//! nobody when they change.

use std::{fs, io};

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use crate::sockopt;

/// Of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The file below `/proc/PID/net` that lists the tables of a namespace. There is none where the kernel has no such
    /// tables.
    pub(super) const fn names(self) -> &'static str {
        match self {
            Self::V4 => "ip_tables_names",
            Self::V6 => "ip6_tables_names",
        }
    }

    const fn level(self) -> i32 {
        match self {
            Self::V4 => libc::SOL_IP,
            Self::V6 => libc::SOL_IPV6,
        }
    }
}

/// The table that redirects.
const NAT: &str = "nat";

/// Whether a list of tables has the one that redirects.
pub(super) fn has_nat(names: &str) -> bool {
    names.lines().any(|name| name == NAT)
}

/// Whether the table `nat` has a chain with such a name. To ask for a table makes it: so it is asked for only if it is
/// there, or if that may not be read.
pub(super) fn nat_mentions(family: Family, chain: &str) -> io::Result<bool> {
    match fs::read_to_string(format!("/proc/thread-self/net/{}", family.names())) {
        Ok(names) if has_nat(&names) => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // It is of the namespace's own root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
    }
    let entries = match entries(family) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOPROTOOPT)) => {
            return Ok(false);
        }
        entries => entries?,
    };
    // A chain begins with an entry that has its name.
    Ok(entries.windows(chain.len()).any(|window| window == chain.as_bytes()))
}

/// Of include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h, which are alike.
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;

const NAME_LEN: usize = 32;
/// Where `size` stands in `struct ipt_getinfo`, which ends with it.
const SIZE: usize = NAME_LEN + 4 * 12;
/// Where the entries stand in `struct ipt_get_entries`.
const ENTRIES: usize = NAME_LEN + 8;

/// So many bytes of a table are read: it may be as large as somebody likes.
const MOST: u32 = 16 << 20;

/// How often to ask again for a table that changes meanwhile.
const ATTEMPTS: usize = 8;

/// The entries of the table `nat`, as the kernel has them.
fn entries(family: Family) -> io::Result<Vec<u8>> {
    let address = if family == Family::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(address, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut attempts = 0;
    loop {
        let mut info = named(SIZE + 4);
        sockopt::get(&socket, family.level(), GET_INFO, &mut info)?;
        let size = info[SIZE..].first_chunk().map_or(0, |size| u32::from_ne_bytes(*size));
        if size > MOST {
            return Err(io::Error::other(format!("the table nat takes more than {} MiB", MOST >> 20)));
        }
        let mut entries = named(ENTRIES + size as usize);
        entries[NAME_LEN..NAME_LEN + 4].copy_from_slice(&size.to_ne_bytes());
        match sockopt::get(&socket, family.level(), GET_ENTRIES, &mut entries) {
            // It has another size by now.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && attempts < ATTEMPTS => attempts += 1,
            got => return got.map(|()| entries.split_off(ENTRIES)),
        }
    }
}

/// A request about the table.
fn named(length: usize) -> Vec<u8> {
    let mut request = vec![0; length];
    request[..NAT.len()].copy_from_slice(NAT.as_bytes());
    request
}
