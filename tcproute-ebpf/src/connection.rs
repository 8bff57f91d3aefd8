//! Where the state of a socket lives: a slot of `connections`, or else `overflow`.

use core::ptr;

use aya_ebpf::{
    bindings::{self, BPF_SK_STORAGE_GET_F_CREATE},
    helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get, bpf_spin_lock, bpf_spin_unlock},
};
use tcproute_common::{CONNECTIONS, ConnectionSlot, ConnectionState, Counter};

use crate::{
    context::ConnectContext,
    maps::{CONNECTION_SLOTS, count, overflow},
};

/// The slot in which a socket may have its state.
#[inline(always)]
pub(crate) fn slot_of(cookie: u64) -> Option<*mut ConnectionSlot> {
    CONNECTION_SLOTS.get_ptr_mut(cookie as u32 & (CONNECTIONS - 1))
}

/// Keeps `state` as the last decision for the socket.
#[inline(always)]
pub(crate) fn remember(ctx: &ConnectContext, state: &ConnectionState) {
    // getpeername() of an MPTCP socket sees the MPTCP socket and never the subflow that connects, and the
    // subflow is closed without a run of sock_release: its state belongs to the MPTCP socket.
    let mptcp = ctx.mptcp_socket();
    if !mptcp.is_null() {
        return remember_in_storage(mptcp, state);
    }
    let cookie = ctx.cookie();
    if let Some(slot) = slot_of(cookie)
        && claim(slot, cookie)
    {
        // SAFETY: the slot is this socket's, and the socket is locked during connect().
        unsafe { (*slot).state = *state };
        return;
    }
    count(Counter::Overflowed);
    remember_in_storage(ctx.socket(), state);
}

/// Forgets what was decided for an earlier connect() of the socket.
///
/// Needed although a stale state is never shown for another peer: the application may now dial, by itself,
/// the very endpoint that was chosen before.
#[inline(always)]
pub(crate) fn forget(ctx: &ConnectContext) {
    let cookie = ctx.cookie();
    if let Some(slot) = slot_of(cookie) {
        release(slot, cookie);
    }
    // A socket may have states in both places: its slot was taken the first time and free the second.
    delete_from_storage(ctx.socket());
    let mptcp = ctx.mptcp_socket();
    if !mptcp.is_null() {
        delete_from_storage(mptcp);
    }
}

/// Frees the slot if the socket owns it.
#[inline(always)]
pub(crate) fn release(slot: *mut ConnectionSlot, cookie: u64) {
    // SAFETY: a map value, aligned to 8 bytes, so that the load is one instruction.
    if unsafe { ptr::read_volatile(&raw const (*slot).cookie) } == cookie {
        // SAFETY: as above, and only the owner writes an owned slot.
        unsafe { ptr::write_volatile(&raw mut (*slot).cookie, 0) };
    }
}

/// The state of the socket, if it has one.
#[inline(always)]
pub(crate) fn recall(ctx: &ConnectContext) -> Option<*const ConnectionState> {
    let cookie = ctx.cookie();
    if let Some(slot) = slot_of(cookie) {
        // SAFETY: a map value, aligned to 8 bytes, so that the load is one instruction.
        if unsafe { ptr::read_volatile(&raw const (*slot).cookie) } == cookie {
            // SAFETY: a field of a map value.
            return Some(unsafe { &raw const (*slot).state });
        }
    }
    // SAFETY: the map and the socket are valid; without the create flag nothing is written.
    let state = unsafe { bpf_sk_storage_get(overflow(), ctx.socket(), ptr::null_mut(), 0) };
    if state.is_null() { None } else { Some(state.cast()) }
}

/// Makes the slot the socket's. `false` if another live socket has it.
#[inline(always)]
fn claim(slot: *mut ConnectionSlot, cookie: u64) -> bool {
    // SAFETY: a map value, aligned to 8 bytes, so that the load is one instruction.
    let owner = unsafe { ptr::read_volatile(&raw const (*slot).cookie) };
    if owner != 0 {
        return owner == cookie;
    }
    // SAFETY: a field of a map value.
    let lock = unsafe { &raw mut (*slot).lock }.cast::<bindings::bpf_spin_lock>();
    // SAFETY: the lock lies in a map value whose BTF names it, and is released below on the only way out.
    unsafe { bpf_spin_lock(lock) };
    // SAFETY: as above.
    let free = unsafe { ptr::read_volatile(&raw const (*slot).cookie) } == 0;
    if free {
        // SAFETY: as above, under the lock.
        unsafe { ptr::write_volatile(&raw mut (*slot).cookie, cookie) };
    }
    // SAFETY: taken above.
    unsafe { bpf_spin_unlock(lock) };
    free
}

#[inline(always)]
fn remember_in_storage(socket: *mut core::ffi::c_void, state: &ConnectionState) {
    let value = ptr::from_ref(state).cast_mut().cast();
    // SAFETY: the map, the socket and the initial value are valid; the helper only reads the last.
    let stored =
        unsafe { bpf_sk_storage_get(overflow(), socket, value, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) };
    if stored.is_null() {
        return count(Counter::Unrecorded);
    }
    // An existing value is not overwritten by the helper.
    // SAFETY: the helper answered a value of this map, and the socket is locked during connect().
    unsafe { *stored.cast::<ConnectionState>() = *state };
}

#[inline(always)]
fn delete_from_storage(socket: *mut core::ffi::c_void) {
    // SAFETY: the map and the socket are valid. The helper fails where there is no state, as is usual.
    let _ = unsafe { bpf_sk_storage_delete(overflow(), socket) };
}
