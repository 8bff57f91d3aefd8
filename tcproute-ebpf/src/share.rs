// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! What one workload may take of what all of them share, so that who takes more loses alone.
//!
//! Before something is made, the number of it is raised and then looked at: of those that raise it at the same time, no
//! more go on than there is room for. 5.10 has no addition that answers.
//!
//! What looks into maps here are global functions of numbers: the verifier looks at each of them once, and not again
//! for every way on which it is called.

use core::{
    ffi::c_void,
    ptr::{self, read_volatile, write_volatile},
};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_SK_STORAGE_GET_F_CREATE},
    helpers::generated::{bpf_ringbuf_query, bpf_sk_storage_delete, bpf_sk_storage_get},
};
use tcproute_common::{Counter, EVENT_BYTES, Kept, Spent, Stored};

use crate::maps::{
    BACKEND_REFS, CREDITS, GENERATION, MINUS_ONE, SHARES_TAKEN, SPENT, WORKLOADS, add, add_u32, count,
    events, overflow,
};

/// What is kept in `overflow` for a socket: any that a helper of this program type takes.
#[inline(always)]
pub(crate) fn stored(socket: *mut c_void) -> Option<*mut Stored> {
    // SAFETY: the map and the socket are valid; without the create flag nothing is written.
    let stored = unsafe { bpf_sk_storage_get(overflow(), socket, ptr::null_mut(), 0) };
    (!stored.is_null()).then_some(stored.cast())
}

/// The state in it.
#[inline(always)]
pub(crate) fn kept(stored: *mut Stored) -> *mut Kept {
    // SAFETY: a field of a map value.
    unsafe { &raw mut (*stored).kept }
}

/// The place for a socket's state in `overflow`, made if need be. `None` if the workload has its share, or if there is
/// no memory. In `connect4/6` only.
#[inline(always)]
pub(crate) fn store(socket: *mut c_void, workload: u32) -> Option<*mut Kept> {
    // SAFETY: the kernel allocates the value when it attaches the program and frees it after detaching.
    let most = unsafe { read_volatile(&raw const (*WORKLOADS.get_ptr_mut()).remembers) };
    let stored = find_or_make(socket, workload, most);
    (!stored.is_null()).then_some(kept(stored))
}

/// A function of its own, for MPTCP sockets and others.
#[inline(never)]
fn find_or_make(socket: *mut c_void, workload: u32, most: u32) -> *mut Stored {
    if let Some(before) = stored(socket) {
        return before;
    }
    if remember_one(workload, most) == 0 {
        return ptr::null_mut();
    }
    let epoch = epoch_of(workload);
    // SAFETY: the map and the socket are valid; a new value is all zeros.
    let made = unsafe {
        bpf_sk_storage_get(overflow(), socket, ptr::null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE))
    }
    .cast::<Stored>();
    if made.is_null() {
        forget_one(workload, epoch);
        return made;
    }
    // SAFETY: a field of a map value that is this socket's.
    unsafe { (*made).epoch = epoch };
    // SAFETY: as above.
    unsafe { (*made).workload = workload };
    made
}

/// It does not count for its workload any more. Called when the state has served, and once where it stays till the
/// socket goes.
#[inline(always)]
pub(crate) fn give_back(stored: *mut Stored) {
    // SAFETY: fields of a map value.
    let (workload, epoch) = unsafe { ((*stored).workload, (*stored).epoch) };
    // SAFETY: as above; nobody else writes it meanwhile.
    unsafe { write_volatile(&raw mut (*stored).workload, 0) };
    forget_one(workload, epoch);
}

/// Forgets what is kept in `overflow` for a socket.
#[inline(always)]
pub(crate) fn delete(socket: *mut c_void, stored: *mut Stored) {
    give_back(stored);
    // SAFETY: the map and the socket are valid.
    let _ = unsafe { bpf_sk_storage_delete(overflow(), socket) };
}

/// Takes one more of a workload's share of states. 0, and counted, if there are so many.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn remember_one(workload: u32, most: u32) -> u32 {
    let Some(share) = SHARES_TAKEN.get_ptr_mut(workload) else { return 0 };
    // SAFETY: a field of a map value.
    let remembered = unsafe { &raw mut (*share).remembered };
    // SAFETY: as above.
    unsafe { add_u32(remembered, 1) };
    // SAFETY: as above.
    if unsafe { read_volatile(remembered) } <= most {
        return 1;
    }
    // SAFETY: as above.
    unsafe { add_u32(remembered, MINUS_ONE) };
    // SAFETY: as above.
    unsafe { add(&raw mut (*share).unremembered, 1) };
    0
}

/// The present one of a workload.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn epoch_of(workload: u32) -> u32 {
    let share = SHARES_TAKEN.get_ptr(workload);
    // SAFETY: a field of a map value.
    share.map_or(
        0,
        #[inline(always)]
        |share| unsafe { (*share).epoch },
    )
}

/// Gives one back, if it is of this epoch. Of nobody there is no share.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn forget_one(workload: u32, epoch: u32) -> u32 {
    if let Some(share) = SHARES_TAKEN.get_ptr_mut(workload)
        // SAFETY: a field of a map value.
        && unsafe { (*share).epoch } == epoch
    {
        // SAFETY: as above.
        unsafe { add_u32(&raw mut (*share).remembered, MINUS_ONE) };
    }
    0
}

/// The workload for whose connections an entry of `outcomes` counts, if that is of this generation; 0 if it is not
/// known.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn workload_of(outcomes: u32, generation: u32) -> u32 {
    if generation != GENERATION.load() {
        return 0;
    }
    match BACKEND_REFS.get_ptr(outcomes) {
        // SAFETY: a field of a map value.
        Some(backend_ref) => unsafe { read_volatile(&raw const (*backend_ref).route.workload) },
        None => 0,
    }
}

/// Takes room for one more entry of `failing`. 0, and counted, if the workload has its share.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn spend_failing(workload: u32) -> u32 {
    let Some(spent) = SPENT.get_ptr_mut(workload) else { return 0 };
    let Some(credit) = CREDITS.get_ptr(workload) else { return 0 };
    // SAFETY: a field of a map value.
    let most = unsafe { read_volatile(&raw const (*credit).failing) };
    let number = failing(spent);
    if raise(number, most) {
        return 1;
    }
    // SAFETY: a field of a map value.
    unsafe { add(&raw mut (*spent).failing_lost, 1) };
    0
}

/// An entry of `failing` was removed, or not made after all.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn unspend_failing(workload: u32) -> u32 {
    if let Some(spent) = SPENT.get_ptr_mut(workload) {
        // SAFETY: a field of a map value.
        unsafe { add_u32(failing(spent), MINUS_ONE) };
    }
    0
}

/// Takes room for one more event. 0, and counted as lost, if half of the buffer is taken and the workload has its share
/// of the other half.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn spend_event(workload: u32) -> u32 {
    if let Some(spent) = SPENT.get_ptr_mut(workload)
        && let Some(credit) = CREDITS.get_ptr(workload)
    {
        // SAFETY: a field of a map value.
        let number = unsafe { &raw mut (*spent).events };
        // SAFETY: as above.
        let most = unsafe { read_volatile(&raw const (*credit).events) };
        // SAFETY: the map is a ring buffer.
        let waiting = unsafe { bpf_ringbuf_query(events(), u64::from(BPF_RB_AVAIL_DATA)) };
        if waiting < u64::from(EVENT_BYTES / 2) {
            // SAFETY: as above.
            unsafe { add_u32(number, 1) };
            return 1;
        }
        if raise(number, most) {
            return 1;
        }
        // SAFETY: as above.
        unsafe { add(&raw mut (*spent).events_lost, 1) };
    }
    count(Counter::Untraced);
    0
}

/// There was no room in the buffer, though the workload had not its share.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn spend_event_in_vain(workload: u32) -> u32 {
    if let Some(spent) = SPENT.get_ptr_mut(workload) {
        // SAFETY: a field of a map value.
        unsafe { add_u32(&raw mut (*spent).events, MINUS_ONE) };
        // SAFETY: as above.
        unsafe { add(&raw mut (*spent).events_lost, 1) };
    }
    count(Counter::Untraced);
    0
}

#[inline(always)]
fn failing(spent: *mut Spent) -> *mut u32 {
    // SAFETY: a field of a map value.
    unsafe { &raw mut (*spent).failing }
}

/// Raises a number in a map value, unless it would come past `most`. Both are modulo 2^32.
#[inline(always)]
fn raise(number: *mut u32, most: u32) -> bool {
    // SAFETY: as the only callers see to it.
    unsafe { add_u32(number, 1) };
    // SAFETY: as above.
    if most.wrapping_sub(unsafe { read_volatile(number) }).cast_signed() >= 0 {
        return true;
    }
    // SAFETY: as above.
    unsafe { add_u32(number, MINUS_ONE) };
    false
}
