use crate::{
    resources::Resource,
    sources::documents::tests::{errors_of, good, resources},
};

#[test]
fn an_unknown_field_names_the_nearest() {
    let text = good().replace("weight", "wieght");
    assert_eq!(
        errors_of(&text),
        ["f.yaml:17:17: spec.to[0].rules[0].default.backendRefs[0]: \
          unknown field `wieght`, did you mean `weight`?"]
    );
}

#[test]
fn a_weight_is_an_integer_of_32_bits() {
    for weight in ["0", "1", "4294967295"] {
        let text = good().replace("weight: 1", &format!("weight: {weight}"));
        assert_eq!(errors_of(&text), Vec::<String>::new(), "{weight}");
    }
    for weight in ["-1", "4294967296", "99999999999999999999", "1.5", "1.0", ".inf", "'1'", "many"] {
        let text = good().replace("weight: 1", &format!("weight: {weight}"));
        let errors = errors_of(&text);
        assert_eq!(errors.len(), 1, "{weight}");
        assert!(
            errors[0].ends_with("backendRefs[0].weight: must be an integer from 0 to 4294967295"),
            "{errors:?}"
        );
    }
}

#[test]
fn a_value_of_the_wrong_type_has_a_place() {
    let text = good()
        .replace("name: other", "name: other\n                weight: 1")
        .replace("name: backend", "name: [1]");
    assert_eq!(
        errors_of(&text),
        ["f.yaml:11:15: spec.to[0].targetRef.name: invalid type: sequence, expected a string"]
    );
    assert_eq!(
        errors_of("type: MeshTCPRoute\nname: a\nspec: [1]\n"),
        ["f.yaml:3:7: spec: invalid type: sequence, expected a mapping"]
    );
    assert_eq!(
        errors_of("just text\n"),
        ["f.yaml:1:1: invalid type: string \"just text\", expected a mapping"]
    );
    assert_eq!(errors_of("type: {}\n"), ["f.yaml:1:7: type: invalid type: mapping, expected a string"]);
}

#[test]
fn violations_of_every_sort_are_reported_together() {
    let text = "\
type: Dataplane
mesh: [default]
networking:
  address: 10.0.0.1
  address: 10.0.0.2
  adress: 10.0.0.3
  inbound:
    - port: abc
      health: {ready: 'no'}
      tags: {kuma.io/service: {a: b}, version: [1], version: 2}
    - port: 70000
      tags: later
  outbound: {port: 1}
---
type: Mesh
name: a
mtls: {backends: [{mode: LAX}, ~, 5], enabledBackend: []}
---
type: ExternalService
name: e
tags: {? [a] : b}
networking: {address: 'host', tls: {enabled: 1}}
";
    assert_eq!(
        errors_of(text),
        [
            "f.yaml:1:1: name: must be set",
            "f.yaml:2:7: mesh: invalid type: sequence, expected a string",
            "f.yaml:5:3: networking: the key `address` is there twice",
            "f.yaml:6:3: networking: unknown field `adress`, did you mean `address`?",
            "f.yaml:8:13: networking.inbound[0].port: \
             invalid type: string \"abc\", expected an integer from 0 to 4294967295",
            "f.yaml:9:23: networking.inbound[0].health.ready: invalid type: string \"no\", expected a boolean",
            "f.yaml:10:31: networking.inbound[0].tags.kuma.io/service: invalid type: mapping, expected a string",
            "f.yaml:10:48: networking.inbound[0].tags.version: invalid type: sequence, expected a string",
            "f.yaml:10:53: networking.inbound[0].tags: the key `version` is there twice",
            "f.yaml:11:13: networking.inbound[1].port: must be a port from 1 to 65535",
            "f.yaml:12:13: networking.inbound[1].tags: invalid type: string \"later\", expected a mapping",
            "f.yaml:13:13: networking.outbound: invalid type: mapping, expected a sequence",
            "f.yaml:17:18: mtls.backends: must have at most one entry",
            "f.yaml:17:19: mtls.backends[0].name: must be set",
            "f.yaml:17:26: mtls.backends[0].mode: must be STRICT or PERMISSIVE",
            "f.yaml:17:32: mtls.backends[1]: invalid type: null, expected a mapping",
            "f.yaml:17:35: mtls.backends[2]: invalid type: integer `5`, expected a mapping",
            "f.yaml:17:55: mtls.enabledBackend: invalid type: sequence, expected a string",
            "f.yaml:21:7: tags: must have the tag kuma.io/service",
            "f.yaml:21:10: tags: invalid type: sequence, expected a string",
            "f.yaml:22:23: networking.address: \"host\" is not host:port",
            "f.yaml:22:46: networking.tls.enabled: invalid type: integer `1`, expected a boolean",
        ]
    );
}

#[test]
fn a_port_is_an_integer_of_32_bits_before_it_is_a_port() {
    let text = |port: &str| {
        format!(
            "type: Dataplane\nname: d\nnetworking:\n  address: 10.0.0.1\n  \
             inbound: [{{port: {port}, tags: {{kuma.io/service: s}}}}]\n"
        )
    };
    for port in ["0x50", "'80'"] {
        assert_eq!(errors_of(&text(port)), [] as [&str; 0]);
    }
    let cases = [
        ("-1", "integer `-1`"),
        ("1.5", "number `1.5`"),
        ("'http'", "string \"http\""),
        ("99999999999", "integer `99999999999`"),
        ("true", "boolean `true`"),
    ];
    for (port, found) in cases {
        assert_eq!(
            errors_of(&text(port)),
            [format!(
                "f.yaml:5:20: networking.inbound[0].port: \
                 invalid type: {found}, expected an integer from 0 to 4294967295"
            )]
        );
    }
}

#[test]
fn a_long_text_is_shown_in_part() {
    let errors = errors_of(&"x".repeat(1000));
    assert_eq!(
        errors,
        [format!("f.yaml:1:1: invalid type: string \"{}…\", expected a mapping", "x".repeat(80))]
    );
}

#[test]
fn a_text_that_looks_like_something_else_needs_quotes() {
    let text = |value: &str| {
        let tags = format!("{{kuma.io/service: a, version: {value}}}");
        format!("type: ExternalService\nname: a\ntags: {tags}\nnetworking: {{address: 'a:1'}}\n")
    };
    let Resource::ExternalService(service) = &resources(&text("'1.10'"))[0] else { panic!() };
    assert_eq!(service.tags.get("version"), Some("1.10"));
    for (value, found) in [("1.10", "number `1.10`"), ("true", "boolean `true`"), ("~", "null")] {
        let expected = format!("f.yaml:3:37: tags.version: invalid type: {found}, expected a string");
        assert_eq!(errors_of(&text(value)), [expected]);
    }
}

#[test]
fn a_tag_that_is_there_twice_is_an_error() {
    let errors = errors_of(
        "type: ExternalService\nname: a\ntags: {kuma.io/service: a, v: a, v: b}\nnetworking: {address: 'a:1'}\n",
    );
    assert_eq!(errors, ["f.yaml:3:34: tags: the key `v` is there twice"]);
}

#[test]
fn from_is_no_field_of_this_policy() {
    let errors = errors_of(&good().replace("  to:\n", "  from: []\n  to:\n"));
    assert_eq!(errors, ["f.yaml:8:3: spec: unknown field `from`, expected `targetRef` or `to`"]);
}

#[test]
fn a_field_under_both_of_its_names_is_an_error_at_its_struct() {
    let errors = errors_of(
        "type: ExternalService\nname: a\ntags: {kuma.io/service: a}\n\
         networking: {address: 'a:1', tls: {caCert: {}, ca_cert: {}}}\n",
    );
    assert_eq!(errors, ["f.yaml:4:35: networking.tls: duplicate field `caCert`"]);
}

#[test]
fn what_takes_very_much_memory_is_refused_alone() {
    let inbounds = "  - {}\n".repeat(120_000);
    let text = format!(
        "type: Dataplane\nname: d\nnetworking:\n  address: 192.0.2.1\n  inbound:\n{inbounds}---\ntype: Mesh\nname: a\n"
    );
    let errors = errors_of(&text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].ends_with(": takes more than 12 MiB of memory"), "{errors:?}");
    assert_eq!(resources(&text).len(), 1);
}
