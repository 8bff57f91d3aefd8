// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! tcproute's eBPF programs. Only entry points: each hands over to the module of its hook.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(clippy::needless_pass_by_value, reason = "the macros hand the contexts over")]

mod connect;
mod connection;
mod context;
mod draw;
mod failing;
mod maps;
mod outcomes;
mod peername;
mod place;
mod release;
mod share;
mod sidecar;
mod sock_ops;
mod trace;

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SockAddrContext, SockContext, SockOpsContext},
};

use crate::context::{ConnectContext, Family, TcpContext};

#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    connect::on_connect(&ConnectContext::new(ctx, Family::V4))
}

#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    connect::on_connect(&ConnectContext::new(ctx, Family::V6))
}

#[cgroup_sock_addr(getpeername4)]
fn getpeername4(ctx: SockAddrContext) -> i32 {
    peername::on_getpeername(&ConnectContext::new(ctx, Family::V4))
}

#[cgroup_sock_addr(getpeername6)]
fn getpeername6(ctx: SockAddrContext) -> i32 {
    peername::on_getpeername(&ConnectContext::new(ctx, Family::V6))
}

#[cgroup_sock(sock_release)]
fn sock_release(ctx: SockContext) -> i32 {
    let SockContext { sock } = ctx;
    release::on_release(sock)
}

/// Answers what leaves every decision of TCP as it is.
#[sock_ops]
fn sock_ops(ctx: SockOpsContext) -> u32 {
    sock_ops::on_sock_ops(&TcpContext::new(ctx));
    1
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The helpers for sockets and spin locks are open to GPL-compatible programs only. The manifest says the same in SPDX.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
