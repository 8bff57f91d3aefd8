//! A change of resources gives what resolving everything again would, and touches nothing else.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::resources::{Resource, Tags, VirtualOutbound, VirtualOutbounds};

fn two_services() -> String {
    WEB.to_owned() + "    - {port: 1001, tags: {kuma.io/service: cache}}\n"
}

const CACHE: &str = "type: Dataplane\nname: cache\nnetworking: {address: 10.0.2.1, inbound: [{port: 6379, tags: {kuma.io/service: cache}}]}";

#[test]
fn a_moved_endpoint_touches_only_the_routes_that_lead_to_it() {
    let texts = [two_services(), db(&[(1, "")]), CACHE.to_owned(), route("r", MESH, &to("db"))];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut resolver = resolver(&texts, Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let before = routes.clone();

    let moved = CACHE.replace("10.0.2.1", "10.0.2.2");
    let update = resolver.update(resources(&[&texts[..2], &[&moved], &texts[3..]].concat()), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    let [cache, db] = routes.routes.iter().collect::<Vec<_>>()[..] else { panic!("{routes:?}") };
    assert_eq!(cache.destination.backends[0].endpoints, ["10.0.2.2:6379".parse().unwrap()].into());
    assert!(Arc::ptr_eq(&db.destination, &before.routes[1].destination));
}

#[test]
fn other_answers_of_dns_touch_the_routes_of_their_names() {
    let texts = [WEB, EXTERNAL, &route("r", MESH, &to("outside"))];
    let mut resolver = resolver(&texts, Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let answers = |ip: &str| DnsAnswers::from([("db.example.com".to_owned(), vec![ip.parse().unwrap()])]);
    let update = resolver.update(resources(&texts), answers("192.0.2.8"));
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(backends(&routes)[0].2, ["192.0.2.8:5432"]);
    let update = resolver.update(resources(&texts), answers("192.0.2.8"));
    assert!(!refresh(&mut resolver, &mut routes, &update).unwrap());
}

#[test]
fn a_policy_touches_only_the_routes_to_what_it_is_about() {
    let texts = [two_services(), db(&[(1, ", app: db")]), CACHE.to_owned(), LATER[0].to_owned()];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let by_labels = route("r", MESH, &to("cache"))
        .replace("kind: MeshService, name: db}\n", "kind: MeshService, labels: {app: db}}\n");
    for (policy, moved) in [(route("r", MESH, &to("cache")), "db"), (by_labels, "db-later")] {
        let mut resolver = resolver(&texts, LATEST);
        let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
        let before = routes.clone();
        for policies in [&[policy.as_str()][..], &[]] {
            let update = resolver.update(resources(&[&texts, policies].concat()), dns());
            assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
            for (old, new) in before.routes.iter().zip(routes.routes.iter()) {
                let same = Arc::ptr_eq(&old.destination, &new.destination);
                assert_eq!(same, &*new.destination.service != moved || policies.is_empty(), "{moved}");
            }
        }
    }
}

/// What is weaker changes while nobody sees it, and then comes in force.
#[test]
fn a_policy_that_was_weaker_comes_in_force_as_it_is_by_then() {
    let texts = |weight: u32, stronger: bool| {
        let weaker = route("a", MESH, &to(&format!("db, weight: {weight}")));
        let mut texts = vec![WEB.to_owned(), db(&[(1, "")]), CACHE.to_owned(), weaker];
        texts.extend(stronger.then(|| route("b", MESH, &to("cache"))));
        texts
    };
    let read = |texts: &[String]| resources(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut resolver = Resolver::new(read(&texts(1, true)), dns(), Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let update = resolver.update(read(&texts(7, true)), dns());
    let refreshed = resolver.refresh(&routes, &update).unwrap();
    let Refreshed::Alike(alike) = refreshed else { panic!("{refreshed:?}") };
    routes = alike;
    let update = resolver.update(read(&texts(7, false)), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(routes.routes[0].destination.backends[0].weight.get(), 7);
}

#[test]
fn a_dataplane_that_is_gone_is_an_error() {
    let mut resolver = resolver(&[WEB, &db(&[(1, "")])], Options::default());
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    for last in [1, 2] {
        let update = resolver.update(resources(&[&db(&[(last, "")])]), dns());
        assert!(refresh(&mut resolver, &mut routes, &update).is_err());
    }
    let update = resolver.update(resources(&[WEB, &db(&[(3, "")])]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(backends(&routes)[0].2, ["10.0.1.3:5432"]);
}

/// In a cluster only what a policy names is routed: a policy that comes or goes has routes come and go.
#[test]
fn what_is_dialled_in_a_cluster_is_routed_while_a_policy_names_it() {
    let pod = "type: Dataplane\nname: web\nnetworking: {address: 10.0.0.1, inbound: [{port: 80, tags: {kuma.io/service: web}}]}";
    let pg = "type: Dataplane\nname: pg\nnetworking: {address: 10.0.4.1, inbound: [{port: 5432, tags: {kuma.io/service: pg_n_svc_5432}}]}";
    let cluster = "{apiVersion: v1, kind: Service, metadata: {name: pg, namespace: n}, spec: {clusterIP: 10.43.0.7, ports: [{port: 5432}]}}";
    let policy = route("p", MESH, &to("pg_n_svc_5432")).replace("name: db}", "name: pg_n_svc_5432}");
    let of = |more: &[&str]| resources(&[&[pod, pg, cluster], more].concat());
    let options = Options { in_cluster: true, ..Options::default() };
    let mut resolver = Resolver::new(of(&[]), dns(), options);
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    assert!(routes.routes.is_empty());
    let update = resolver.update(of(&[&policy]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(routes.routes[0].dialled, "10.43.0.7:5432".parse().unwrap());
    let update = resolver.update(of(&[]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert!(routes.routes.is_empty());
}

/// A service that gets other labels is not what policies were about, or is by now.
#[test]
fn labels_of_what_is_dialled_in_a_cluster_decide_which_policies_hold() {
    let pod = "type: Dataplane\nname: web\nnetworking: {address: 10.0.0.1, inbound: [{port: 80, tags: {kuma.io/service: web}}]}";
    let policy = route("r", MESH, &to("cache"))
        .replace("kind: MeshService, name: db}\n", "kind: MeshService, labels: {app: db}}\n");
    let [named, other] = [LATER[0].to_owned(), LATER[0].replace("labels: {app: db}", "labels: {app: other}")];
    let of = |service: &str, policies: &[&str]| {
        resources(&[&[pod, CACHE, &db(&[(1, ", app: db")]), service], policies].concat())
    };
    let options = Options { in_cluster: true, ..LATEST };
    let leads_to = |routes: &DataplaneRoutes| backends(routes).first().map(|backend| backend.2.clone());
    let cache = Some(vec!["10.0.2.1:6379".to_owned()]);
    let db = Some(vec!["10.0.1.1:5432".to_owned()]);
    let mut resolver = Resolver::new(of(&named, &[&policy]), dns(), options);
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    assert_eq!(leads_to(&routes), cache);
    // Alone, and together with the policy.
    for (service, policies, expected) in [
        (&other, &[policy.as_str()][..], &db),
        (&named, &[policy.as_str()], &cache),
        (&other, &[], &db),
        (&named, &[policy.as_str()], &cache),
    ] {
        let update = resolver.update(of(service, policies), dns());
        assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
        assert_eq!(leads_to(&routes), *expected);
    }
}

/// Everything that there may be, each in several forms.
fn pool() -> Vec<Vec<String>> {
    let named = |text: String, name: &str| text.replace("name: db}", &format!("name: {name}}}"));
    let forms = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let later = "{kind: MeshService, name: db-later, port: 5432}, {kind: MeshMultiZoneService, labels: {app: zones}, port: 5432}";
    let tls =
        "type: MeshTLS\nname: tls\nspec: {targetRef: {kind: Mesh}, rules: [{default: {mode: Permissive}}]}";
    let mesh = "type: Mesh\nname: default\nmtls: {enabledBackend: ca, backends: [{name: ca, type: builtin}]}";
    let identity = "type: MeshIdentity\nname: id\nspec: {selector: {dataplane: {matchLabels: {app: db}}}}\nstatus: {conditions: [{type: Ready, status: 'True'}]}";
    let http = "type: MeshHTTPRoute\nname: h\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}, rules: [{matches: [{path: {type: PathPrefix, value: /}}], default: {backendRefs: [{kind: MeshService, name: cache}]}}]}]}";
    let traffic = "type: TrafficRoute\nname: t\nsources: [{match: {kuma.io/service: '*'}}]\ndestinations: [{match: {kuma.io/service: db}}]\nconf: {destination: {kuma.io/service: cache}}";
    let cluster = "{apiVersion: v1, kind: Service, metadata: {name: pg, namespace: n}, spec: {clusterIP: 10.43.0.7, ports: [{port: 5432}]}}";
    let pg = "type: Dataplane\nname: pg\nnetworking: {address: 10.0.4.1, inbound: [{port: 5432, tags: {kuma.io/service: pg_n_svc_5432}}]}";
    let [service, zones] = LATER;
    vec![
        forms(&[
            WEB,
            &two_services(),
            &WEB.replace("team: a", "team: c"),
            &WEB.replace("team: a", "team: a, kuma.io/zone: east"),
        ]),
        forms(&[mesh, &mesh.replace("enabledBackend: ca, ", "")]),
        forms(&[identity, &identity.replace("'True'", "'False'")]),
        forms(&[tls, &tls.replace("Permissive", "Strict")]),
        forms(&[
            service,
            &service.replace("app: db}", "app: other}"),
            &service.replace("vips: [{ip: 241.0.0.1}]", "vips: []"),
            &service.replace("{port: 5432}", "{port: 5432, targetPort: 1}"),
        ]),
        forms(&[zones, &zones.replace("matchLabels: {app: db}", "matchLabels: {app: other}")]),
        forms(&[
            traffic,
            &traffic.replace("destination: {kuma.io/service: cache}", "destination: {kuma.io/service: '*'}"),
        ]),
        forms(&[http, &http.replace("name: db", "name: cache")]),
        forms(&[cluster, &cluster.replace("clusterIP: 10.43.0.7", "clusterIP: None")]),
        forms(&[pg, &pg.replace("10.0.4.1", "10.0.4.2")]),
        forms(&["type: MeshTimeout\nname: t\nspec: {targetRef: {kind: Mesh}}"]),
        forms(&[
            "type: MeshTimeout\nname: of-db\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}}]}",
            "type: MeshTimeout\nname: of-db\nspec: {targetRef: {kind: MeshSubset, tags: {team: a}}, to: [{targetRef: {kind: MeshService, labels: {app: db}}}]}",
            "type: MeshTimeout\nname: of-db\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: Mesh}}]}",
        ]),
        forms(&[
            "type: Retry\nname: r\nsources: [{match: {kuma.io/service: web}}]\ndestinations: [{match: {kuma.io/service: cache}}]",
            "type: Retry\nname: r\nsources: [{match: {team: a}}]\ndestinations: [{match: {kuma.io/service: '*'}}]",
        ]),
        forms(&[
            "type: MeshTrafficPermission\nname: p\nspec: {targetRef: {kind: MeshService, name: db}, from: [{targetRef: {kind: Mesh}, default: {action: Deny}}]}",
            "type: MeshTrafficPermission\nname: p\nspec: {targetRef: {kind: Mesh}, from: [{targetRef: {kind: MeshSubset, tags: {team: a}}, default: {action: Deny}}]}",
            "type: MeshTrafficPermission\nname: p\nspec: {targetRef: {kind: MeshSubset, tags: {v: b}}, from: [{targetRef: {kind: Mesh}, default: {action: Allow}}]}",
        ]),
        vec![
            route(
                "r",
                SUBSET,
                &format!("{}, {{kind: MeshServiceSubset, name: db, tags: {{v: a}}}}", to("outside")),
            ),
            route("r", MESH, &format!("{}, {{kind: MeshService, name: nobody, weight: 3}}", to("cache"))),
        ],
        vec![
            route("s", MESH, later),
            route("s", MESH, later).replace("spec:", "labels: {kuma.io/effect: shadow}\nspec:"),
        ],
        vec![
            named(route("t", MESH, &to("cache")), "db-later"),
            named(route("t", MESH, &to("pg_n_svc_5432")), "cache"),
            route("t", MESH, &to("db"))
                .replace("kind: MeshService, name: db}\n", "kind: MeshService, labels: {app: db}}\n"),
        ],
        vec![
            named(route("p", MESH, &to("cache")), "pg_n_svc_5432"),
            named(route("p", SUBSET, &to("db")), "pg_n_svc_5432"),
        ],
        vec![
            db(&[(1, ", v: a, kuma.io/protocol: tcp, app: db")]),
            db(&[(1, ", v: b")]).replace("10.0.1.", "10.1.1."),
        ],
        vec![
            db(&[(2, ", v: b, kuma.io/protocol: http")]),
            db(&[(2, ", app: db")]).replace("- {port: 5432", "- {health: {ready: false}, port: 5432"),
            db(&[(2, ", app: db, kuma.io/zone: west")])
                .replace("name: db-2\n", "name: db-2\nlabels: {app: db}\n"),
        ],
        forms(&[CACHE, &CACHE.replace("service: cache", "service: cache, kuma.io/protocol: http")]),
        forms(&[EXTERNAL]),
        forms(&[&EXTERNAL
            .replace("name: db-outside", "name: more")
            .replace("outside}", "db}")
            .replace("db.example.com", "192.0.2.1")]),
    ]
}

/// For each of the pool, which of its forms is there, if any.
fn states() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let state = proptest::collection::vec(0_u8..8, pool().len());
    proptest::collection::vec(state, 6)
}

const LATER: [&str; 2] = [
    "type: MeshService
name: db-later
labels: {app: db}
spec: {selector: {dataplaneTags: {app: db}}, ports: [{port: 5432}]}
status: {vips: [{ip: 241.0.0.1}]}
",
    "type: MeshMultiZoneService
name: zones
labels: {app: zones}
spec: {selector: {meshService: {matchLabels: {app: db}}}, ports: [{port: 5432}]}
status: {vips: [{ip: 243.0.0.1}]}
",
];

/// What the control plane says that pods dial, in one of several states; most often nothing.
fn virtual_outbounds(state: u8) -> Option<Arc<VirtualOutbounds>> {
    let outbound = |address: &str, service: &str, version: Option<&str>| {
        let mut tags = Tags::new();
        if let Some(version) = version {
            tags.insert("v", version);
        }
        VirtualOutbound { address: address.parse().unwrap(), service: service.parse().unwrap(), tags }
    };
    let all = match state {
        0 => vec![],
        1 => vec![outbound("240.0.0.1:80", "db", None), outbound("10.43.0.9:5432", "pg_n_svc_5432", None)],
        2 => vec![outbound("240.0.0.1:80", "cache", None), outbound("240.0.0.2:1", "db", Some("a"))],
        _ => return None,
    };
    Some(Arc::new(VirtualOutbounds(all)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn an_update_gives_what_resolving_again_would(
        states in states(),
        changes in proptest::collection::vec(proptest::collection::vec(any::<proptest::sample::Index>(), 1..4), 6),
        compat in prop_oneof![Just(Compat::V2_4), Just(Compat::Latest), Just(Compat::V3)],
        in_cluster in any::<bool>(),
        kept in prop_oneof![Just("none"), Just("MeshTrafficPermission"), Just("Retry,MeshTimeout")],
        // No outbounds are written in the Dataplanes of pods.
        is_pod in any::<bool>(),
        // Most often the control plane says nothing of what is dialled.
        outbounds in proptest::collection::vec(0_u8..12, 6),
    ) {
        let pool = pool();
        let mesh = MeshName::default();
        let kept = kept.parse().unwrap();
        let options = Options { compat, in_cluster, kept, ..Options::default() };
        // Some things change at a time, and now and then all do.
        let mut state = states[0].clone();
        let read = |state: &[u8], outbounds: u8| {
            let texts = pool.iter().zip(state).enumerate().filter_map(|(i, (forms, &form))| {
                // Who dials is always there, and what pods dial most often.
                let form = usize::from(form);
                let is_dialled = is_pod && form < 6 && forms[0].contains("name: pg");
                forms.get(if i == 0 || is_dialled { form % forms.len() } else { form }).map(String::as_str)
            });
            let mut resources = resources(&texts.collect::<Vec<_>>());
            if is_pod {
                let dataplanes: Vec<_> = resources.dataplanes.values().cloned().collect();
                for mut dataplane in dataplanes {
                    Arc::make_mut(&mut dataplane).outbounds.clear();
                    resources.add(Resource::Dataplane(dataplane));
                }
            }
            if let Some(said) = virtual_outbounds(outbounds) {
                resources.virtual_outbounds.insert(MeshName::default(), said);
            }
            resources
        };
        let mut resolver = Resolver::new(read(&state, outbounds[0]), dns(), options.clone());
        let mut routes = resolver.resolve(&mesh, "web").unwrap();
        for (i, next) in states.iter().enumerate().skip(1) {
            let changed: Vec<usize> = changes[i].iter().map(|index| index.index(pool.len())).collect();
            for (place, form) in state.iter_mut().enumerate() {
                if i == 3 || changed.contains(&place) {
                    *form = next[place];
                }
            }
            let answers = if i % 3 == 0 { DnsAnswers::new() } else { dns() };
            let update = resolver.update(read(&state, outbounds[i]), answers.clone());
            let before = routes.clone();
            let touched = refresh(&mut resolver, &mut routes, &update).unwrap();
            prop_assert!(touched || before == routes);
            let mut afresh = Resolver::new(read(&state, outbounds[i]), answers, options.clone());
            prop_assert_eq!(&routes, &afresh.resolve(&mesh, "web").unwrap());
        }
    }
}
