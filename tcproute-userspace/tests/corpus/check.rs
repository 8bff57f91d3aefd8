//! What holds of every input, shared by the fuzz target and the test of its corpus.

use std::{collections::BTreeSet, path::Path};

use tcproute::{
    policy::Compat,
    resources::{Key, Resources},
    routing::{DnsAnswers, Options, ResolvedRoute, Resolver, difference},
    sources::parse,
};

/// Reads the bytes as a file. What is wrong has a message, and a place in the file; what is right can be resolved.
pub(crate) fn check(bytes: &[u8]) {
    match parse(Path::new("input"), bytes) {
        Ok(resources) => resolve(&resources),
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused for no reason");
            // To libyaml every line ends, and the end of a text is on the line behind.
            let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u32 + 2;
            for error in &errors.0 {
                assert!(!error.message.is_empty(), "{error}");
                if let Some((line, column)) = error.at {
                    assert!(line >= 1 && column >= 1, "{error}");
                    // Unicode has more line ends than those that are counted here.
                    assert!(line <= lines || !bytes.is_ascii(), "{error} is behind the end");
                }
            }
        }
    }
}

/// Resolves the first Dataplane of each mesh, in both orders of policies.
fn resolve(resources: &Resources) {
    let mut seen = BTreeSet::new();
    let first = resources.dataplanes.keys().filter(|(mesh, _)| seen.insert(mesh));
    let first: Vec<&Key> = first.collect();
    for compat in [Compat::V2_4, Compat::Latest] {
        let options = Options { compat, ..Options::default() };
        let mut resolver = Resolver::new(resources.clone(), DnsAnswers::new(), options);
        for (mesh, name) in &first {
            let routes = resolver.resolve(mesh, &name.to_string()).expect("what was read can be found");
            routes.routes.iter().for_each(check_shares);
            let itself = difference(Some(&routes), Some(&routes)).expect("there is one");
            assert!(itself.routes.is_empty(), "{itself:?}");
            if let Some(route) = routes.routes.iter().next() {
                let explained = resolver.explain(mesh, &name.to_string(), &route.destination.service);
                assert!(!explained.expect("it is dialled").is_empty());
            }
        }
    }
}

fn check_shares(route: &ResolvedRoute) {
    let backends = &route.destination.backends;
    let sum: f64 = backends.iter().map(|backend| backend.share).sum();
    assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-9, "the shares of {route:?} sum to {sum}");
    assert!(backends.iter().all(|backend| (0.0..=1.0).contains(&backend.share)), "{route:?}");
}
