//! Every policy is accounted for.

use super::*;

fn explain(texts: &[&str], options: Options) -> Vec<(String, Verdict, String)> {
    let explained = resolver(texts, options).explain(&MeshName::default(), "web", "db").unwrap();
    let [explanation] = &explained[..] else { panic!("{explained:?}") };
    let policies = explanation.policies.iter();
    policies.map(|policy| (policy.name.clone(), policy.verdict, policy.reason.clone())).collect()
}

#[test]
fn every_policy_has_a_verdict_and_a_reason() {
    let texts = [
        WEB,
        &db(&[(1, "")]),
        &route("weak", MESH, &to("a")),
        &route("weaker-name", SERVICE, &to("b")),
        &route("winner", SERVICE, &to("c")),
        &route("unselected", "{kind: MeshSubset, tags: {team: z}}", &to("d")),
        &route("elsewhere", MESH, &to("e"))
            .replace("kind: MeshService, name: db}", "kind: MeshService, name: cache}"),
        &route("foreign", MESH, &to("f")).replace("name: foreign\n", "name: foreign\nmesh: staging\n"),
        "type: MeshHTTPRoute\nname: http\nspec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}}]}",
    ];
    let expected = [
        ("winner", Verdict::Wins, "the strongest; it has backendRefs"),
        ("weaker-name", Verdict::Overridden, "winner is stronger by its name"),
        ("weak", Verdict::Overridden, "winner is stronger by the kind of its targetRef"),
        ("http", Verdict::Covers, "covers the service; without effect: its protocol is not one of requests"),
        ("elsewhere", Verdict::NotConcerned, "does not name the service"),
        ("unselected", Verdict::NotConcerned, "no inbound of web has team=z"),
        ("foreign", Verdict::NotConcerned, "is of mesh staging"),
    ];
    let expected = expected.map(|(name, verdict, reason)| (name.to_owned(), verdict, reason.to_owned()));
    assert_eq!(explain(&texts, Options::default()), expected);
}

#[test]
fn later_versions_have_other_reasons() {
    let labelled = |name: &str, labels: &str| {
        let labels = format!("labels: {{k8s.kuma.io/namespace: n, {labels}}}\nspec:");
        route(name, MESH, &to(name)).replace("spec:", &labels)
    };
    let web = WEB.replace("name: web\n", "name: web\nlabels: {k8s.kuma.io/namespace: n}\n");
    let texts = [
        web.as_str(),
        &labelled("a", "kuma.io/origin: zone, kuma.io/policy-role: producer"),
        &labelled("b", "kuma.io/origin: zone, kuma.io/policy-role: producer"),
        &labelled("c", "kuma.io/origin: zone, kuma.io/policy-role: system"),
        &labelled("d", "kuma.io/origin: global, kuma.io/policy-role: workload-owner"),
    ];
    let reasons: Vec<_> =
        explain(&texts, LATEST).into_iter().map(|(name, _, reason)| (name, reason)).collect();
    let expected = [
        ("a", "the strongest; it has backendRefs"),
        ("b", "a is stronger by its name"),
        ("c", "a is stronger by its kuma.io/policy-role"),
        ("d", "a is stronger by its kuma.io/origin"),
    ];
    assert_eq!(reasons, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
}

#[test]
fn a_shadow_policy_is_shown_as_such_and_never_in_force() {
    let shadow =
        route("s", SERVICE_SUBSET, &to("other")).replace("spec:", "labels: {kuma.io/effect: shadow}\nspec:");
    for options in [Options::default(), LATEST, V3] {
        let texts = [WEB, &db(&[(1, "")]), &shadow];
        assert_eq!(first_backend(&resolve_with(&texts, options.clone())), "db");
        let [(name, verdict, _)] = &explain(&texts, options)[..] else { panic!("one policy") };
        assert_eq!((name.as_str(), *verdict), ("s", Verdict::Shadow));
    }
}

#[test]
fn what_keeps_a_policy_away_is_told() {
    let zoned = route("a", MESH, &to("other"))
        .replace("spec:", "labels: {kuma.io/origin: zone, kuma.io/zone: west}\nspec:");
    let web = WEB.replace("name: web\n", "name: web\nlabels: {kuma.io/zone: east}\n");
    let gateways = route("b", "{kind: Mesh, proxyTypes: [Gateway]}", &to("other"));
    let gone = route("c", SUBSET, &to("other"));
    let reasons: Vec<String> =
        explain(&[&web, &zoned, &gateways, &gone], V3).into_iter().map(|(_, _, reason)| reason).collect();
    let expected = [
        "is of another zone than web",
        "is for proxies of another type than that of web",
        "is for a kind of target that version 3 does not have",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn a_service_that_is_not_dialled_names_the_nearest() {
    let mut resolver = resolver(&[WEB], Options::default());
    let error = resolver.explain(&MeshName::default(), "web", "bd").unwrap_err();
    assert_eq!(error.to_string(), "Dataplane web has no outbound to a service \"bd\"");
    let texts = [&WEB.replace("service: db", "service: database"), ""];
    let mut resolver = self::resolver(&texts, Options::default());
    let error = resolver.explain(&MeshName::default(), "web", "databsae").unwrap_err();
    assert!(error.to_string().ends_with("did you mean \"database\"?"), "{error}");
}
