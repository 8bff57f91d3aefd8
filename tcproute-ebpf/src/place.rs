// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! The places of the map `connections`: whose each is, how it becomes a socket's, and how it is given back.
//!
//! Where processors show each other their stores in order (x86), a place is claimed by counting: an addition that
//! answers nothing, and a look at what came of it. Of those that claim at the same time no more than one sees itself
//! alone. The kernel's lock disables interrupts, which takes longer than all else here. Elsewhere it is the lock, so
//! that the next owner sees all that the one before has written.

use core::ptr;

use aya_ebpf::{
    bindings,
    helpers::generated::{bpf_spin_lock, bpf_spin_unlock},
};
use tcproute_common::{CONNECTIONS, Kept};

use crate::maps::{CONNECTION_PLACES, MINUS_ONE, STORES_IN_ORDER, add_u32};

/// The place in which a socket may have its state, and who had it. Looked at long before it is needed: it is seldom in
/// the processor's caches, and what is done meanwhile does not wait for it.
pub(crate) struct Place {
    pub(crate) cookie: u64,
    kept: *mut Kept,
    owner: u64,
}

impl Place {
    /// Of the socket with this cookie. There always is one, but the verifier does not know.
    #[inline(always)]
    pub(crate) fn of(cookie: u64) -> Option<Self> {
        let kept = place_of(cookie)?;
        Some(Self { cookie, kept, owner: owner(kept) })
    }

    /// Makes it the socket's. `None` if another live socket had it, or another one claims it just now.
    #[inline(always)]
    pub(crate) fn claim(&self) -> Option<*mut Kept> {
        if self.owner != 0 {
            return (self.owner == self.cookie).then_some(self.kept);
        }
        let mine = if STORES_IN_ORDER.load() != 0 { self.claim_by_count() } else { self.claim_by_lock() };
        mine.then_some(self.kept)
    }

    #[inline(always)]
    fn claim_by_count(&self) -> bool {
        // SAFETY: a field of a map value.
        let claims = unsafe { &raw mut (*self.kept).claims };
        // SAFETY: as above.
        unsafe { add_u32(claims, 1) };
        // SAFETY: as above.
        if unsafe { ptr::read_volatile(claims) } == 1 {
            self.write_owner();
            return true;
        }
        // SAFETY: as above.
        unsafe { add_u32(claims, MINUS_ONE) };
        false
    }

    #[inline(always)]
    fn claim_by_lock(&self) -> bool {
        // SAFETY: a field of a map value.
        let lock = unsafe { &raw mut (*self.kept).lock }.cast::<bindings::bpf_spin_lock>();
        // SAFETY: the lock lies in a map value whose BTF names it, and is released below on the only way out.
        unsafe { bpf_spin_lock(lock) };
        let free = owner(self.kept) == 0;
        if free {
            self.write_owner();
        }
        // SAFETY: taken above.
        unsafe { bpf_spin_unlock(lock) };
        free
    }

    #[inline(always)]
    fn write_owner(&self) {
        // SAFETY: a field of a map value, which is this socket's from now on.
        unsafe { ptr::write_volatile(&raw mut (*self.kept).cookie, self.cookie) };
    }
}

/// The place of the socket with this cookie, if it has its state there.
#[inline(always)]
pub(crate) fn owned_place(cookie: u64) -> Option<*mut Kept> {
    let place = place_of(cookie)?;
    (owner(place) == cookie).then_some(place)
}

/// Gives the place back, which the socket owns.
#[inline(always)]
pub(crate) fn free(place: *mut Kept) {
    if STORES_IN_ORDER.load() != 0 {
        disown(place);
        // SAFETY: a field of a map value.
        unsafe { add_u32(&raw mut (*place).claims, MINUS_ONE) };
        return;
    }
    // SAFETY: a field of a map value.
    let lock = unsafe { &raw mut (*place).lock }.cast::<bindings::bpf_spin_lock>();
    // SAFETY: the lock lies in a map value whose BTF names it, and is released below on the only way out.
    unsafe { bpf_spin_lock(lock) };
    disown(place);
    // SAFETY: taken above.
    unsafe { bpf_spin_unlock(lock) };
}

#[inline(always)]
fn disown(place: *mut Kept) {
    // SAFETY: a field of a map value, and only the owner frees an owned place.
    unsafe { ptr::write_volatile(&raw mut (*place).cookie, 0) };
}

/// The place in which a socket may have its state.
#[inline(always)]
fn place_of(cookie: u64) -> Option<*mut Kept> {
    CONNECTION_PLACES.get_ptr_mut(cookie as u32 & (CONNECTIONS - 1))
}

/// The cookie of the socket that has the place; 0 if it is free.
#[inline(always)]
fn owner(place: *mut Kept) -> u64 {
    // SAFETY: a map value, aligned to 8 bytes, so that the load is one instruction.
    unsafe { ptr::read_volatile(&raw const (*place).cookie) }
}
