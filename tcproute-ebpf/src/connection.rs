// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Where the state of a socket lives: a place of `connections`, or else `overflow`.

use core::{ffi::c_void, ptr};

use tcproute_common::{ConnectionState, Counter, Kept, Phase};

use crate::{
    context::ConnectContext,
    maps::{GENERATION, count},
    outcomes,
    place::{Place, free, owned_place},
    share::{self, stored},
    sidecar,
};

/// Keeps `state` as the last decision for the socket, and counts the attempt. `traced` tells whether it was an event,
/// and `marked` whether the mark on the socket is ours. Whether there was room for it.
///
/// A socket that finds its place taken, or has none, needs some of its workload's share of memory. When that is taken,
/// the connection is routed all the same.
#[inline(always)]
pub(crate) fn remember(
    ctx: &ConnectContext,
    workload: u32,
    place: &Place,
    state: &ConnectionState,
    traced: bool,
    marked: bool,
) -> bool {
    // getpeername() of an MPTCP socket sees the MPTCP socket and never the subflow that connects, and the
    // subflow is closed without a run of sock_release: its state belongs to the MPTCP socket.
    let mptcp = ctx.mptcp_socket();
    let kept = if !mptcp.is_null() {
        share::store(mptcp, workload)
    } else if let Some(kept) = place.claim() {
        Some(kept)
    } else {
        count(Counter::Overflowed);
        share::store(ctx.socket(), workload)
    };
    let Some(kept) = kept else {
        count(Counter::Unrecorded);
        return false;
    };
    keep(kept, place.cookie, state, traced, marked);
    true
}

/// Forgets what was decided for an earlier connect() of the socket.
///
/// Needed although a stale state is never shown for another peer: the application may now dial, by itself,
/// the very endpoint that was chosen before.
#[inline(always)]
pub(crate) fn forget(ctx: &ConnectContext) {
    if let Some(place) = owned_place(ctx.cookie()) {
        outcomes::settle(place);
        free(place);
    }
    // A socket may have states in both places: its place was taken the first time and free the second.
    forget_in_storage(ctx.socket());
    let mptcp = ctx.mptcp_socket();
    if !mptcp.is_null() {
        forget_in_storage(mptcp);
    }
}

/// Whether a state of the socket says that its mark is ours. From then on none does.
#[inline(always)]
pub(crate) fn disown_mark(ctx: &ConnectContext) -> bool {
    // As in `forget`, there may be states in both places.
    let mut is_ours = match owned_place(ctx.cookie()) {
        Some(place) => sidecar::disown(place),
        None => false,
    };
    let mptcp = ctx.mptcp_socket();
    let socket = if mptcp.is_null() { ctx.socket() } else { mptcp };
    if let Some(stored) = stored(socket) {
        is_ours |= sidecar::disown(share::kept(stored));
    }
    is_ours
}

/// The state of the socket, if it has one.
#[inline(always)]
pub(crate) fn recall(ctx: &ConnectContext) -> Option<*const ConnectionState> {
    let kept = owned_place(ctx.cookie()).or_else(
        #[inline(always)]
        || stored(ctx.socket()).map(share::kept),
    )?;
    // SAFETY: a field of a map value.
    Some(unsafe { &raw const (*kept).state })
}

/// Writes the state of a new attempt where the socket keeps its states.
#[inline(always)]
fn keep(kept: *mut Kept, cookie: u64, state: &ConnectionState, traced: bool, marked: bool) {
    if outcomes::phase(kept) != Phase::Over as u8 {
        outcomes::settle(kept);
    }
    // SAFETY: a map value that is this socket's. A place has this cookie already.
    unsafe { ptr::write_volatile(&raw mut (*kept).cookie, cookie) };
    // SAFETY: a map value that is this socket's, and the socket is locked during connect().
    unsafe { (*kept).state = *state };
    // SAFETY: as above.
    unsafe { (*kept).phase = Phase::Attempted as u8 };
    // SAFETY: as above.
    unsafe { (*kept).generation = GENERATION.load() as u8 };
    // SAFETY: as above.
    unsafe { (*kept).traced = u8::from(traced) };
    // SAFETY: as above.
    unsafe { (*kept).marked = u8::from(marked) };
    outcomes::attempted(state.outcomes);
}

#[inline(always)]
fn forget_in_storage(socket: *mut c_void) {
    if let Some(stored) = stored(socket) {
        outcomes::settle(share::kept(stored));
        share::delete(socket, stored);
    }
}
