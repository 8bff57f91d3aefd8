// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The arithmetic of a choice: the same function runs in the kernel and in the property tests.

/// Maps a draw to `0..count` by multiply and shift: each value has a chance of `1/count`, exact to 2^-32.
///
/// (Lemire, "Fast Random Integer Generation in an Interval", 2019.) 0 for a `count` of 0.
#[inline(always)]
pub const fn scale(draw: u32, count: u32) -> u32 {
    ((draw as u64 * count as u64) >> 32) as u32
}

/// A slot of an alias table with so many, and whether it stays with itself; otherwise its alias is taken.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// As by [`scale`].
    pub index: u32,
    rest: u32,
}

impl Slot {
    /// Of one draw: what is left of it by its slot says where in that slot it fell, so each backend's share is exact to
    /// 2^-32 for each slot that leads to it.
    #[inline(always)]
    pub const fn of(draw: u32, count: u32) -> Self {
        Self { index: scale(draw, count), rest: draw.wrapping_mul(count) }
    }

    /// Whether it fell below the slot's threshold.
    #[inline(always)]
    pub const fn picks_own(self, threshold: u32) -> bool {
        // A full slot holds u32::MAX and is its own alias, so the one value that fails here does not matter.
        self.rest < threshold
    }
}

/// By how much the state of a sequence of draws rises with each: 2^64 by the golden ratio, so that it comes back last.
pub const DRAW_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Two numbers that have nothing to do with each other, each even over all of `u32`, for a state of the sequence.
///
/// (`SplitMix64`: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.)
#[inline(always)]
pub const fn drawn(state: u64) -> [u32; 2] {
    let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    [(mixed >> 32) as u32, mixed as u32]
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

    /// Of all draws that fall into a slot, the part below its threshold picks it.
    #[test]
    fn both_choices_of_one_draw_are_even() {
        let count = 7;
        let threshold = |index: u32| 0x2000_0000 * (index + 1);
        let (mut slots, mut own) = ([0_u32; 7], [0_u32; 7]);
        for draw in (0..=u32::MAX).step_by(1 << 12) {
            let slot = Slot::of(draw, count);
            slots[slot.index as usize] += 1;
            own[slot.index as usize] += u32::from(slot.picks_own(threshold(slot.index)));
        }
        let even = (1 << 20) / count;
        for (index, (slots, own)) in (0..).zip(slots.into_iter().zip(own)) {
            assert!(slots.abs_diff(even) <= 1, "{index}: {slots}");
            let part = (u64::from(slots) * u64::from(threshold(index))) >> 32;
            assert!(u64::from(own).abs_diff(part) <= 1, "{index}: {own} of {slots}");
        }
    }

    /// As the programs have it: the state of a processor's sequence, with the cookie of a socket, one after the other.
    /// Chi-square of 8 slots by 8 of the other number, at p = 1e-6 with 63 degrees of freedom; of the socket that tries
    /// again and again, too.
    #[test]
    fn two_numbers_of_a_draw_are_even_and_do_not_hang_together() {
        for cookies in [1, 0] {
            let mut pairs = [[0_u32; 8]; 8];
            let mut state = 0_u64;
            for number in 1..=64_000 {
                state = state.wrapping_add(DRAW_STEP);
                let [one, other] = drawn(state ^ (0x4321 + number * cookies));
                pairs[scale(one, 8) as usize][scale(other, 8) as usize] += 1;
            }
            let statistic: f64 =
                pairs.as_flattened().iter().map(|&pair| (f64::from(pair) - 1000.0).powi(2) / 1000.0).sum();
            assert!(statistic < 131.0, "{statistic}: {pairs:?}");
        }
    }

    /// The reference's first numbers, from its seed 1234567.
    #[test]
    fn draws_are_those_of_splitmix() {
        let drawn = [1, 2, 3].map(|step| {
            let [high, low] = drawn(1_234_567_u64.wrapping_add(DRAW_STEP.wrapping_mul(step)));
            u64::from(high) << 32 | u64::from(low)
        });
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn scale_reaches_both_ends() {
        assert_eq!(scale(0, 7), 0);
        assert_eq!(scale(u32::MAX, 7), 6);
    }
}
