//! Which Dataplane is meant, and where it dials.

use std::path::Path;

use super::*;

#[test]
fn one_address_for_two_services_leads_to_the_first_with_a_warning() {
    let both = format!("{WEB}    - {{port: 1000, tags: {{kuma.io/service: cache}}}}\n");
    let routes = resolve(&[&both, &db(&[(1, "")])]);
    assert_eq!(routes.routes.len(), 1);
    assert_eq!(&*routes.routes[0].destination.service, "cache");
    assert!(
        routes.warnings().iter().any(|warning| warning.contains("both cache and db")),
        "{:?}",
        routes.warnings()
    );
}

#[test]
fn an_unknown_dataplane_names_the_nearest() {
    let resources = resources(&[WEB]);
    let mut resolver = Resolver::new(resources, DnsAnswers::new(), Options::default());
    let error = resolver.resolve(&MeshName::default(), "wbe").unwrap_err();
    assert_eq!(error.to_string(), "no Dataplane \"wbe\" in mesh \"default\", did you mean \"web\"?");
    let error = resolver.resolve(&"staging".parse().unwrap(), "web").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no Dataplane \"web\" in mesh \"staging\": the mesh has none in these resources"
    );
}

#[test]
fn on_kubernetes_the_name_will_do_where_it_is_unique() {
    let pod = |name: &str, namespace: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: Dataplane, metadata: {{name: {name}, namespace: {namespace}}}, \
             spec: {{networking: {{address: 10.0.0.1, gateway: {{}}}}}}}}"
        )
    };
    let resources = resources(&[&pod("web", "a"), &pod("web", "b"), &pod("api", "a")]);
    let mut resolver = Resolver::new(resources, DnsAnswers::new(), Options::default());
    let mut find = |name: &str| match resolver.resolve(&MeshName::default(), name) {
        Ok(routes) => routes.dataplane,
        Err(error) => error.to_string(),
    };
    assert_eq!(find("api"), "api.a");
    assert_eq!(find("api.a"), "api.a");
    assert_eq!(find("web.b"), "web.b");
    assert_eq!(
        find("web"),
        "no Dataplane \"web\" in mesh \"default\": web.a and web.b have that name in their namespaces"
    );
    assert_eq!(find("web.c"), "no Dataplane \"web.c\" in mesh \"default\", did you mean \"web.a\"?");
}

#[test]
fn both_forms_of_the_examples_mean_the_same() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let dns = DnsAnswers::from([("localhost".to_owned(), vec!["127.0.0.1".parse().unwrap()])]);
    let of = |file: String| {
        let resources = sources::load(&[directory.join(file)], sources::Strictness::Strict)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let mut resolver = Resolver::new(resources, dns.clone(), Options::default());
        resolver.resolve(&MeshName::default(), "frontend-1").unwrap()
    };
    for (example, shares) in [("split", vec![0.9, 0.1]), ("redirect", vec![1.0])] {
        let universal = of(format!("{example}-universal.yaml"));
        let kubernetes = of(format!("{example}-kubernetes.yaml"));
        assert_eq!(universal.routes[0].destination.backends, kubernetes.routes[0].destination.backends);
        let found: Vec<f64> =
            universal.routes[0].destination.backends.iter().map(|backend| backend.share).collect();
        assert_eq!(found, shares);
        assert!(universal.routes[0].destination.backends.iter().all(|backend| !backend.endpoints.is_empty()));
        assert_eq!(universal.warnings(), Vec::<&str>::new());
    }
}
