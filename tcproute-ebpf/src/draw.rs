// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Choices by chance: each processor has a sequence of draws of its own.

use core::ptr;

use tcproute_common::{DRAW_STEP, drawn};

use crate::maps::DRAWS;

/// Two random numbers, each even over all of `u32`.
///
/// The helper for it takes three times as long for one. Of two programs on one processor of which one interrupts the
/// other both may have the same state, but never the same cookie.
#[inline(always)]
pub(crate) fn draw(cookie: u64) -> [u32; 2] {
    // There is one, but the verifier does not know.
    let Some(state) = DRAWS.get_ptr_mut(0) else { return drawn(cookie) };
    // SAFETY: a map value of this processor.
    let next = unsafe { ptr::read_volatile(state) }.wrapping_add(DRAW_STEP);
    // SAFETY: as above.
    unsafe { ptr::write_volatile(state, next) };
    drawn(next ^ cookie)
}
