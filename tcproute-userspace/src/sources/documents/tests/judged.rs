//! What Kuma's validators take and refuse, kind by kind: texts beside the fields that are wrong in them.

use super::*;

/// Where something is wrong, as a list of fields.
fn wrong(text: &str, strictness: Strictness) -> String {
    let (objects, Ending { faults, .. }) = all_of(text, strictness);
    assert!(faults.is_empty(), "{faults:?}");
    let paths = objects.into_iter().flat_map(|object| match object.verdict {
        Verdict::Refused(notes) => notes.into_iter().map(|note| note.path).collect(),
        _ => Vec::new(),
    });
    paths.collect::<Vec<_>>().join(" ")
}

fn strict(text: &str) -> String {
    wrong(text, Strictness::Strict)
}

fn judge(make: impl Fn(&str) -> String, cases: &[(&str, &str)]) {
    for (part, expected) in cases {
        assert_eq!(strict(&make(part)), *expected, "{part}");
    }
}

#[test]
fn the_addresses_of_dataplanes_are_judged() {
    let make = |networking: &str| format!("type: Dataplane\nname: d\nnetworking: {{{networking}}}\n");
    let listener = "{type: ZoneIngress, address: 198.51.100.4, port: 1}";
    let outbound = "outbound: [{port: 9901, tags: {kuma.io/service: a}}]";
    let admin = "admin: {port: 9901}";
    judge(
        make,
        &[
            ("address: '', inbound: [{port: 1}]", "networking.address"),
            ("address: '::', inbound: [{port: 1}]", "networking.address"),
            ("address: a b, inbound: [{port: 1}]", "networking.address"),
            ("address: cart.example, inbound: [{port: 1}]", ""),
            ("address: 198.51.100.4", "networking"),
            (&format!("address: 198.51.100.4, listeners: [{listener}]"), ""),
            ("address: 198.51.100.4, inbound: [{port: 1}], advertisedAddress: 'nobody:looks'", ""),
            (&format!("address: 198.51.100.4, inbound: [{{port: 1}}], {admin}"), ""),
            (&format!("address: 127.0.0.1, inbound: [{{port: 9901}}], {admin}"), "networking.admin.port"),
            (
                &format!("address: 198.51.100.4, inbound: [{{port: 1}}], {outbound}, {admin}"),
                "networking.admin.port",
            ),
        ],
    );
}

#[test]
fn inbounds_are_judged() {
    let make = |inbound: &str| {
        let networking = format!("{{address: 198.51.100.4, inbound: [{{{inbound}}}]}}");
        format!("type: Dataplane\nname: d\nnetworking: {networking}\n")
    };
    for (more, expected) in [
        ("port: 7000", ""),
        ("port: '7000'", ""),
        ("port: 0", "port"),
        ("port: 7000, protocol: http", ""),
        ("port: 7000, protocol: smtp", "protocol"),
        ("port: 7000, tags: {}", ""),
        ("port: 7000, tags: {team: a}", "tags"),
        ("port: 7000, tags: {kuma.io/service: cart, kuma.io/protocol: HTTP2}", ""),
        ("port: 7000, tags: {kuma.io/service: cart, kuma.io/protocol: smtp}", "tags[\"kuma.io/protocol\"]"),
        ("port: 7000, tags: {kuma.io/service: cart, version: ''}", "tags[\"version\"]"),
        ("port: 7000, tags: {kuma.io/service: cart, version: a b}", "tags[\"version\"]"),
        ("port: 7000, tags: {kuma.io/service: cart, version: '*'}", "tags[\"version\"]"),
        ("port: 7000, tags: {kuma.io/service: cart, 've rsion': a}", "tags[\"ve rsion\"]"),
        ("port: 7000, tags: {kuma.io/service: cart, version: 2}", "tags.version"),
        ("port: 7000, address: cart.example", "address"),
        ("port: 7000, address: 198.51.100.256", "address"),
        ("port: 7000, address: ''", ""),
        ("port: 7000, servicePort: 0, serviceAddress: ''", ""),
        ("port: 7000, servicePort: 65536", "servicePort"),
        ("port: 7000, serviceAddress: cart.example", "serviceAddress"),
        ("port: 7000, serviceAddress: 198.51.100.4", "serviceAddress"),
        ("port: 7000, serviceAddress: 198.51.100.4, servicePort: 7001", ""),
    ] {
        let expected =
            if expected.is_empty() { String::new() } else { format!("networking.inbound[0].{expected}") };
        judge(make, &[(more, &expected)]);
    }
}

#[test]
fn a_wrong_tag_is_pointed_at() {
    let text = "type: ExternalService\nname: e\ntags:\n  kuma.io/service: pay\n  'a.b': x y\nnetworking: {address: 'pay:1'}\n";
    let errors = errors_of(text);
    assert!(errors[0].starts_with("f.yaml:5:10: tags[\"a.b\"]: "), "{errors:?}");
}

#[test]
fn gateways_are_judged() {
    let make =
        |more: &str| format!("type: Dataplane\nname: d\nnetworking: {{address: 198.51.100.4, {more}}}\n");
    let outbound = "outbound: [{port: 7000, tags: {kuma.io/service: cart}}]";
    judge(
        make,
        &[
            (&format!("gateway: {{}}, {outbound}"), ""),
            (&format!("gateway: {{type: DELEGATED, tags: {{kuma.io/service: edge}}}}, {outbound}"), ""),
            (&format!("gateway: {{type: BUILTIN}}, {outbound}"), "networking.outbound"),
            (&format!("gateway: {{type: 1}}, {outbound}"), "networking.outbound"),
            (&format!("gateway: {{type: builtin}}, {outbound}"), "networking.gateway.type"),
            ("gateway: {}, inbound: [{port: 1}]", "networking.inbound"),
            ("gateway: {tags: {team: a}}", "networking.gateway.tags"),
            (
                "gateway: {tags: {kuma.io/service: edge, kuma.io/protocol: http}}",
                "networking.gateway.tags[\"kuma.io/protocol\"]",
            ),
        ],
    );
}

#[test]
fn outbounds_are_judged() {
    let make = |outbound: &str| {
        let networking =
            format!("{{address: 198.51.100.4, inbound: [{{port: 1}}], outbound: [{{{outbound}}}]}}");
        format!("type: Dataplane\nname: d\nnetworking: {networking}\n")
    };
    let both = "tags: {kuma.io/service: cart}, backendRef: {kind: MeshService, name: cart, port: 80}";
    for (outbound, expected) in [
        ("port: 1, tags: {kuma.io/service: cart, version: a}", ""),
        ("port: 1, address: 0.0.0.0, tags: {kuma.io/service: cart}", ""),
        ("port: '1', address: '', tags: {kuma.io/service: cart}", ""),
        ("port: 0, tags: {kuma.io/service: cart}", "port"),
        ("port: 1, address: cart, tags: {kuma.io/service: cart}", "address"),
        ("port: 1, tags: {version: a}", "tags"),
        ("port: 1, tags: {kuma.io/service: '*'}", "tags[\"kuma.io/service\"]"),
        ("port: 1, backendRef: {kind: MeshService, name: cart, port: 80}", ""),
        ("port: 1, backendRef: {kind: MeshExternalService, name: cart}", ""),
        ("port: 1, backendRef: {kind: MeshService, name: cart}", "backendRef.port"),
        ("port: 1, backendRef: {kind: Mesh, port: 80}", "backendRef.kind"),
        (&format!("port: 1, {both}"), "tags"),
    ] {
        let expected =
            if expected.is_empty() { String::new() } else { format!("networking.outbound[0].{expected}") };
        judge(make, &[(outbound, &expected)]);
    }
}

#[test]
fn what_a_dataplane_tells_its_proxy_is_judged() {
    let make = |more: &str| {
        let networking = "{address: 198.51.100.4, inbound: [{port: 1}]}";
        format!("type: Dataplane\nname: d\nnetworking: {networking}\n{more}\n")
    };
    let probes = "probes: {port: 9000, endpoints: [{inboundPort: 1, inboundPath: /a, path: /b}]}";
    judge(
        make,
        &[
            (probes, ""),
            (&probes.replace("inboundPort", "inbound_port"), ""),
            (&probes.replace("9000", "0"), "probes.port"),
            (&probes.replace("/b", "b"), "probes.endpoints[0].path"),
            ("metrics: {type: prometheus, conf: {port: 5670}}", ""),
            ("metrics: {type: statsd}", "metrics.type"),
        ],
    );
}

#[test]
fn external_services_are_judged() {
    let make = |more: &str| format!("type: ExternalService\nname: e\n{more}\n");
    let with = |networking: &str| format!("tags: {{kuma.io/service: pay}}\nnetworking: {{{networking}}}");
    judge(
        make,
        &[
            (&with("address: 'pay.example:443', tls: {enabled: true, serverName: pay.example}"), ""),
            (&with("address: 'pay.example:443', tls: {serverName: ''}"), "networking.tls.serverName"),
            (&with("address: '*.pay.example:443'"), "networking.address"),
            (&with("address: ''"), "networking.address"),
            (&with("address: 'pay.example:443', disableHostDNSEntry: true"), ""),
            ("tags: {kuma.io/service: pay}", "networking.address"),
            ("tags: {kuma.io/service: pay, v: ''}\nnetworking: {address: 'pay:1'}", "tags[\"v\"]"),
            ("tags: {v: a}\nnetworking: {address: 'pay:1'}", "tags"),
        ],
    );
}

#[test]
fn meshes_are_judged() {
    let make = |more: &str| format!("type: Mesh\nname: m\n{more}\n");
    let backend =
        |more: &str| format!("mtls: {{enabledBackend: ca, backends: [{{name: ca, type: builtin{more}}}]}}");
    judge(
        make,
        &[
            (&backend(", mode: 1"), ""),
            (&backend(", mode: LAX"), "mtls.backends[0].mode"),
            (&backend("}, {name: cb, type: builtin"), "mtls.backends"),
            (&backend("").replace("enabledBackend: ca", "enabledBackend: cc"), "mtls.enabledBackend"),
            (&format!("{}\nrouting: {{zoneEgress: true}}", backend("")), ""),
            ("routing: {zoneEgress: true}", "mtls"),
            ("mesh: m\nkri: kri_m____m_", ""),
        ],
    );
    assert_eq!(strict("type: Mesh\nname: My Mesh\n"), "name");
}

#[test]
fn routes_are_judged() {
    let make = |spec: &str| format!("type: MeshTCPRoute\nname: r\nkri: kri_m___r_\nspec: {{{spec}}}\n");
    let rules =
        |rules: &str| format!("to: [{{targetRef: {{kind: MeshService, name: cart}}, rules: {rules}}}]");
    let refs = |refs: &str| rules(&format!("[{{default: {{backendRefs: {refs}}}}}]"));
    let all = "spec.to[0].rules[0].default.backendRefs";
    judge(
        make,
        &[
            ("to: []", "spec.to"),
            ("to: ~", "spec.to"),
            ("targetRef: ~", "spec.targetRef"),
            (&rules("[]"), ""),
            (&rules("~"), "spec.to[0].rules"),
            (&rules("[{default: {}}]"), all),
            (&rules("[{}]"), "spec.to[0].rules[0].default"),
            (&refs("[]"), all),
            (&refs("[~]"), &format!("{all}[0] {all}[0]")),
            (&refs("[{kind: MeshServiceSubset, name: cart}]"), ""),
            (&refs("[{kind: MeshService, name: cart, weight: 4294967295}]"), ""),
            (&refs("[{kind: MeshMultiZoneService, name: cart}]"), &format!("{all}[0].port")),
            ("targetRef: {kind: MeshSubset}", ""),
            ("targetRef: {kind: MeshServiceSubset, name: cart}", ""),
            ("targetRef: {kind: MeshSubset, tags: {version: 2}}", "spec.targetRef.tags.version"),
            ("targetRef: {kind: Mesh, name: ''}", ""),
            ("targetRef: {kind: Mesh, mesh: other}", "spec.targetRef.mesh"),
            ("targetRef: {kind: Mesh, proxyTypes: [Sidecar, Gateway]}", ""),
            ("targetRef: {kind: Mesh, proxyTypes: [Ingress]}", "spec.targetRef.proxyTypes[0]"),
            ("targetRef: {kind: Mesh, proxyTypes: []}", "spec.targetRef.proxyTypes"),
        ],
    );
}

#[test]
fn a_field_of_another_policy_is_refused_alone_and_in_what_people_write_only() {
    let matches = "{path: {type: Exact, value: /}}";
    let rule =
        format!("{{matches: [{matches}], default: {{backendRefs: [{{kind: MeshService, name: c}}]}}}}");
    let to = format!("{{targetRef: {{kind: MeshService, name: c}}, rules: [{rule}]}}");
    let text = format!("type: MeshTCPRoute\nname: r\nspec: {{to: [{to}]}}\n---\ntype: Mesh\nname: m\n");
    assert_eq!(outline(&text)[1], "Mesh m 5:1 6:7 read");
    assert_eq!(strict(&text), "spec.to[0].rules[0]");
    assert_eq!(wrong(&text, Strictness::Lenient), "");
}

#[test]
fn a_route_for_builtin_gateways_is_noted_and_nothing_else() {
    for kind in ["MeshTCPRoute", "MeshHTTPRoute"] {
        let make = |top: &str, to: &str| {
            let spec =
                format!("{{targetRef: {{kind: MeshGateway{top}}}, to: [{{targetRef: {{kind: {to}}}}}]}}");
            format!("type: {kind}\nname: r\nspec: {spec}\n")
        };
        assert_eq!(
            outline(&make(", name: edge, tags: {port: http}", "Mesh")),
            ["? 1:1 1:1 passed: is for builtin gateways only: it concerns no sidecar"]
        );
        assert_eq!(strict(&make("", "Mesh")), "spec.targetRef.name");
        assert_eq!(strict(&make(", name: edge", "MeshService, name: cart")), "spec.to[0].targetRef.kind");
    }
}

#[test]
fn http_routes_are_judged_as_far_as_they_are_read() {
    let make = |rule: &str| {
        let to = format!("{{targetRef: {{kind: MeshService, name: cart}}, rules: [{rule}]}}");
        format!("type: MeshHTTPRoute\nname: r\nspec: {{to: [{to}]}}\n")
    };
    let path = |path: &str| format!("{{matches: [{{path: {{{path}}}}}], default: {{}}}}");
    let at = |field: &str| format!("spec.to[0].rules[0].{field}");
    judge(
        make,
        &[
            (&path("type: PathPrefix, value: /"), ""),
            (&path("type: PathPrefix, value: /a/"), &at("matches[0].path.value")),
            (&path("type: Exact, value: a"), &at("matches[0].path.value")),
            (&path("type: Suffix, value: /a"), &at("matches[0].path.type")),
            ("{matches: [{method: GET}]}", &at("default")),
            ("{matches: [], default: {}}", &at("matches")),
            ("{default: {}}", &at("matches")),
        ],
    );
}

#[test]
fn services_of_later_versions_are_judged() {
    let service = |spec: &str| format!("type: MeshService\nname: s\nspec: {{{spec}}}\n");
    judge(
        service,
        &[
            ("selector: {dataplaneTags: {a: b}}, ports: [{port: 1, targetPort: 0}]", ""),
            ("selector: {dataplaneTags: {a: b}, dataplaneRef: {name: d}}", "spec.selector"),
            ("state: Gone", "spec.state"),
            ("ports: [{targetPort: 1}]", "spec.ports[0].port"),
        ],
    );
    let many = |spec: &str| format!("type: MeshMultiZoneService\nname: s\nspec: {{{spec}}}\n");
    let selector = "selector: {meshService: {matchLabels: {a: b}}}";
    judge(
        many,
        &[
            (&format!("{selector}, ports: [{{port: 1, name: a, appProtocol: kafka}}]"), ""),
            (&format!("{selector}, ports: [{{port: 1, name: ''}}]"), "spec.ports[0].name"),
            (&format!("{selector}, ports: [{{port: 1, appProtocol: tls}}]"), "spec.ports[0].appProtocol"),
            (&format!("{selector}, ports: []"), "spec.ports"),
            ("ports: [{port: 1}]", "spec.selector.meshService.matchLabels"),
        ],
    );
    let external = |spec: &str| format!("type: MeshExternalService\nname: s\nspec: {{{spec}}}\n");
    judge(
        external,
        &[
            ("match: {port: 1, protocol: http2}, endpoints: [{address: pay, port: 1, priority: 1}]", ""),
            ("match: {port: 1}, endpoints: [{address: pay.example}]", "spec.endpoints[0].port"),
            ("match: {port: 1, protocol: kafka}", "spec.match.protocol"),
            ("match: {port: 1, type: Any}", "spec.match.type"),
            ("match: {port: 1}, extension: {config: {}}, endpoints: [{}]", "spec.extension.type"),
            ("endpoints: []", "spec.match"),
        ],
    );
    let long = service("").replace("name: s", &format!("name: {}", "s".repeat(64)));
    assert_eq!(strict(&long), "name");
}

#[test]
fn what_servers_give_may_be_what_people_should_not_write() {
    for text in [
        "type: Dataplane\nname: d\nnetworking: {address: 198.51.100.4}\n",
        "type: MeshService\nname: s\nspec: {ports: [{port: 70000}, {port: 1}, {port: 1}]}\n",
        "type: MeshService\nname: s\nspec: {ports: [{port: 1, targetPort: 70000}]}\n",
        "type: MeshService\nname: s\nspec: {}\nstatus: {vips: [{ip: soon}]}\n",
        "type: MeshTCPRoute\nname: r\nlabels: {kuma.io/origin: moon}\nspec: {}\n",
        "type: MeshTCPRoute\nname: r\nlabels: {kuma.io/policy-role: king}\nspec: {}\n",
        "type: MeshTCPRoute\nname: r\nspec: {targetRef: {kind: MeshService, name: a, port: 1}}\n",
        "type: MeshTCPRoute\nname: r\nspec: {to: [{targetRef: {kind: MeshService, name: a, port: 70000}}]}\n",
    ] {
        assert_ne!(strict(text), "", "{text}");
        assert_eq!(wrong(text, Strictness::Lenient), "", "{text}");
    }
}

#[test]
fn json_is_judged_as_what_tools_give_where_the_format_is_to_tell() {
    let yaml = "type: Mesh\nname: a\nmtls: {later: {}}\n";
    let json = r#" {"type": "Mesh", "name": "a", "mtls": {"later": {}}}"#;
    assert_ne!(wrong(yaml, Strictness::ByFormat), "");
    assert_eq!(wrong(json, Strictness::ByFormat), "");
    assert_ne!(strict(json), "");
}
