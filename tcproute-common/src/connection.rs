// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What is remembered of a connection: so that `getpeername` can answer with the dialled address, and that
//! its outcome is counted where it belongs.

use crate::SocketAddress;

/// Entries in the map `connections`; a power of two, since a place is found by masking the cookie.
pub const CONNECTIONS: u32 = 1 << 16;

/// The last decision made for a socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionState {
    /// What the application dialled.
    pub dialled: SocketAddress,
    /// Where the connection was sent. The state holds only while the socket's peer equals this.
    pub chosen: SocketAddress,
    /// Index in the map `outcomes` of the chosen backend; 0 if it has none.
    pub outcomes: u32,
    /// When the first SYN was sent, in microseconds since the boot, modulo 2^32.
    pub started: u32,
}

crate::shared!(ConnectionState, 48);

/// How far a connection has come, and so what is counted of it already. A value of [`Kept::phase`].
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP is at its end, and its outcome is counted.
    Over = 0,
    /// connect() was sent to a backend. Counted as attempted.
    Attempted = 1,
    /// The first SYN is being sent. From here on TCP tells of its end.
    Dialling = 2,
    /// The handshake is complete. Counted as established.
    Established = 3,
}

/// The state of a socket where it is kept: as a place of the map `connections`, one cache line, or in a value of the
/// map `overflow`.
///
/// The map `connections` is an array indexed by the low bits of the socket cookie. Cookies are handed out in
/// sequence, so live sockets spread over it; the few that meet a place of another live socket keep their state in
/// the map `overflow` (`sk_storage`) instead, at five times the price. Nothing is ever evicted.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Held only to claim a place: 5.10 has no atomic compare-and-exchange in BPF.
    pub lock: SpinLock,
    /// A [`Phase`].
    pub phase: u8,
    /// Whether the programs have set their mark on the socket, and so have to take it off; else 0.
    pub marked: u8,
    /// Of the map `outcomes` that the state means. A daemon that makes the map anew raises it, and what sockets from
    /// before come to is not counted for others.
    pub generation: u8,
    /// Whether the decision was told as an event, so that its end is, too; else 0.
    pub traced: u8,
    /// The socket that connects; of a place, 0 when it is free (the kernel never hands out 0).
    pub cookie: u64,
    /// Written and read by the owner only.
    pub state: ConnectionState,
}

crate::shared!(Kept, 64);

/// `struct bpf_spin_lock` of the kernel, which finds it in the map's BTF by this name.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bpf_spin_lock {
    val: u32,
}

impl bpf_spin_lock {
    /// As nobody holds it.
    pub const FREE: Self = Self { val: 0 };
}

/// A lock inside a map value.
pub type SpinLock = bpf_spin_lock;
