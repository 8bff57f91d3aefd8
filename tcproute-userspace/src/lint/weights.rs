//! TCP001, TCP007 and TCP008: what is wrong with weights by themselves.

use super::{Code, Found, Input, refs_field};
use crate::resources::{BackendRef, Rule};

/// A sum that is as near to 100 as this looks like percent.
const NEAR: u64 = 10;
/// One in so many connections is 0.01 %.
const FEW: u64 = 10_000;

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    for route in input.tcp_routes() {
        for (i, to) in route.to.iter().enumerate() {
            let Rule::Backends(refs) = &to.rule else { continue };
            let sum = refs.iter().map(weight).sum::<u64>();
            if sum == 0 {
                let message = format!("all weights are 0: every connection to {} is refused", to.service);
                found.add_route(Code::NoWeight, route, refs_field(i), message);
                continue;
            }
            for (j, one) in refs.iter().enumerate() {
                if weight(one) > 0 && weight(one) * FEW < sum {
                    let field = format!("{}[{j}].weight", refs_field(i));
                    let message = format!("{} of {sum} is a share under 0.01 %", weight(one));
                    found.add_route(Code::TinyShare, route, field, message);
                }
            }
            let weights: Vec<u64> = refs.iter().map(weight).filter(|weight| *weight > 0).collect();
            if is_meant_as_percent(&weights) {
                let written: Vec<String> = weights.iter().map(ToString::to_string).collect();
                let message =
                    format!("{} is {sum}: it looks like percent, and is not 100", written.join(" + "));
                found.add_route(Code::NotPercent, route, refs_field(i), message);
            }
        }
    }
}

fn weight(one: &BackendRef) -> u64 {
    one.weight.get().into()
}

/// Whether these come nearly to 100. Equal ones are meant as equal, and less than half of all for the first of many is
/// a division of something else.
fn is_meant_as_percent(weights: &[u64]) -> bool {
    let sum: u64 = weights.iter().sum();
    let most = weights.iter().max().copied().unwrap_or_default();
    let differ = weights.iter().any(|weight| *weight != most);
    differ && sum != 100 && sum.abs_diff(100) <= NEAR && most * 2 >= sum
}

#[cfg(test)]
mod tests {
    use super::is_meant_as_percent as is_near;

    #[test]
    fn sums_near_100_look_like_percent() {
        for near in [&[90, 1][..], &[95, 6], &[50, 49], &[80, 10, 5], &[100, 10], &[60, 30, 9]] {
            assert!(is_near(near), "{near:?}");
        }
    }

    #[test]
    fn ratios_are_no_percent() {
        for ratio in
            [&[90, 10][..], &[99], &[33, 33, 33], &[45, 45], &[40, 15, 15, 15], &[9, 1], &[3, 2, 1], &[]]
        {
            assert!(!is_near(ratio), "{ratio:?}");
        }
        assert!(!is_near(&[25, 25, 24, 24]) && !is_near(&[900, 90]));
    }
}
