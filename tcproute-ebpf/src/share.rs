//! What one workload may take of what all of them share, so that who takes more loses alone.
//!
//! Before something is made, the number of it is raised and then looked at: of those that raise it at the same time, no more
//! go on than there is room for. 5.10 has no addition that answers.

use core::{
    ffi::c_void,
    ptr::{self, read_volatile, write_volatile},
};

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
};
use tcproute_common::{Credit, Kept, Spent, Stored};

use crate::maps::{CREDITS, SHARES_TAKEN, SPENT, WORKLOADS, add, add_u32, overflow};

const MINUS_ONE: u32 = u32::MAX;

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

/// The place for a socket's state in `overflow`, made if need be. `None` if the workload has its share, or if there is no
/// memory. In `connect4/6` only.
#[inline(always)]
pub(crate) fn store(socket: *mut c_void, workload: u32) -> Option<*mut Stored> {
    if let Some(before) = stored(socket) {
        return Some(before);
    }
    let share = SHARES_TAKEN.get_ptr_mut(workload)?;
    // SAFETY: the kernel allocates the value when it attaches the program and frees it after detaching.
    let most = unsafe { read_volatile(&raw const (*WORKLOADS.get_ptr_mut()).remembers) };
    // SAFETY: a field of a map value.
    let remembered = unsafe { &raw mut (*share).remembered };
    // SAFETY: as above.
    unsafe { add_u32(remembered, 1) };
    // SAFETY: as above.
    if unsafe { read_volatile(remembered) } > most {
        // SAFETY: as above.
        unsafe { add_u32(remembered, MINUS_ONE) };
        // SAFETY: as above.
        unsafe { add(&raw mut (*share).unremembered, 1) };
        return None;
    }
    // SAFETY: the map and the socket are valid; a new value is all zeros.
    let made = unsafe {
        bpf_sk_storage_get(overflow(), socket, ptr::null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE))
    }
    .cast::<Stored>();
    if made.is_null() {
        // SAFETY: as above.
        unsafe { add_u32(remembered, MINUS_ONE) };
        return None;
    }
    // SAFETY: fields of map values; the value is this socket's.
    unsafe { (*made).epoch = (*share).epoch };
    // SAFETY: as above.
    unsafe { (*made).workload = workload };
    Some(made)
}

/// It does not count for its workload any more. Called when the state has served, and once where it stays till the socket
/// goes.
#[inline(always)]
pub(crate) fn give_back(stored: *mut Stored) {
    // SAFETY: fields of a map value.
    let (workload, epoch) = unsafe { ((*stored).workload, (*stored).epoch) };
    // SAFETY: as above; nobody else writes it meanwhile.
    unsafe { write_volatile(&raw mut (*stored).workload, 0) };
    if workload != 0
        && let Some(share) = SHARES_TAKEN.get_ptr_mut(workload)
        // SAFETY: a field of a map value.
        && unsafe { (*share).epoch } == epoch
    {
        // SAFETY: as above.
        unsafe { add_u32(&raw mut (*share).remembered, MINUS_ONE) };
    }
}

/// Forgets what is kept in `overflow` for a socket.
#[inline(always)]
pub(crate) fn delete(socket: *mut c_void, stored: *mut Stored) {
    give_back(stored);
    // SAFETY: the map and the socket are valid.
    let _ = unsafe { bpf_sk_storage_delete(overflow(), socket) };
}

/// What a workload has spent of something, and how far it may go.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Failing,
    Events,
}

impl What {
    #[inline(always)]
    fn spent(self, spent: *mut Spent) -> *mut u32 {
        // SAFETY: fields of a map value.
        unsafe {
            match self {
                Self::Failing => &raw mut (*spent).failing,
                Self::Events => &raw mut (*spent).events,
            }
        }
    }

    #[inline(always)]
    fn lost(self, spent: *mut Spent) -> *mut u64 {
        // SAFETY: fields of a map value.
        unsafe {
            match self {
                Self::Failing => &raw mut (*spent).failing_lost,
                Self::Events => &raw mut (*spent).events_lost,
            }
        }
    }

    #[inline(always)]
    fn credit(self, credit: *const Credit) -> u32 {
        // SAFETY: fields of a map value.
        unsafe {
            match self {
                Self::Failing => read_volatile(&raw const (*credit).failing),
                Self::Events => read_volatile(&raw const (*credit).events),
            }
        }
    }
}

/// Takes room for one more. `false`, and counted, if the workload has its share; unless it is `free` for all.
#[inline(always)]
pub(crate) fn spend(workload: u32, what: What, free: bool) -> bool {
    let Some(spent) = SPENT.get_ptr_mut(workload) else { return false };
    let number = what.spent(spent);
    // SAFETY: a field of a map value.
    unsafe { add_u32(number, 1) };
    if free {
        return true;
    }
    // SAFETY: as above.
    let now = unsafe { read_volatile(number) };
    let most = CREDITS.get_ptr(workload).map_or(
        0,
        #[inline(always)]
        |credit| what.credit(credit),
    );
    if most.wrapping_sub(now).cast_signed() >= 0 {
        return true;
    }
    lost(spent, what);
    false
}

/// Nothing was made after all.
#[inline(always)]
pub(crate) fn unspend(workload: u32, what: What) {
    if let Some(spent) = SPENT.get_ptr_mut(workload) {
        // SAFETY: a field of a map value.
        unsafe { add_u32(what.spent(spent), MINUS_ONE) };
    }
}

/// There was no room, though the workload had not its share.
#[inline(always)]
pub(crate) fn spend_in_vain(workload: u32, what: What) {
    if let Some(spent) = SPENT.get_ptr_mut(workload) {
        lost(spent, what);
    }
}

#[inline(always)]
fn lost(spent: *mut Spent, what: What) {
    // SAFETY: a field of a map value.
    unsafe { add_u32(what.spent(spent), MINUS_ONE) };
    // SAFETY: as above.
    unsafe { add(what.lost(spent), 1) };
}
