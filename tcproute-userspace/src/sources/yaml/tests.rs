use super::*;

const ROUTE: &str = "\
# a comment
type: MeshTCPRoute
name: split
mesh: default
spec:
  targetRef:
    kind: Mesh
  to:
    - targetRef:
        kind: MeshService
        name: backend
      rules:
        - default:
            backendRefs:
              - kind: MeshServiceSubset
                weight: -1
              - kind: MeshService
                name: other
                tags:
                  version: \"1\"
";

fn errors_of(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    resources(Path::new("f.yaml"), text, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn every_violation_is_reported_with_its_place() {
    let refs = "spec.to[0].rules[0].default.backendRefs";
    assert_eq!(
        errors_of(ROUTE),
        [
            format!("f.yaml:15:17: {refs}[0].name: must be set with kind MeshServiceSubset"),
            format!("f.yaml:15:17: {refs}[0].tags: must be set with kind MeshServiceSubset"),
            format!("f.yaml:16:25: {refs}[0].weight: must be an integer from 0 to 4294967295"),
            format!("f.yaml:20:19: {refs}[1].tags: must not be set with kind MeshService"),
        ]
    );
}

#[test]
fn places_are_absolute_in_later_documents_and_with_crlf() {
    let text = format!("type: Mesh\nname: default\n---\n{ROUTE}").replace('\n', "\r\n");
    assert!(errors_of(&text)[0].starts_with("f.yaml:18:17: "), "{:?}", errors_of(&text));
}

/// A document without any fault.
fn good() -> String {
    ROUTE
        .replace("MeshServiceSubset", "MeshService\n                name: a")
        .replace("-1", "1")
        .replace("                tags:\n                  version: \"1\"\n", "")
}

#[test]
fn a_good_document_has_no_violation() {
    assert_eq!(errors_of(&good()), Vec::<String>::new());
}

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
fn unknown_fields_are_reported_beside_all_other_violations() {
    let text = ROUTE.replace("kind: Mesh\n", "kind: Mesh\n    nmae: x\n").replace("weight: -1", "wieght: 1");
    let errors = errors_of(&text);
    let ends = [
        "did you mean `name`?",
        "kind MeshServiceSubset",
        "kind MeshServiceSubset",
        "`weight`?",
        "kind MeshService",
    ];
    assert_eq!(errors.len(), ends.len(), "{errors:?}");
    for (error, end) in errors.iter().zip(ends) {
        assert!(error.ends_with(end), "{error} should end with {end}");
    }
}

#[test]
fn violations_of_an_entry_that_is_too_much_are_reported() {
    let text = good().replace("      rules:\n", "      rules:\n        - default: {backendRefs: []}\n");
    assert_eq!(
        errors_of(&text),
        [
            "f.yaml:13:9: spec.to[0].rules: must have at most one entry",
            "f.yaml:13:34: spec.to[0].rules[0].default.backendRefs: must have at least one entry",
        ]
    );
}

#[test]
fn violations_of_spec_are_reported_beside_those_of_the_name() {
    let errors = errors_of("type: MeshTCPRoute\nname: \"\"\nmesh: \"\"\nspec: {targetRef: {kind: Meshes}}\n");
    assert_eq!(
        errors,
        [
            "f.yaml:2:7: name: must not be empty",
            "f.yaml:3:7: mesh: must not be empty",
            "f.yaml:4:26: spec.targetRef.kind: value is not supported",
        ]
    );
}

/// Where each kind of targetRef may stand, and with which fields.
#[test]
fn target_refs_by_place() {
    let refs = [
        "{kind: Mesh}",
        "{kind: MeshSubset, tags: {a: b}}",
        "{kind: MeshService, name: s}",
        "{kind: MeshServiceSubset, name: s, tags: {a: b}}",
    ];
    let policy = |top: &str, to: &str, backend: &str| {
        format!(
            "type: MeshTCPRoute\nname: r\nspec: {{targetRef: {top}, to: [{{targetRef: {to}, \
             rules: [{{default: {{backendRefs: [{backend}]}}}}]}}]}}\n"
        )
    };
    for (i, target) in refs.iter().enumerate() {
        let unsupported = |path: &str| vec![format!("{path}.kind: value is not supported")];
        let expect = |text: String, path: &str, good: bool| {
            let errors: Vec<String> =
                errors_of(&text).iter().map(|e| e.split_once(": ").unwrap().1.to_owned()).collect();
            assert_eq!(errors, if good { vec![] } else { unsupported(path) }, "{text}");
        };
        expect(policy(target, refs[2], refs[2]), "spec.targetRef", true);
        expect(policy(refs[0], target, refs[2]), "spec.to[0].targetRef", i == 2);
        expect(policy(refs[0], refs[2], target), "spec.to[0].rules[0].default.backendRefs[0]", i >= 2);
    }
    let messages = |top: &str| {
        let errors = errors_of(&policy(top, refs[2], refs[2]));
        errors.iter().map(|e| e.rsplit_once("targetRef.").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages("{kind: MeshService}"), ["name: must be set with kind MeshService"]);
    assert_eq!(messages("{kind: MeshSubset, tags: {}}"), ["tags: must be set with kind MeshSubset"]);
    assert_eq!(messages("{name: s}"), ["kind: must be set"]);
    assert_eq!(
        messages("{kind: Mesh, name: s, tags: {a: b}}"),
        ["name: must not be set with kind Mesh", "tags: must not be set with kind Mesh"]
    );
}

#[test]
fn a_weight_is_an_integer_of_32_bits() {
    for weight in ["0", "1", "4294967295", "null"] {
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
    let text = ROUTE.replace("version: \"1\"", "version: [1]");
    assert_eq!(
        errors_of(&text),
        ["f.yaml:20:28: spec.to[0].rules[0].default.backendRefs[1].tags.version: \
          invalid type: sequence, expected a string"]
    );
    assert_eq!(
        errors_of("type: MeshTCPRoute\nname: a\nspec: [1]\n"),
        ["f.yaml:3:7: spec: invalid type: sequence, expected a mapping"]
    );
    assert_eq!(
        errors_of("just text\n"),
        ["f.yaml:1:1: invalid type: string \"just text\", expected a mapping"]
    );
}

#[test]
fn a_tag_without_quotes_is_the_text_as_written() {
    let text = "type: ExternalService\nname: a\ntags: {kuma.io/service: a, version: 1.10}\nnetworking: {address: 'a:1'}\n";
    let found = resources(Path::new("f.yaml"), text, &mut Vec::new());
    let Resource::ExternalService(service) = &found[0].resource else { panic!() };
    assert_eq!(service.tags["version"], "1.10");
}

#[test]
fn a_tag_that_is_there_twice_is_an_error() {
    let errors = errors_of("type: ExternalService\nname: a\ntags: {v: a, v: b}\n");
    assert_eq!(errors, ["f.yaml:3:7: tags: the key `v` is there twice"]);
}

#[test]
fn a_misspelt_field_of_a_mesh_does_not_turn_mtls_off_silently() {
    let errors = errors_of("type: Mesh\nname: a\nmtsl: {enabledBackend: b}\n");
    assert_eq!(errors, ["f.yaml:3:1: unknown field `mtsl`, did you mean `mtls`?"]);
}

#[test]
fn fields_that_are_not_modelled_are_let_be() {
    let text = "
type: Mesh
name: default
labels: {a: b}
creationTime: 2023-09-01T00:00:00Z
mtls: {backends: [{name: ca, type: builtin, conf: {}, dpCert: {rotation: {expiration: 1d}}}], skipValidation: true}
logging: {}
tracing: {}
metrics: {enabledBackend: p, backends: []}
networking: {outbound: {passthrough: true}}
routing: {localityAwareLoadBalancing: true}
constraints: {}
---
type: Dataplane
name: d
mesh: default
networking:
  address: 10.0.0.1
  admin: {port: 9901}
  gateway: {type: DELEGATED, tags: {kuma.io/service: g}}
  transparentProxying: {redirectPortInbound: 15006}
  transparent_proxying: {}
  inbound:
    - {port: 1, servicePort: 2, serviceAddress: 127.0.0.1, serviceProbe: {tcp: {}}, health: {ready: true}, tags: {kuma.io/service: s}}
metrics: {type: prometheus}
probes: {port: 9000}
---
type: ExternalService
name: e
tags: {kuma.io/service: e}
networking: {address: 'e:1', tls: {enabled: true, caCert: {inline: eA==}, client_cert: {}, allowRenegotiation: true, serverName: e}}
---
apiVersion: kuma.io/v1alpha1
kind: Mesh
metadata: {name: k, annotations: {a: b}, uid: u, resourceVersion: '1', managedFields: []}
spec: {mtls: {}, routing: {}}
---
type: MeshTimeout
name: t
spec: {anything: [goes]}
---
apiVersion: kuma.io/v1alpha1
kind: TrafficPermission
mesh: default
metadata: {name: t}
spec: {anything: [goes]}
";
    assert_eq!(errors_of(&text.replace("  transparent_proxying: {}\n", "")), Vec::<String>::new());
}

const LIST: &str = "
apiVersion: v1
kind: List
metadata: {resourceVersion: ''}
items:
  - {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP}}
  - apiVersion: kuma.io/v1alpha1
    kind: Mesh
    metadata: {name: a}
  - apiVersion: kuma.io/v1alpha1
    kind: MeshTCPRoute
    metadata: {name: r, namespace: kuma-system}
    spec:
      targetRef: {kind: Mesh}
";

#[test]
fn the_items_of_a_list_are_read() {
    let mut errors = Vec::new();
    let found = resources(Path::new("f.yaml"), LIST, &mut errors);
    assert_eq!((found.len(), errors.len()), (2, 0), "{errors:?}");
    assert_eq!(errors_of("apiVersion: v1\nkind: List\nitems:\n"), Vec::<String>::new());
    let json = r#"{"apiVersion": "kuma.io/v1alpha1", "kind": "MeshList", "items": [{"apiVersion": "kuma.io/v1alpha1", "kind": "Mesh", "metadata": {"name": "a"}}]}"#;
    assert_eq!(resources(Path::new("f.json"), json, &mut errors).len(), 1);
}

#[test]
fn errors_in_a_list_have_places() {
    let text = LIST.replace("{kind: Mesh}", "{kind: Mesh, nam: x}").replace("kind: Mesh\n", "kind: Mehs\n");
    assert_eq!(
        errors_of(&text),
        [
            "f.yaml:8:11: items[1].kind: unknown kind \"Mehs\", did you mean \"Mesh\"?",
            "f.yaml:14:31: items[2].spec.targetRef: unknown field `nam`, did you mean `name`?",
        ]
    );
}

#[test]
fn broken_yaml_has_a_place() {
    let errors = errors_of("type: Mesh\nname: [a\n");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("f.yaml:3:1: "), "{errors:?}");
}

#[test]
fn an_unknown_kind_has_a_place() {
    let errors = errors_of("type: Mesh\nname: a\n---\nname: b\ntype: MeshTCPRoutes\n");
    assert_eq!(errors, ["f.yaml:5:7: type: unknown kind \"MeshTCPRoutes\", did you mean \"MeshTCPRoute\"?"]);
}

#[test]
fn from_is_no_field_of_this_policy() {
    let errors = errors_of(&good().replace("  to:\n", "  from: []\n  to:\n"));
    assert_eq!(errors, ["f.yaml:8:3: spec: unknown field `from`, expected `targetRef` or `to`"]);
}

#[test]
fn empty_documents_and_foreign_objects_are_let_be() {
    let text =
        "---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {x: [1]}\n---\n# nothing\n";
    assert!(errors_of(text).is_empty(), "{:?}", errors_of(text));
}

#[test]
fn json_is_read() {
    let text =
        r#"{"type": "Mesh", "name": "a", "mtls": {"enabledBackend": "b", "backends": [{"name": "b"}]}}"#;
    let mut errors = Vec::new();
    let found = resources(Path::new("f.json"), text, &mut errors);
    assert_eq!((found.len(), errors.len()), (1, 0), "{errors:?}");
}
