//! What is remembered of a connection, so that `getpeername` can answer with the dialled address.

use crate::SocketAddress;

/// Entries in the map `connections`; a power of two, since a slot is found by masking the cookie.
pub const CONNECTIONS: u32 = 1 << 16;

/// The last decision made for a socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionState {
    /// What the application dialled.
    pub dialled: SocketAddress,
    /// Where the connection was sent. The state holds only while the socket's peer equals this.
    pub chosen: SocketAddress,
    /// The workload that dialled.
    pub workload: u32,
    /// Index of the chosen entry in the map `backends`.
    pub backend: u32,
}

crate::shared!(ConnectionState, 48);

/// A slot of the map `connections`, one cache line.
///
/// The map is an array indexed by the low bits of the socket cookie. Cookies are handed out in sequence, so
/// live sockets spread over it; the few that meet a slot of another live socket keep their state in the map
/// `overflow` (`sk_storage`) instead, at five times the price. Nothing is ever evicted.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSlot {
    /// Held only to claim the slot: 5.10 has no atomic compare-and-exchange in BPF.
    pub lock: SpinLock,
    /// Fills the gap before `cookie`.
    pub reserved: u32,
    /// The socket that owns the slot; 0 when it is free (the kernel never hands out 0).
    pub cookie: u64,
    /// Written and read by the owner only.
    pub state: ConnectionState,
}

crate::shared!(ConnectionSlot, 64);

/// `struct bpf_spin_lock` of the kernel, which finds it in the map's BTF by this name.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bpf_spin_lock {
    val: u32,
}

/// The lock inside a [`ConnectionSlot`].
pub type SpinLock = bpf_spin_lock;
