//! Memory that is asked for again.
//!
//! When the allocator of a static binary is refused by the kernel once, for want of memory at that moment or of a map,
//! it has no other way to any, and the process would end. That of glibc has, and so have those that ask again.

use std::alloc::{GlobalAlloc, Layout, System};

/// The allocator of the system, asked a few times.
pub struct Patient;

const TRIES: u32 = 4;

impl Patient {
    fn ask(mut allocate: impl FnMut() -> *mut u8) -> *mut u8 {
        (1..TRIES).map(|_| allocate()).find(|memory| !memory.is_null()).unwrap_or_else(allocate)
    }
}

// SAFETY: all is done by the allocator of the system, with the very arguments. One that has answered with null has done
// nothing, so it may be asked again.
unsafe impl GlobalAlloc for Patient {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        Self::ask(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        Self::ask(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises. The memory is as it was while null is answered.
        Self::ask(|| unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; it is memory of the same allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn it_is_asked_again_and_not_for_ever() {
        let mut memory = 0_u8;
        let given = &raw mut memory;
        for (refusals, expected) in [(0, given), (TRIES - 1, given), (TRIES, ptr::null_mut())] {
            let mut left = refusals;
            let answer = Patient::ask(|| {
                let refused = left > 0;
                left = left.saturating_sub(1);
                if refused { ptr::null_mut() } else { given }
            });
            assert_eq!(answer, expected, "after {refusals} refusals");
        }
    }
}
