//! The alias method (Walker 1977, Vose 1991): a weighted choice in O(1) from two even draws.

use std::num::NonZeroU32;

/// One slot: keep it with a chance of `threshold / 2^32`, else take `alias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AliasSlot {
    pub(crate) threshold: u32,
    pub(crate) alias: u32,
}

/// One slot for each weight, so that slot `i` drawn evenly and then kept or left leads to `j` with the chance
/// `weights[j] / sum`, exact to 2^-32.
///
/// The arithmetic is in integers: a slot holds the sum of all weights, and weight `i` pours `n * weights[i]`.
/// At most 2^32 weights of less than 2^32 each: no product here exceeds `u128`.
pub(crate) fn alias_slots(weights: &[NonZeroU32]) -> Vec<AliasSlot> {
    let sum: u128 = weights.iter().map(|weight| u128::from(weight.get())).sum();
    let mut rest: Vec<u128> =
        weights.iter().map(|weight| u128::from(weight.get()) * weights.len() as u128).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..rest.len()).partition(|&i| rest[i] < sum);

    let mut slots: Vec<AliasSlot> = (0..rest.len()).map(full).collect();
    while let (Some(&under), Some(&over)) = (small.last(), large.last()) {
        small.pop();
        slots[under] = AliasSlot { threshold: chance(rest[under], sum), alias: index(over) };
        rest[over] -= sum - rest[under];
        if rest[over] < sum {
            large.pop();
            small.push(over);
        }
    }
    // What is left holds exactly the sum: integers leave no rounding behind.
    slots
}

fn full(i: usize) -> AliasSlot {
    AliasSlot { threshold: u32::MAX, alias: index(i) }
}

fn index(i: usize) -> u32 {
    u32::try_from(i).expect("a route has fewer backends than the map has entries, a u32")
}

/// `part / whole` in units of 2^-32, for a part below the whole.
fn chance(part: u128, whole: u128) -> u32 {
    u32::try_from((part << 32) / whole).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(values: &[u32]) -> Vec<NonZeroU32> {
        values.iter().map(|&value| NonZeroU32::new(value).unwrap()).collect()
    }

    /// The chance of each index, in 2^-32 of one slot.
    fn mass(slots: &[AliasSlot]) -> Vec<u128> {
        let mut mass = vec![0_u128; slots.len()];
        for (i, slot) in slots.iter().enumerate() {
            mass[i] += u128::from(slot.threshold);
            mass[slot.alias as usize] += (1 << 32) - u128::from(slot.threshold);
        }
        mass
    }

    #[test]
    fn ninety_to_ten() {
        let mass = mass(&alias_slots(&weights(&[90, 10])));
        let total = 2_u128 << 32;
        assert!(mass[0].abs_diff(total * 9 / 10) < 3, "{mass:?}");
        assert!(mass[1].abs_diff(total / 10) < 3, "{mass:?}");
    }

    #[test]
    fn one_weight_always_keeps() {
        assert_eq!(alias_slots(&weights(&[7])), [AliasSlot { threshold: u32::MAX, alias: 0 }]);
    }

    #[test]
    fn no_weights_no_slots() {
        assert!(alias_slots(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_share_is_exact_to_one_part_in_two_to_the_32_a_slot(
            values in proptest::collection::vec(1_u32.., 1..300)
        ) {
            let weights = weights(&values);
            let slots = alias_slots(&weights);
            let mass = mass(&slots);
            let sum: u128 = values.iter().map(|&value| u128::from(value)).sum();
            for (got, &value) in mass.iter().zip(&values) {
                // mass / (n * 2^32) against value / sum, cross-multiplied.
                let want = u128::from(value) * slots.len() as u128 * (1 << 32) / sum;
                prop_assert!(got.abs_diff(want) <= slots.len() as u128 + 1, "{} for {}", got, want);
            }
        }
    }
}
