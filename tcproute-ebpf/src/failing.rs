// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Counting handshakes that fail in a row, for the daemon to take dead endpoints out. Off unless it asks for it.

use aya_ebpf::bindings::BPF_NOEXIST;
use tcproute_common::{FailingKey, Kept};

use crate::{
    maps::{EJECTS, FAILING, GENERATION, add_u32},
    share::{spend_failing, unspend_failing, workload_of},
};

/// Nobody could be reached at the endpoint.
#[inline(always)]
pub(crate) fn failed(kept: *mut Kept) {
    let Some(key) = key(kept) else { return };
    match FAILING.get_ptr_mut(key) {
        // SAFETY: a value of a map of u32.
        Some(count) => unsafe { add_u32(count, 1) },
        // If there is no room, one of many dead endpoints of this workload stays in.
        None => {
            let workload = workload_of(key.outcomes, GENERATION.load());
            if spend_failing(workload) != 0 && FAILING.insert(key, 1, u64::from(BPF_NOEXIST)).is_err() {
                unspend_failing(workload);
            }
        }
    }
}

/// The endpoint has answered.
#[inline(always)]
pub(crate) fn succeeded(kept: *mut Kept) {
    let Some(key) = key(kept) else { return };
    if FAILING.get_ptr(key).is_some() && FAILING.remove(key).is_ok() {
        unspend_failing(workload_of(key.outcomes, GENERATION.load()));
    }
}

#[inline(always)]
fn key(kept: *mut Kept) -> Option<FailingKey> {
    if EJECTS.load() == 0 {
        return None;
    }
    // SAFETY: fields of a map value.
    let (generation, outcomes) = unsafe { ((*kept).generation, (*kept).state.outcomes) };
    if outcomes == 0 || generation != GENERATION.load() as u8 {
        return None;
    }
    // SAFETY: a field of a map value.
    let endpoint = unsafe { (*kept).state.chosen() };
    Some(FailingKey { endpoint, outcomes })
}
