//! The order of turns for the `even` selection: who is chosen first, second and so on, so that after any number of
//! connections every backend has had its share to within one.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt::{self, Display, Formatter},
    num::NonZeroU32,
    str::FromStr,
};

/// Turns in one order at most. It has as many as the weights come to, after division by what they have in common.
pub const MOST_TURNS: u32 = 1 << 16;

/// How connections are given to the backends of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Selection {
    /// Each by chance.
    #[default]
    Random,
    /// In turns. Which of its endpoints a backend gives is left to chance there, too.
    Even,
}

impl FromStr for Selection {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "random" => Ok(Self::Random),
            "even" => Ok(Self::Even),
            _ => Err("must be random or even"),
        }
    }
}

impl Display for Selection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::Even => "even",
        })
    }
}

/// The weights without what they have in common; `None` if that makes too many turns.
pub(crate) fn reduced(weights: &[NonZeroU32]) -> Option<Vec<u32>> {
    let divisor = weights.iter().fold(0, |divisor, weight| common_divisor(divisor, weight.get()));
    let reduced: Vec<u32> = weights.iter().map(|weight| weight.get() / divisor).collect();
    let sum: u64 = reduced.iter().map(|&weight| u64::from(weight)).sum();
    (sum <= u64::from(MOST_TURNS)).then_some(reduced)
}

const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Whose turn it is, by index of the weight, over one round. Weight `w` of a sum `W` gets its `k`-th turn, counted from
/// 0, no earlier than `k * W / w` and before `(k + 1) * W / w`; of those whose time has come the one is next that must
/// be served the soonest. There always is one, and no one is late (Baruah, Cohen, Plaxton and Varvel 1996, for one
/// processor; the tests try it).
pub(crate) fn order(weights: &[u32]) -> Vec<u32> {
    let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut taken = vec![0_u64; weights.len()];
    let mut waiting: BinaryHeap<Reverse<(u64, u32)>> =
        (0_u32..).zip(weights).map(|(i, _)| Reverse((0, i))).collect();
    let mut ready: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut order = Vec::new();
    for now in 0..sum {
        while let Some(&Reverse((release, i))) = waiting.peek()
            && release <= now
        {
            waiting.pop();
            let deadline = ((taken[i as usize] + 1) * sum).div_ceil(u64::from(weights[i as usize]));
            ready.push(Reverse((deadline, i)));
        }
        let Some(Reverse((_, i))) = ready.pop() else { continue };
        order.push(i);
        taken[i as usize] += 1;
        waiting.push(Reverse((taken[i as usize] * sum / u64::from(weights[i as usize]), i)));
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(values: &[u32]) -> Vec<NonZeroU32> {
        values.iter().map(|&value| NonZeroU32::new(value).unwrap()).collect()
    }

    #[test]
    fn ninety_to_ten_is_every_tenth() {
        let reduced = reduced(&weights(&[90, 10])).unwrap();
        assert_eq!(reduced, [9, 1]);
        let order = order(&reduced);
        assert_eq!((order.len(), order.iter().sum::<u32>()), (10, 1));
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(order(&reduced(&weights(&[7, 7, 7])).unwrap()), [0, 1, 2]);
    }

    #[test]
    fn too_many_turns_are_refused() {
        assert_eq!(reduced(&weights(&[65_535, 1])), Some(vec![65_535, 1]));
        assert_eq!(reduced(&weights(&[65_536, 1])), None);
        assert_eq!(reduced(&weights(&[u32::MAX, u32::MAX])), Some(vec![1, 1]));
        assert_eq!(reduced(&[]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn after_any_number_of_turns_everyone_has_their_share_to_within_one(
            weights in prop_oneof![
                proptest::collection::vec(1_u32..50, 1..20),
                proptest::collection::vec(1_u32..2000, 1..5),
                proptest::collection::vec(1_u32..4, 1..300),
            ]
        ) {
            let sum: u32 = weights.iter().sum();
            let order = order(&weights);
            prop_assert_eq!(order.len(), sum as usize);
            let mut counts = vec![0_i64; weights.len()];
            for (turns, &i) in (1_i64..).zip(&order) {
                counts[i as usize] += 1;
                for (&count, &weight) in counts.iter().zip(&weights) {
                    let off = count * i64::from(sum) - turns * i64::from(weight);
                    prop_assert!(off.abs() < i64::from(sum), "{} of {} turns for {} of {}", count, turns, weight, sum);
                }
            }
        }
    }
}
