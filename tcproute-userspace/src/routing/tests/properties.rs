//! What holds for all input.

use proptest::prelude::*;

use super::*;

fn weighted(weights: &[u32]) -> DataplaneRoutes {
    let refs: Vec<String> = weights
        .iter()
        .enumerate()
        .map(|(i, weight)| format!("{{kind: MeshService, name: s{i}, weight: {weight}}}"))
        .collect();
    resolve(&[WEB, &route("r", MESH, &refs.join(", "))])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shares_sum_to_one(weights in proptest::collection::vec(0_u32.., 1..20)) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let sum: f64 = backends(&weighted(&weights)).iter().map(|(_, share, _)| share).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn scaling_all_weights_changes_no_share(weights in proptest::collection::vec(0_u32..1000, 1..20), factor in 1_u32..1000) {
        let scaled: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
        for (a, b) in backends(&weighted(&weights)).iter().zip(backends(&weighted(&scaled))) {
            prop_assert!((a.1 - b.1).abs() < 1e-12);
        }
    }

    #[test]
    fn the_order_of_the_input_changes_nothing(
        texts in Just(vec![
            WEB.to_owned(), db(&[(1, ", v: a")]), db(&[(2, ", v: b")]), EXTERNAL.to_owned(),
            route("a", MESH, &to("outside")), route("b", SERVICE, &to("db")), route("c", SERVICE, &to("outside")),
        ]).prop_shuffle()
    ) {
        let shuffled: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut sorted = shuffled.clone();
        sorted.sort_unstable();
        prop_assert_eq!(resolve(&shuffled), resolve(&sorted));
    }

    #[test]
    fn a_weaker_policy_never_wins(
        policies in proptest::collection::btree_map("[a-z]{1,3}", 0_usize..5, 1..8)
    ) {
        // The last kind selects another proxy.
        let targets = [MESH, SUBSET, SERVICE, SERVICE_SUBSET, "{kind: MeshService, name: else}"];
        let texts = policies.iter().map(|(name, &kind)| route(name, targets[kind], &to(name)));
        let texts: Vec<String> = std::iter::once(WEB.to_owned()).chain(texts).collect();
        let applies = policies.iter().filter(|(_, kind)| **kind < 4);
        let strongest = applies.max_by_key(|(name, kind)| (*kind, *name)).map(|(name, _)| name.as_str());
        let routes = resolve(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(first_backend(&routes), strongest.unwrap_or("db"));
    }
}
