// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! A peer for the benchmark: the usual socket balancer. A service leads to a number of backends chosen
//! evenly by a remainder, and an LRU hash keyed by the socket cookie remembers the dialled address for getpeername().

#![no_std]
#![no_main]
#![allow(clippy::needless_pass_by_value, reason = "the macro hands the context over")]

use core::ptr;

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{HashMap, LruHashMap},
    helpers::generated::{bpf_get_prandom_u32, bpf_get_socket_cookie},
    macros::{btf_map, cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};

/// A v4 address in network order and a port as `user_port` has it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Peer {
    /// Network order.
    pub address: u32,
    /// Network order, in the low 16 bits.
    pub port: u32,
}

/// Service, and the number of a backend counted from 1; 0 holds the number of backends.
#[repr(C)]
pub struct ServiceKey {
    /// What was dialled.
    pub dialled: Peer,
    /// 0 or a backend's number.
    pub backend: u32,
}

/// How many backends, or one of them.
#[repr(C)]
pub struct ServiceValue {
    /// For backend 0.
    pub count: u32,
    /// For the others.
    pub backend: Peer,
}

#[btf_map(name = "lb_services")]
static SERVICES: HashMap<ServiceKey, ServiceValue, 65536, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

#[btf_map(name = "lb_reverse")]
static REVERSE: LruHashMap<u64, Peer, 65536> = LruHashMap::new();

#[cgroup_sock_addr(connect4)]
fn lb_connect4(ctx: SockAddrContext) -> i32 {
    balance(&ctx);
    1
}

/// Answers with what was dialled, as long as it is remembered.
#[cgroup_sock_addr(getpeername4)]
fn lb_getpeername4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    // SAFETY: the state is copied; if the LRU reuses it meanwhile, the answer is that of another socket, as with others
    // who balance so.
    if let Some(&dialled) = unsafe { REVERSE.get(cookie) } {
        set(&ctx, dialled);
    }
    1
}

/// Forgets what was dialled.
#[cgroup_sock(sock_release)]
fn lb_release(ctx: SockContext) -> i32 {
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let _ = REVERSE.remove(cookie);
    1
}

/// Does nothing: what it costs is the cost of measuring.
#[cgroup_sock_addr(connect4)]
fn lb_empty(_: SockAddrContext) -> i32 {
    1
}

#[inline(always)]
fn balance(ctx: &SockAddrContext) -> Option<()> {
    let raw = ctx.sock_addr;
    // SAFETY: the kernel passes a valid context.
    if unsafe { ptr::read_volatile(&raw const (*raw).protocol) } != 6 {
        return None;
    }
    // SAFETY: as above.
    let address = unsafe { ptr::read_volatile(&raw const (*raw).user_ip4) };
    // SAFETY: as above.
    let port = unsafe { ptr::read_volatile(&raw const (*raw).user_port) };
    let dialled = Peer { address, port };
    // SAFETY: nothing writes the map while the benchmark runs.
    let service = unsafe { SERVICES.get(&ServiceKey { dialled, backend: 0 }) }?;
    // SAFETY: takes nothing, cannot fail.
    let draw = unsafe { bpf_get_prandom_u32() };
    let backend = draw.checked_rem(service.count)? + 1;
    // SAFETY: as for the first look-up.
    let chosen = unsafe { SERVICES.get(&ServiceKey { dialled, backend }) }?.backend;
    // SAFETY: the helper takes the context of this program type.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let _ = REVERSE.insert(cookie, dialled, 0);
    set(ctx, chosen);
    Some(())
}

#[inline(always)]
fn set(ctx: &SockAddrContext, peer: Peer) {
    let raw = ctx.sock_addr;
    // SAFETY: valid context, writable field.
    unsafe { ptr::write_volatile(&raw mut (*raw).user_ip4, peer.address) };
    // SAFETY: as above.
    unsafe { ptr::write_volatile(&raw mut (*raw).user_port, peer.port) };
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
