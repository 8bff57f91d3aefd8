// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! What TCP tells of a connection: that its first SYN is being sent, that the handshake is complete, that it is at its
//! end.
//!
//! This may run in softirq, where "current" is anybody: everything is taken from the socket's state. All runs for one
//! socket come one after the other, under its lock.
//!
//! A connection counts as closed when TCP is at its end and not when the application closes it: until then there may be
//! data on the way, so a backend with no open connections can be stopped without loss. TIME_WAIT is after that
//! end. For an MPTCP connection it is the end of its first subflow, the one that was routed.

use aya_ebpf::bindings::{
    BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_TCP_CLOSE, BPF_TCP_ESTABLISHED, bpf_sock_ops,
};
use tcproute_common::{Counter, Kept, Phase};

use crate::{
    context::{TcpContext, mptcp_socket, same},
    maps::count,
    outcomes::{self, phase},
    place::{free, owned_place},
    share::{self, stored},
    sidecar,
};

/// The other callbacks come to sockets of others, too, and end at the first comparisons. What follows on the rest are
/// functions of their own, so that those need neither stack nor registers.
#[inline(always)]
pub(crate) fn on_sock_ops(ctx: &TcpContext) {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => on_first_syn(ctx.raw()),
        BPF_SOCK_OPS_STATE_CB => match ctx.new_state() {
            BPF_TCP_ESTABLISHED => on_established(ctx.raw()),
            BPF_TCP_CLOSE => on_end(ctx.raw()),
            _ => {}
        },
        _ => {}
    }
}

/// Within connect(), or, with TCP_FASTOPEN_CONNECT, within the first send().
///
/// A connect() may fail after `connect4/6` and before this: then the state waits in `Attempted`, and the socket's next
/// routed connect() or its close settles it.
///
/// Programs of other cgroups above run after ours, and may write another destination once more. (A socket whose
/// connect() has failed before its SYN, and that then dials an address with which no route has to do, looks the same.)
/// Nothing of it is our backendRef's, and getpeername() is the kernel's to answer.
#[inline(never)]
fn on_first_syn(ops: *mut bpf_sock_ops) {
    let ctx = &TcpContext::of(ops);
    // This comes to each socket that connects, routed or not.
    if !ctx.may_have_cookie() {
        return;
    }
    let Some((kept, place)) = find(ctx) else { return };
    if phase(kept) != Phase::Attempted as u8 {
        return;
    }
    // SAFETY: a field of a map value.
    let chosen = unsafe { (*kept).state.chosen() };
    if same(&ctx.peer(), &chosen) {
        outcomes::dialling(kept);
        ctx.follow_states();
        return;
    }
    count(Counter::Elsewhere);
    outcomes::led_elsewhere(kept);
    release(ctx, kept, place);
}

#[inline(never)]
fn on_established(ops: *mut bpf_sock_ops) {
    let ctx = &TcpContext::of(ops);
    if let Some((kept, _)) = find(ctx)
        && phase(kept) == Phase::Dialling as u8
    {
        outcomes::established(kept);
    }
}

/// The last that TCP does with a socket, unless it is used again. getpeername() fails from here on, so the
/// state has served.
#[inline(never)]
fn on_end(ops: *mut bpf_sock_ops) {
    let ctx = &TcpContext::of(ops);
    let Some((kept, place)) = find(ctx) else { return };
    outcomes::ended(kept, ctx);
    release(ctx, kept, place);
}

/// Forgets what has served, and has the socket as it was.
#[inline(always)]
fn release(ctx: &TcpContext, kept: *mut Kept, place: Place) {
    sidecar::unmark_ended(ctx, kept);
    match place {
        Place::Connections => free(kept),
        Place::Storage => {
            let socket = ctx.socket();
            if !socket.is_null()
                && let Some(stored) = stored(socket)
            {
                share::delete(socket, stored);
            }
        }
        // Other subflows may go on.
        Place::Mptcp => {}
    }
}

/// Where a state is kept.
#[derive(Clone, Copy)]
enum Place {
    Connections,
    Storage,
    /// In `overflow`, too, for the MPTCP socket.
    Mptcp,
}

#[inline(always)]
fn find(ctx: &TcpContext) -> Option<(*mut Kept, Place)> {
    if let Some(place) = owned_place(ctx.cookie()) {
        return Some((place, Place::Connections));
    }
    let socket = ctx.socket();
    if socket.is_null() {
        return None;
    }
    let mptcp = mptcp_socket(socket);
    if mptcp.is_null() {
        stored(socket).map(
            #[inline(always)]
            |stored| (share::kept(stored), Place::Storage),
        )
    } else {
        stored(mptcp).map(
            #[inline(always)]
            |stored| (share::kept(stored), Place::Mptcp),
        )
    }
}
