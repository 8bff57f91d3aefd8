// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The arithmetic of a choice: the same function runs in the kernel and in the property tests.

/// The random 32-bit numbers that one choice uses. Bits of one number are never used twice.
pub trait Draws {
    /// The next number, even over all of `u32`.
    fn draw(&mut self) -> u32;
}

/// Maps a draw to `0..count` by multiply and shift: each value has a chance of `1/count`, exact to 2^-32.
///
/// (Lemire, "Fast Random Integer Generation in an Interval", 2019.) 0 for a `count` of 0.
#[inline(always)]
pub const fn scale(draw: u32, count: u32) -> u32 {
    split(draw, count).0
}

/// The same, and what of the draw is left: whatever the value is, it is even over all of `u32` but for the bits that
/// are used up. A second value of it, below `second`, has a chance that is exact to `count * second * 2^-32`.
#[inline(always)]
pub const fn split(draw: u32, count: u32) -> (u32, u32) {
    let product = draw as u64 * count as u64;
    ((product >> 32) as u32, product as u32)
}

/// Whether a drawn slot of the alias table stays with itself; otherwise its alias is taken.
#[inline(always)]
pub fn picks_own(draws: &mut impl Draws, threshold: u32) -> bool {
    // A full slot holds u32::MAX and is its own alias, so the one value that fails here does not matter.
    draws.draw() < threshold
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scale_stays_inside(draw: u32, count in 1_u32..) {
            prop_assert!(scale(draw, count) < count);
        }

        #[test]
        fn scale_is_monotonic(a: u32, b: u32, count: u32) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(scale(low, count) <= scale(high, count));
        }
    }

    /// Of all draws, as many lead to each pair as may be.
    #[test]
    fn both_values_of_one_draw_are_even() {
        let (count, second) = (7, 5);
        let mut pairs = [[0_u32; 5]; 7];
        for draw in (0..=u32::MAX).step_by(1 << 12) {
            let (value, rest) = split(draw, count);
            pairs[value as usize][scale(rest, second) as usize] += 1;
        }
        let even = (1 << 20) / (count * second);
        assert!(pairs.as_flattened().iter().all(|pair| pair.abs_diff(even) <= 1), "{pairs:?}");
    }

    #[test]
    fn scale_reaches_both_ends() {
        assert_eq!(scale(0, 7), 0);
        assert_eq!(scale(u32::MAX, 7), 6);
    }
}
