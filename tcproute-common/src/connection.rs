// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What is remembered of a connection: so that `getpeername` can answer with the dialled address, and that
//! its outcome is counted where it belongs.

use crate::{Address, SocketAddress};

/// Entries in the map `connections`; a power of two, since a place is found by masking the cookie.
pub const CONNECTIONS: u32 = 1 << 16;

/// The last decision made for a socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionState {
    dialled: Address,
    chosen: Address,
    dialled_port: u16,
    chosen_port: u16,
    /// Index in the map `outcomes` of the chosen backend; 0 if it has none.
    pub outcomes: u32,
    /// When the first SYN was sent, in microseconds since the boot, modulo 2^32.
    pub started: u32,
}

crate::shared!(ConnectionState, 44);

impl ConnectionState {
    /// Before the first SYN.
    #[inline(always)]
    pub const fn new(dialled: &SocketAddress, chosen: &SocketAddress, outcomes: u32) -> Self {
        Self {
            dialled: dialled.address,
            chosen: chosen.address,
            dialled_port: dialled.port as u16,
            chosen_port: chosen.port as u16,
            outcomes,
            started: 0,
        }
    }

    /// What the application dialled.
    #[inline(always)]
    pub const fn dialled(&self) -> SocketAddress {
        SocketAddress { address: self.dialled, port: self.dialled_port as u32 }
    }

    /// Where the connection was sent. The state holds only while the socket's peer equals this.
    #[inline(always)]
    pub const fn chosen(&self) -> SocketAddress {
        SocketAddress { address: self.chosen, port: self.chosen_port as u32 }
    }

    /// From now on it holds for no peer.
    #[inline(always)]
    pub const fn forget_chosen(&mut self) {
        self.chosen = SocketAddress::NOWHERE.address;
        self.chosen_port = 0;
    }
}

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
    /// Of a place, how many sockets claim it: whoever finds itself to be the only one has it, and claims it until the
    /// socket's state has served. Used where processors show each other their stores in order (x86).
    pub claims: u32,
    /// Of a place, held to claim it and to give it back, where processors do not. (5.10 has no atomic operation in BPF
    /// that orders anything.)
    pub lock: SpinLock,
    /// The socket that connects; of a place, 0 when it is free (the kernel never hands out 0).
    pub cookie: u64,
    /// A [`Phase`].
    pub phase: u8,
    /// Whether the programs have set their mark on the socket, and so have to take it off; else 0.
    pub marked: u8,
    /// Of the map `outcomes` that the state means. A daemon that makes the map anew raises it, and what sockets from
    /// before come to is not counted for others.
    pub generation: u8,
    /// Whether the decision was told as an event, so that its end is, too; else 0.
    pub traced: u8,
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
