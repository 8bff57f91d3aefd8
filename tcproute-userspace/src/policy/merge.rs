//! Merging what several policies say about one destination, as JSON merge patch (RFC 7386) does: a list is
//! replaced whole.

use crate::resources::{BackendRef, Rule};

/// What applies to a destination in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conf<'a> {
    /// The destination itself, with weight 1.
    #[default]
    Itself,
    /// These backends.
    Backends(&'a [BackendRef]),
}

/// Merges rules, given from weak to strong. Beside the outcome, which of them it is from, if from any.
pub fn merge<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> (Conf<'a>, Option<usize>) {
    let mut merged = (Conf::Itself, None);
    for (i, rule) in rules.into_iter().enumerate() {
        match rule {
            Rule::Itself => merged = (Conf::Itself, Some(i)),
            Rule::Backends(backends) => merged = (Conf::Backends(backends), Some(i)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resources::{BackendTarget, ServiceRef};

    fn rule() -> impl Strategy<Value = Rule> {
        let backend = "[a-c]".prop_map(|name| BackendRef {
            target: BackendTarget { service: ServiceRef::tagged(name.parse().unwrap()), subset: None },
            weight: 1.into(),
        });
        prop_oneof![Just(Rule::Itself), proptest::collection::vec(backend, 1..3).prop_map(Rule::Backends),]
    }

    proptest! {
        #[test]
        fn a_weaker_rule_never_wins(rules in proptest::collection::vec(rule(), 0..8)) {
            let (conf, winner) = merge(&rules);
            let strongest = rules.len().checked_sub(1);
            prop_assert_eq!(winner, strongest);
            let expected = match strongest.map(|i| &rules[i]) {
                Some(Rule::Backends(backends)) => Conf::Backends(backends),
                _ => Conf::Itself,
            };
            prop_assert_eq!(conf, expected);
        }
    }
}
