//! Ports for servers that are started again at the same.

use std::{collections::BTreeSet, fs, net::Ipv4Addr, net::TcpListener, sync::Mutex, sync::PoisonError};

/// Above those of well-known services.
const FIRST: u16 = 10_000;

/// Where the kernel begins if nothing else is known.
const EPHEMERAL: u16 = 32_768;

/// A port of loopback that nobody listens at and no other call has told. It is below those that the kernel gives to
/// whoever asks for none, so that none of them takes it while its server is away.
pub(super) fn claim() -> u16 {
    static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    let range = FIRST..first_ephemeral().max(FIRST + 1_000);
    let mut tried = std::iter::repeat_with(|| fastrand::u16(range.clone())).take(10_000);
    let free = tried
        .find(|&port| !claimed.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    let free = free.expect("a port is free");
    claimed.insert(free);
    free
}

fn first_ephemeral() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(EPHEMERAL)
}
