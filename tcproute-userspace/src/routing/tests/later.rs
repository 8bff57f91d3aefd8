//! The forms of Kuma 2.6 and later.

use super::*;

fn resolve(texts: &[&str]) -> DataplaneRoutes {
    resolve_with(texts, LATEST)
}

const SERVICES: &str = "
type: MeshService
name: pg
labels: {team: data, kuma.io/display-name: pg}
spec:
  selector: {dataplaneTags: {app: pg}}
  ports:
    - {port: 5432, targetPort: 15432, name: main, appProtocol: tcp}
    - {port: 9187, targetPort: metrics, name: metrics, appProtocol: http}
status:
  vips: [{ip: 241.0.0.1}]
---
type: MeshService
name: pg-2
labels: {team: data}
spec:
  selector: {dataplaneTags: {app: pg-2}}
  ports: [{port: 5432, targetPort: 15432}]
---
type: Dataplane
name: pg-1
networking:
  address: 10.0.3.1
  inbound:
    - {port: 15432, tags: {kuma.io/service: pg-tag, app: pg}}
    - {port: 19187, name: metrics, tags: {kuma.io/service: pg-metrics, app: pg}}
---
type: Dataplane
name: pg-2
labels: {tier: second}
networking:
  address: 10.0.3.2
  inbound: [{port: 15432, tags: {kuma.io/service: pg-tag, app: pg-2}}]
---
type: MeshExternalService
name: outside
labels: {where: cloud}
spec:
  match: {type: HostnameGenerator, port: 5433, protocol: tcp}
  endpoints: [{address: 192.0.2.20, port: 6000}, {address: db.example.com, port: 5433}]
status: {vip: {ip: 242.0.0.1}}
---
type: MeshMultiZoneService
name: pg-everywhere
labels: {kind: zones}
spec:
  selector: {meshService: {matchLabels: {team: data}}}
  ports: [{port: 5432, appProtocol: tcp}]
status: {vips: [{ip: 243.0.0.1}]}
";

/// Where a dialled address leads: each backend's share and endpoints.
fn at(routes: &DataplaneRoutes, dialled: &str) -> Vec<(f64, Vec<String>)> {
    let route = routes.routes.iter().find(|route| route.dialled == dialled.parse().unwrap());
    let destination = &route.unwrap_or_else(|| panic!("nothing is dialled at {dialled}")).destination;
    let endpoints = |backend: &ResolvedBackend| backend.endpoints.iter().map(ToString::to_string).collect();
    destination.backends.iter().map(|backend| (backend.share, endpoints(backend))).collect()
}

fn only(endpoints: &[&str]) -> Vec<(f64, Vec<String>)> {
    vec![(1.0, endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect())]
}

fn policy(top: &str, to: &str, refs: &str) -> String {
    format!(
        "type: MeshTCPRoute\nname: r\nspec: {{targetRef: {top}, to: [{{targetRef: {to}, rules: [{{default: {{backendRefs: [{refs}]}}}}]}}]}}"
    )
}

#[test]
fn vips_of_services_are_dialled_by_every_dataplane() {
    let routes = resolve(&[WEB, SERVICES]);
    assert_eq!(at(&routes, "241.0.0.1:5432"), only(&["10.0.3.1:15432"]));
    assert_eq!(at(&routes, "243.0.0.1:5432"), only(&["10.0.3.1:15432", "10.0.3.2:15432"]));
    let metrics = routes.routes.iter().find(|route| route.dialled.port() == 9187).unwrap();
    assert_eq!((metrics.destination.action, &*metrics.destination.protocol), (Action::Passthrough, "http"));
    assert_eq!(&*metrics.destination.service, "pg");
}

#[test]
fn a_dataplane_selector_looks_at_name_and_labels() {
    let web = WEB.replace("name: web\n", "name: web\nlabels: {app: front}\n");
    let selects =
        |top: &str| first_backend(&resolve(&[&web, &policy(top, &to("db"), &to("other"))])) == "other";
    for top in
        ["{kind: Dataplane}", "{kind: Dataplane, labels: {app: front}}", "{kind: Dataplane, name: web}"]
    {
        assert!(selects(top), "{top}");
    }
    for top in [
        "{kind: Dataplane, labels: {app: back}}",
        "{kind: Dataplane, name: db}",
        "{kind: Dataplane, namespace: demo}",
    ] {
        assert!(!selects(top), "{top}");
    }
}

#[test]
fn a_destination_is_named_by_name_labels_and_section() {
    let moved = |to: &str| {
        let backend = "{kind: MeshServiceSubset, name: pg-tag, tags: {app: pg-2}}";
        let routes = resolve(&[WEB, SERVICES, &policy(MESH, to, backend)]);
        let moved = only(&["10.0.3.2:15432"]);
        ["241.0.0.1:5432", "243.0.0.1:5432", "241.0.0.1:9187"].map(|dialled| at(&routes, dialled) == moved)
    };
    assert_eq!(moved("{kind: MeshService, name: pg}"), [true, false, true]);
    assert_eq!(moved("{kind: MeshService, name: pg, sectionName: main}"), [true, false, false]);
    assert_eq!(moved("{kind: MeshService, labels: {team: data}}"), [true, false, true]);
    assert_eq!(
        moved("{kind: MeshService, labels: {team: data, kuma.io/display-name: pg}, sectionName: main}"),
        [true, false, false]
    );
    assert_eq!(moved("{kind: MeshMultiZoneService, labels: {kind: zones}}"), [false, true, false]);
    assert_eq!(
        moved("{kind: MeshMultiZoneService, labels: {kind: zones}, sectionName: '5432'}"),
        [false, true, false]
    );
    // It is made by the global control plane, and a name without more is one of the policy's own zone.
    assert_eq!(moved("{kind: MeshMultiZoneService, name: pg-everywhere}"), [false; 3]);
    assert_eq!(moved("{kind: MeshService, name: pg-everywhere}"), [false; 3]);
}

#[test]
fn a_backend_is_named_by_name_labels_and_port() {
    let leads = |backend: &str| {
        let routes = resolve(&[WEB, SERVICES, &policy(MESH, "{kind: MeshService, name: pg}", backend)]);
        at(&routes, "241.0.0.1:5432")
    };
    let (first, both) = (only(&["10.0.3.1:15432"]), only(&["10.0.3.1:15432", "10.0.3.2:15432"]));
    assert_eq!(leads("{kind: MeshService, name: pg, port: 5432}"), first);
    assert_eq!(leads("{kind: MeshService, name: pg, sectionName: metrics}"), only(&["10.0.3.1:19187"]));
    assert_eq!(leads("{kind: MeshService, name: pg, sectionName: '9187'}"), only(&["10.0.3.1:19187"]));
    assert_eq!(leads("{kind: MeshMultiZoneService, labels: {kind: zones}, port: 5432}"), both);
    assert_eq!(
        leads(
            "{kind: MeshService, name: pg, port: 5432, weight: 3}, {kind: MeshServiceSubset, name: pg-tag, tags: {app: pg-2}}"
        ),
        [(0.75, vec!["10.0.3.1:15432".to_owned()]), (0.25, vec!["10.0.3.2:15432".to_owned()])]
    );
}

#[test]
fn labels_mean_the_oldest_that_has_them() {
    let age = |pg: &str, pg_2: &str| {
        let services = SERVICES.replace("name: pg\nlabels", &format!("name: pg\n{pg}labels"));
        services.replace("name: pg-2\nlabels: {team", &format!("name: pg-2\n{pg_2}labels: {{team"))
    };
    let older = "creationTime: '2026-01-01T00:00:00Z'\n";
    let newer = "creationTime: '2026-01-01T00:00:00.000000001Z'\n";
    let leads = |services: &str| {
        let backend = "{kind: MeshService, labels: {team: data}, port: 5432}";
        at(
            &resolve(&[WEB, services, &policy(MESH, "{kind: MeshService, name: pg}", backend)]),
            "241.0.0.1:5432",
        )
    };
    assert_eq!(leads(&age(older, newer)), only(&["10.0.3.1:15432"]));
    assert_eq!(leads(&age(newer, older)), only(&["10.0.3.2:15432"]));
    assert_eq!(leads(&age("", older)), only(&["10.0.3.2:15432"]));
}

#[test]
fn the_share_of_what_is_not_there_goes_to_the_others() {
    let leads = |gone: &str| {
        let backends = format!("{gone}, {{kind: MeshService, name: pg, port: 5432}}");
        let texts = [WEB, SERVICES, &policy(MESH, "{kind: MeshService, name: pg}", &backends)];
        let routes = resolve(&texts);
        let is_told = |warning: &String| warning.ends_with("its share goes to the others");
        assert!(routes.warnings().iter().any(is_told), "{:?}", routes.warnings());
        at(&routes, "241.0.0.1:5432")
    };
    for gone in [
        "{kind: MeshService, name: gone, port: 5432, weight: 9}",
        "{kind: MeshService, name: pg, port: 1, weight: 9}",
        "{kind: MeshService, labels: {team: nobody}, port: 5432, weight: 9}",
        "{kind: MeshMultiZoneService, name: pg-everywhere, port: 5432, weight: 9}",
    ] {
        assert_eq!(leads(gone), only(&["10.0.3.1:15432"]), "{gone}");
    }
    // What is there and has no endpoint keeps its share.
    let empty = "type: MeshService\nname: empty\nspec: {ports: [{port: 1}]}";
    let both = "{kind: MeshService, name: empty, port: 1}, {kind: MeshService, name: pg, port: 5432}";
    let texts = [WEB, SERVICES, empty, &policy(MESH, "{kind: MeshService, name: pg}", both)];
    assert_eq!(at(&resolve(&texts), "241.0.0.1:5432")[0], (0.5, Vec::new()));
}

#[test]
fn a_route_to_nothing_that_is_there_is_refused_or_unknown_to_the_proxy() {
    let action = |backend: &str| {
        let routes = resolve(&[WEB, SERVICES, &policy(MESH, "{kind: MeshService, name: pg}", backend)]);
        let route = routes.routes.iter().find(|route| route.dialled.port() == 5432).unwrap();
        (route.destination.action, route.destination.backends.len())
    };
    assert_eq!(action("{kind: MeshService, name: gone, port: 1}"), (Action::Route, 0));
    assert_eq!(action("{kind: MeshService, labels: {a: b}, port: 1}"), (Action::Passthrough, 0));
}

#[test]
fn a_name_alone_means_the_tag_as_in_all_versions() {
    let leads = |backend: &str| {
        let routes = resolve(&[WEB, SERVICES, &db(&[(1, "")]), &route("r", MESH, backend)]);
        backends(&routes)[0].2.clone()
    };
    assert_eq!(leads(&to("pg-tag")), ["10.0.3.1:15432", "10.0.3.2:15432"]);
    assert_eq!(leads(&to("pg-2")), Vec::<String>::new());
}

#[test]
fn an_old_tag_in_a_to_means_the_resource_as_well() {
    let labels = "kuma.io/display-name: pg, k8s.kuma.io/namespace: data";
    let services = SERVICES.replace("team: data, kuma.io/display-name: pg", labels);
    let moved = |to: &str| {
        let backend = "{kind: MeshServiceSubset, name: pg-tag, tags: {app: pg-2}}";
        let routes = resolve(&[WEB, &services, &policy(MESH, to, backend)]);
        ["241.0.0.1:5432", "241.0.0.1:9187"].map(|dialled| at(&routes, dialled) == only(&["10.0.3.2:15432"]))
    };
    assert_eq!(moved("{kind: MeshService, name: pg_data_svc_5432}"), [true, false]);
    assert_eq!(moved("{kind: MeshService, name: pg_data_svc}"), [true, true]);
    assert_eq!(moved("{kind: MeshService, name: pg_other_svc_5432}"), [false, false]);
}

#[test]
fn a_to_by_section_is_about_the_tag_as_well() {
    let routes =
        resolve(&[WEB, &policy(MESH, "{kind: MeshService, name: db, sectionName: sql}", &to("other"))]);
    assert_eq!(first_backend(&routes), "other");
}

#[test]
fn an_external_service_as_a_resource_is_left_to_the_proxy() {
    let routes = resolve(&[WEB, SERVICES]);
    let outside = routes.routes.iter().find(|route| &*route.destination.service == "outside").unwrap();
    assert_eq!(outside.destination.action, Action::Passthrough);
    assert!(outside.destination.reason.contains("is reached through a zone egress"));
    let part = "{kind: MeshExternalService, name: outside}, {kind: MeshService, name: pg, port: 5432}";
    let routes = resolve(&[WEB, SERVICES, &route("r", MESH, part)]);
    assert_eq!(routes.routes[0].destination.action, Action::Passthrough);
    let idle = part.replace("outside}", "outside, weight: 0}");
    assert_eq!(backends(&resolve(&[WEB, SERVICES, &route("r", MESH, &idle)])).len(), 2);
}

#[test]
fn a_dataplane_that_has_the_tags_on_one_inbound_serves_with_all() {
    let service = "type: MeshService\nname: s\nspec: {selector: {dataplaneTags: {app: pg}}, ports: [{port: 1, targetPort: 19188}]}\nstatus: {vips: [{ip: 241.0.0.9}]}";
    let dataplane = "type: Dataplane\nname: d\nnetworking: {address: 10.0.3.9, inbound: [{port: 2, tags: {kuma.io/service: x, app: pg}}, {port: 19188, tags: {kuma.io/service: y}}]}";
    assert_eq!(at(&resolve(&[WEB, service, dataplane]), "241.0.0.9:1"), only(&["10.0.3.9:19188"]));
}

#[test]
fn an_inbound_without_tags_is_found_by_the_labels_of_its_dataplane() {
    let service = "type: MeshService\nname: s\nspec: {selector: {dataplaneLabels: {matchLabels: {app: pg}}}, ports: [{port: 1, targetPort: main}]}\nstatus: {vips: [{ip: 241.0.0.9}]}";
    let dataplane = "type: Dataplane\nname: d\nlabels: {app: pg}\nnetworking: {address: 10.0.3.9, inbound: [{port: 2, name: main, protocol: tcp}, {port: 3, protocol: tcp}]}";
    for options in [LATEST, V3] {
        let routes = resolve_with(&[WEB, service, dataplane], options);
        assert_eq!(at(&routes, "241.0.0.9:1"), only(&["10.0.3.9:2"]));
    }
}

#[test]
fn who_is_redirected_to_the_proxy_dials_no_outbounds() {
    let web =
        WEB.replace("networking:\n", "networking:\n  transparentProxying: {redirectPortOutbound: 15001}\n");
    assert_eq!(
        resolve(&[&web, SERVICES]).routes.iter().filter(|route| route.dialled.port() == 1000).count(),
        0
    );
    assert_eq!(resolve_with(&[&web], Options::default()).routes.len(), 1);
}

#[test]
fn on_kubernetes_a_name_is_a_label_whether_written_or_not() {
    let object = |kind: &str, name: &str, spec: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: {kind}, metadata: {{name: {name}, namespace: n}}, {spec}}}"
        )
    };
    let service = |name: &str, ip: &str| {
        let spec = format!(
            "spec: {{selector: {{dataplaneTags: {{kuma.io/service: {name}}}}}, ports: [{{port: 1}}]}}, status: {{vips: [{{ip: {ip}}}]}}"
        );
        object("MeshService", name, &spec)
    };
    let pod = object(
        "Dataplane",
        "pod",
        "mesh: default, spec: {networking: {address: 10.0.3.9, inbound: [{port: 1, tags: {kuma.io/service: two}}]}}",
    );
    let by_label = |name: &str| format!("{{kind: MeshService, labels: {{kuma.io/display-name: {name}}}");
    let policy = policy(MESH, &(by_label("one") + "}"), &(by_label("two") + ", port: 1}"));
    let texts = [WEB, &service("one", "241.0.0.1"), &service("two", "241.0.0.2"), &pod, &policy];
    assert_eq!(at(&resolve(&texts), "241.0.0.1:1"), only(&["10.0.3.9:1"]));
}

#[test]
fn an_outbound_may_name_a_resource() {
    let web =
        WEB.replace("tags: {kuma.io/service: db}", "backendRef: {kind: MeshService, name: pg, port: 5432}");
    assert_eq!(at(&resolve(&[&web, SERVICES]), "127.0.0.1:1000"), only(&["10.0.3.1:15432"]));
    let missing = web.replace("name: pg,", "name: gone,");
    let warnings = resolve(&[&missing, SERVICES]);
    let warnings = warnings.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("names a service that does not exist")));
    // It has named the port by its number, so that a `to` by the name of the port is not about it.
    let by_name = policy(MESH, "{kind: MeshService, name: pg, sectionName: main}", &to("other"));
    assert_eq!(at(&resolve(&[&web, SERVICES, &by_name]), "127.0.0.1:1000"), only(&["10.0.3.1:15432"]));
}

#[test]
fn references_without_a_namespace_mean_that_of_the_policy() {
    let in_namespace = |namespace: &str, address: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: MeshService, metadata: {{name: pg, namespace: {namespace}}}, \
             spec: {{selector: {{dataplaneTags: {{ns: {namespace}}}}}, ports: [{{port: 5432}}]}}}}\n---\n\
             {{apiVersion: kuma.io/v1alpha1, kind: Dataplane, metadata: {{name: pg, namespace: {namespace}}}, \
             spec: {{networking: {{address: {address}, inbound: [{{port: 5432, tags: {{kuma.io/service: pg-{namespace}, ns: {namespace}}}}}]}}}}}}"
        )
    };
    let policy = |backend: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: MeshTCPRoute, metadata: {{name: r, namespace: a}}, \
             spec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {{kind: MeshService, name: db}}, \
             rules: [{{default: {{backendRefs: [{backend}]}}}}]}}]}}}}"
        )
    };
    let (a, b) = (in_namespace("a", "10.0.0.11"), in_namespace("b", "10.0.0.12"));
    let leads = |backend: &str| backends(&resolve(&[WEB, &a, &b, &policy(backend)]))[0].2.clone();
    assert_eq!(leads("{kind: MeshService, name: pg, port: 5432}"), ["10.0.0.11:5432"]);
    assert_eq!(leads("{kind: MeshService, name: pg, namespace: b, port: 5432}"), ["10.0.0.12:5432"]);
}

/// Pairs of policies, the weaker one first.
#[test]
fn later_versions_order_by_kind_then_origin_then_role_then_inverted_name() {
    let make = |(name, top, labels): (&str, &str, &str)| {
        let policy = route(name, top, &to(name));
        policy.replace("spec:", &format!("labels: {{k8s.kuma.io/namespace: n, {labels}}}\nspec:"))
    };
    let web = &WEB.replace("name: web\n", "name: web\nlabels: {k8s.kuma.io/namespace: n}\n");
    let (global, zone) = ("kuma.io/origin: global", "kuma.io/origin: zone");
    let pairs = [
        (("zzz", MESH, ""), ("aaa", MESH, "")),
        (("aaa", MESH, "kuma.io/display-name: z"), ("zzz", MESH, "kuma.io/display-name: a")),
        (("aaa", MESH, global), ("zzz", MESH, zone)),
        (("aaa", MESH, global), ("zzz", MESH, "")),
        (("aaa", MESH, ""), ("zzz", MESH, zone)),
        (("aaa", MESH, ""), ("zzz", MESH, "kuma.io/policy-role: producer")),
        (("aaa", MESH, "kuma.io/policy-role: producer"), ("zzz", MESH, "kuma.io/policy-role: consumer")),
        (
            ("aaa", MESH, "kuma.io/policy-role: consumer"),
            ("zzz", MESH, "kuma.io/policy-role: workload-owner"),
        ),
        (("aaa", MESH, "kuma.io/origin: global, kuma.io/policy-role: consumer"), ("zzz", MESH, zone)),
        (("aaa", MESH, zone), ("zzz", "{kind: Dataplane}", global)),
        (("aaa", "{kind: Dataplane}", zone), ("zzz", SUBSET, global)),
        (("aaa", SUBSET, zone), ("zzz", SERVICE, global)),
        (("aaa", SERVICE, zone), ("zzz", SERVICE_SUBSET, global)),
    ];
    for (weak, strong) in pairs {
        let texts = [make(weak), make(strong)];
        for order in [[0, 1], [1, 0]] {
            let routes = resolve_with(&[web, &texts[order[0]], &texts[order[1]]], LATEST);
            assert_eq!(first_backend(&routes), strong.0, "{weak:?} against {strong:?}");
            assert_eq!(routes.routes[0].destination.policies, [weak.0, strong.0]);
        }
    }
    // In 2.4 neither origin nor role play a part, and the greater name is the stronger.
    for (weak, strong) in &pairs[..9] {
        let routes = resolve_with(&[web, &make(*weak), &make(*strong)], Options::default());
        assert_eq!(first_backend(&routes), if strong.0 == "aaa" { weak.0 } else { strong.0 });
    }
}

#[test]
fn in_later_versions_a_port_is_stronger_than_the_whole_service() {
    let policy = |name: &str, to: &str, backend: &str| {
        policy(MESH, to, backend).replace("name: r\n", &format!("name: {name}\n"))
    };
    let section = policy(
        "zzz",
        "{kind: MeshService, name: pg, sectionName: main}",
        "{kind: MeshService, name: pg, sectionName: metrics}",
    );
    let whole = policy("aaa", "{kind: MeshService, name: pg}", "{kind: MeshService, name: pg-2, port: 5432}");
    let routes = resolve_with(&[WEB, SERVICES, &section, &whole], LATEST);
    assert_eq!(at(&routes, "241.0.0.1:5432"), only(&["10.0.3.1:19187"]));
    assert_eq!(at(&routes, "241.0.0.1:9187"), only(&["10.0.3.2:15432"]));
}

#[test]
fn policies_of_a_namespaces_workloads_stay_there_in_later_versions() {
    let dataplane = "{apiVersion: kuma.io/v1alpha1, kind: Dataplane, metadata: {name: web, namespace: a}, \
        spec: {networking: {address: 10.0.0.1, inbound: [{port: 80, tags: {kuma.io/service: web}}], outbound: [{port: 1000, tags: {kuma.io/service: db}}]}}}";
    let policy = |namespace: &str, role: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: MeshTCPRoute, metadata: {{name: r, namespace: {namespace}, \
             labels: {{kuma.io/policy-role: {role}}}}}, spec: {{to: [{{targetRef: {{kind: MeshService, name: db}}, \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: other}}]}}}}]}}]}}}}"
        )
    };
    let applies = |namespace: &str, role: &str, options: Options| {
        first_backend(&resolve_with(&[dataplane, &policy(namespace, role)], options)) == "other"
    };
    assert!(applies("a", "consumer", LATEST));
    assert!(!applies("b", "consumer", LATEST));
    assert!(!applies("b", "workload-owner", LATEST));
    assert!(applies("b", "producer", LATEST));
    assert!(applies("b", "consumer", Options::default()));
}

#[test]
fn the_order_that_is_in_force_is_shown() {
    let shown = |options| serde_json::to_value(resolve_with(&[WEB], options)).unwrap()["compat"].clone();
    assert_eq!(shown(Options::default()), "2.4");
    assert_eq!(shown(LATEST), "latest");
}

#[test]
fn a_policy_may_be_for_one_type_of_proxies() {
    let sidecar = WEB;
    let gateway = "type: Dataplane\nname: web\nnetworking: {address: 10.0.0.1, gateway: {tags: {kuma.io/service: web}}, \
        outbound: [{port: 1000, tags: {kuma.io/service: db}}]}";
    let applies = |dataplane: &str, types: &str, options: Options| {
        let top = format!("{{kind: Mesh, proxyTypes: {types}}}");
        first_backend(&resolve_with(&[dataplane, &policy(&top, &to("db"), &to("other"))], options)) == "other"
    };
    for (types, expected) in
        [("[Sidecar]", [true, false]), ("[Gateway]", [false, true]), ("[Gateway, Sidecar]", [true, true])]
    {
        assert_eq!([applies(sidecar, types, LATEST), applies(gateway, types, LATEST)], expected, "{types}");
    }
    // 2.4 does not know the field.
    assert!(applies(sidecar, "[Gateway]", Options::default()));
}

#[test]
fn a_dataplane_may_be_named_by_dns() {
    let named = "type: Dataplane\nname: far\nnetworking: {address: Far.example, \
        inbound: [{port: 5432, tags: {kuma.io/service: db}}]}";
    let advertised = "type: Dataplane\nname: near\nnetworking: {address: 10.0.0.8, advertisedAddress: 'no:host', \
        inbound: [{port: 5432, tags: {kuma.io/service: db}}]}";
    let resources = resources(&[WEB, named, advertised]);
    let names = resources.external_host_names();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["far.example", "no:host"]);
    let dns = DnsAnswers::from([("far.example".to_owned(), vec!["192.0.2.30".parse().unwrap()])]);
    let mut resolver = Resolver::new(resources, dns, Options::default());
    let routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    assert_eq!(backends(&routes), [("db".to_owned(), 1.0, vec!["192.0.2.30:5432".to_owned()])]);
}

#[test]
fn inbounds_without_tags_are_found_by_the_labels_of_their_dataplane() {
    let service = "type: MeshService\nname: s\nspec: {selector: {dataplaneLabels: {matchLabels: {app: cart}}}, \
        ports: [{port: 80, targetPort: 7000}]}\nstatus: {vips: [{ip: 241.0.0.9}]}";
    let bare = "type: Dataplane\nname: cart\nlabels: {app: cart}\nnetworking: {address: 10.0.4.1, inbound: [{port: 7000}]}";
    let routes = resolve_with(&[WEB, service, bare], LATEST);
    assert_eq!(at(&routes, "241.0.0.9:80"), only(&["10.0.4.1:7000"]));
}
