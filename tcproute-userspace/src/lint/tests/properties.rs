//! Whatever the resources: no panic, and nothing told where nothing is wrong.

use std::fmt::Write;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const COMPATS: [Compat; 3] = [Compat::V2_4, Compat::Latest, Compat::V3];

/// A mesh in which everything is as it should be: each service has both versions, and each route another client.
fn sound(services: usize, splits: &[u32]) -> String {
    let mut text = String::new();
    for service in 0..services {
        for version in 1..=2 {
            write!(
                text,
                "
---
type: Dataplane
name: dp-{service}-{version}
networking:
  address: 10.0.{service}.{version}
  inbound: [{{port: 80, tags: {{kuma.io/service: service-{service}, version: v{version}}}}}]
  outbound: [{{port: 1000, tags: {{kuma.io/service: service-{}}}}}]",
                (service + 1) % services
            )
            .unwrap();
        }
    }
    for (i, share) in splits.iter().enumerate() {
        let (own, next) = (i % services, (i + 1) % services);
        let tags = ["v1", "v2"].map(|version| format!("tags: {{version: {version}}}"));
        let refs = [100 - share, *share].into_iter().zip(tags).map(|(weight, tags)| {
            format!("{{kind: MeshServiceSubset, name: service-{next}, weight: {weight}, {tags}}}")
        });
        let refs = refs.collect::<Vec<_>>().join(", ");
        let top =
            format!("kind: MeshServiceSubset, name: service-{own}, tags: {{version: v{}}}", i / services + 1);
        let route = to(&format!("route-{i}"), &top, &format!("service-{next}"), &refs);
        write!(text, "\n---{route}").unwrap();
    }
    text
}

/// A document of few names, so that many are about each other.
fn document() -> impl Strategy<Value = String> {
    let name = || select(vec!["alpha", "alpah", "beta", "beat1", "gamma"]);
    let tags = || select(vec!["", "version: v1", "version: v2", "verison: v1", "version: '*'"]);
    let protocol = select(vec!["", ", kuma.io/protocol: http", ", kuma.io/protocol: tcp"]);
    let dataplane = (name(), name(), name(), protocol, 0..9_u8).prop_map(|(name, own, dialled, protocol, i)| {
        format!(
            "type: Dataplane\nname: {name}-{i}\nnetworking:\n  address: 10.0.0.{i}\n  inbound: [{{port: 80, tags: {{kuma.io/service: {own}, version: v1{protocol}}}}}]\n  outbound: [{{port: 1000, tags: {{kuma.io/service: {dialled}}}}}]\n"
        )
    });
    let top = (name(), tags(), 0..5_u8).prop_map(|(name, tags, kind)| match kind {
        0 => "kind: Mesh".to_owned(),
        1 => format!("kind: MeshSubset, tags: {{{tags}}}"),
        2 => format!("kind: MeshService, name: {name}"),
        3 => format!("kind: MeshServiceSubset, name: {name}, tags: {{{tags}}}"),
        _ => format!("kind: Dataplane, name: {name}-1"),
    });
    let weight = option::of(prop_oneof![Just(0_u32), 1..200_u32, Just(u32::MAX)]);
    let one = (name(), tags(), weight, any::<bool>()).prop_map(|(name, tags, weight, port)| {
        let weight = weight.map(|weight| format!(", weight: {weight}")).unwrap_or_default();
        if tags.is_empty() || tags.contains('*') {
            let port = if port { ", port: 80" } else { "" };
            format!("{{kind: MeshService, name: {name}{weight}{port}}}")
        } else {
            format!("{{kind: MeshServiceSubset, name: {name}, tags: {{{tags}}}{weight}}}")
        }
    });
    let routed = (0..9_u8, top.clone(), name(), vec(one, 1..5))
        .prop_map(|(i, top, name, refs)| to(&format!("r{i}"), &top, name, &refs.join(", ")));
    let requests = top.prop_map(|top| http(&top));
    prop_oneof![dataplane, routed, requests]
}

proptest! {
    #[test]
    fn a_mesh_without_a_fault_has_no_warning(
        services in 2..7_usize,
        splits in vec(0..=100_u32, 0..8),
        compat in select(COMPATS[..2].to_vec()),
    ) {
        let splits = &splits[..splits.len().min(services * 2)];
        let text = sound(services, splits);
        for scope in [Scope::Whole, Scope::Part] {
            prop_assert_eq!(told_in(scope, compat, &[&text]), Vec::<String>::new());
        }
        // Nor has a part of it.
        let policies: Vec<&str> = text.split("---").filter(|it| it.contains("MeshTCPRoute")).collect();
        prop_assert_eq!(told_in(Scope::Part, compat, &policies), Vec::<String>::new());
    }

    #[test]
    fn any_mesh_can_be_judged(documents in vec(document(), 0..12), compat in select(COMPATS.to_vec())) {
        // What is there twice is no matter here.
        let mut all = Resources::default();
        for document in &documents {
            resources(&[document]).all().for_each(|resource| all.add(resource));
        }
        let [whole, part, torn] = [Scope::Whole, Scope::Part, Scope::Torn]
            .map(|scope| lint(&all, &options(compat), scope));
        let less = |less: &[crate::lint::Warning], more: &[crate::lint::Warning]| {
            less.iter().all(|one| more.contains(one))
        };
        prop_assert!(less(&torn, &part), "{torn:?} and not {part:?}");
        let sorted = whole.is_sorted() && part.is_sorted() && torn.is_sorted();
        prop_assert!(sorted);
    }
}
