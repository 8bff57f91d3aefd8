//! What `describe` tells of Dataplanes, services and policies.

use super::{
    describe::{ByDataplane, DataplaneDescription, EndpointState, PolicyDescription, ServiceDescription},
    *,
};

fn dataplane(texts: &[&str], options: Options) -> DataplaneDescription {
    resolver(texts, options).describe_dataplane(&MeshName::default(), "web").unwrap()
}

fn service(texts: &[&str], name: &str) -> ServiceDescription {
    resolver(texts, Options::default()).describe_service(&MeshName::default(), name).unwrap()
}

fn policy(texts: &[&str], name: &str) -> PolicyDescription {
    resolver(texts, Options::default()).describe_policy(&MeshName::default(), name).unwrap()
}

#[test]
fn a_dataplane_is_told_with_what_selects_it_and_where_it_dials() {
    let described = dataplane(
        &[
            WEB,
            &db(&[(1, "")]),
            &route("weak", MESH, &to("other")),
            &route("strong", SERVICE, &to("db")),
            &route("others", "{kind: MeshService, name: nobody}", &to("db")),
        ],
        Options::default(),
    );
    let inbounds: Vec<_> = described.inbounds.iter().map(|it| (&*it.address, it.ready)).collect();
    assert_eq!(inbounds, [("10.0.0.1:80", true), ("10.0.0.1:81", true)]);
    let selecting: Vec<&str> = described.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(selecting, ["strong", "weak"]);
    let [explained] = &described.routes[..] else { panic!("{described:?}") };
    let considered: Vec<_> =
        explained.policies.iter().map(|policy| (&*policy.name, policy.verdict)).collect();
    assert_eq!(considered, [("strong", Verdict::Wins), ("weak", Verdict::Overridden)]);
}

#[test]
fn what_is_left_to_the_proxy_says_what_would_have_to_change() {
    let remedy = |texts: &[&str], options: Options| {
        let described = dataplane(texts, options);
        described.routes[0].route.destination.remedy.unwrap_or_default()
    };
    let http = db(&[(1, ", kuma.io/protocol: http")]);
    assert!(remedy(&[WEB, &http], Options::default()).contains("name it in the `to` of a MeshTCPRoute"));
    let mtls = "type: Mesh\nname: default\nmtls: {enabledBackend: a, backends: [{name: a, type: builtin, mode: PERMISSIVE}]}";
    let [db, route] = [db(&[(1, "")]), route("a", MESH, &to("db"))];
    assert!(remedy(&[WEB, &db, &route, mtls], Options::default()).contains("--allow-mtls-bypass"));
    let allowed = Options { allow_mtls_bypass: true, ..Options::default() };
    assert_eq!(remedy(&[WEB, &db, &route, mtls], allowed), "");
}

#[test]
fn the_endpoints_of_a_service_are_in_or_have_a_reason() {
    let failed = db(&[(2, "")]).replace("- {port: 5432,", "- {port: 5432, health: {ready: false},");
    let texts = [WEB, &db(&[(1, "")]), &failed, &route("a", MESH, &to("db"))];
    let described = service(&texts, "db");
    let mut endpoints: Vec<_> = described.endpoints.iter().map(|it| (&*it.address, &it.state)).collect();
    endpoints.sort_by_key(|(address, _)| *address);
    assert_eq!(
        endpoints,
        [
            ("10.0.1.1:5432", &EndpointState::In),
            ("10.0.1.2:5432", &EndpointState::Out("a health check of it has failed".to_owned())),
        ]
    );
    assert_eq!((described.dialled_by, described.policies.len()), (vec!["web".to_owned()], 1));

    let denying = Options {
        guard: Guard::new(vec!["10.0.1.1/32".parse().unwrap()], Vec::new(), None),
        ..Options::default()
    };
    let described = resolver(&texts, denying).describe_service(&MeshName::default(), "db").unwrap();
    let denied = described.endpoints.iter().find(|it| it.address == "10.0.1.1:5432").unwrap();
    assert!(matches!(denied.state, EndpointState::Denied(_)), "{denied:?}");

    let error = resolver(&texts, Options::default())
        .describe_service(&MeshName::default(), "web-admins")
        .unwrap_err();
    assert_eq!(error.to_string(), "mesh default has no service \"web-admins\", did you mean \"web-admin\"?");
}

#[test]
fn a_policy_is_told_with_whom_it_selects_and_what_it_comes_to() {
    let texts = [
        WEB,
        &WEB.replace("name: web\n", "name: web-2\n").replace("10.0.0.1", "10.0.0.2"),
        &db(&[(1, ", v: a"), (2, ", v: a")]),
        &route(
            "strong",
            SERVICE,
            "{kind: MeshServiceSubset, name: db, tags: {v: a}, weight: 3}, {kind: MeshServiceSubset, name: db, tags: {v: b}}",
        ),
        &route("weak", MESH, &to("db")),
        &route("nobody", "{kind: MeshService, name: wep}", &to("db")),
    ];
    let strong = policy(&texts, "strong");
    assert_eq!(strong.selects, ["web", "web-2"]);
    let backends: Vec<_> =
        strong.to[0].backends.iter().map(|it| (it.weight, it.share, it.endpoints)).collect();
    assert_eq!(backends, [(3, 0.75, Some(2)), (1, 0.25, Some(0))]);
    let both = vec!["web".to_owned(), "web-2".to_owned()];
    let by = |what: &str, dataplanes: &[String]| ByDataplane {
        what: what.to_owned(),
        dataplanes: dataplanes.to_vec(),
    };
    assert_eq!(strong.to[0].comes_to, [by("wins, and is routed", &both)]);

    let weak = policy(&texts, "weak");
    assert_eq!((weak.selects.len(), weak.to[0].backends[0].endpoints), (4, None));
    let overridden = "is overridden: strong is stronger by the kind of its targetRef";
    let others = ["db-1", "db-2"].map(str::to_owned);
    assert_eq!(
        weak.to[0].comes_to,
        [by("is not dialled: it has no such outbound", &others), by(overridden, &both)]
    );

    let nobody = policy(&texts, "nobody");
    assert!(nobody.selects.is_empty());
    assert_eq!(nobody.not_selected, BTreeMap::from([("no inbound of it is of service wep".to_owned(), 4)]));
    let error =
        resolver(&texts, Options::default()).describe_policy(&MeshName::default(), "strongg").unwrap_err();
    assert_eq!(error.to_string(), "mesh default has no MeshTCPRoute \"strongg\", did you mean \"strong\"?");
}
