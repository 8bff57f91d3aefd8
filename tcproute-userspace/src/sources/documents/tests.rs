mod judged;

use std::path::Path;

use super::*;
use crate::sources::parse;

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

fn all_of(text: &str, strictness: Strictness) -> (Vec<Object>, Ending) {
    let mut objects = Vec::new();
    let ending = read(text, &strictness.into(), &mut |object| objects.push(object));
    (objects, ending)
}

pub(in crate::sources) fn errors_of(text: &str) -> Vec<String> {
    let errors = parse(Path::new("f.yaml"), text.as_bytes()).err();
    errors.iter().flat_map(|errors| &errors.0).map(ToString::to_string).collect()
}

/// What is read without fault.
fn names(text: &str) -> Vec<String> {
    let identity = |resource: &Resource| resource.identity().to_string();
    resources(text).iter().map(identity).collect()
}

pub(in crate::sources) fn resources(text: &str) -> Vec<Resource> {
    let read = |Object { verdict, .. }| match verdict {
        Verdict::Read(resource, _) => Some(resource),
        _ => None,
    };
    read_all(text).into_iter().filter_map(read).collect()
}

fn read_all(text: &str) -> Vec<Object> {
    let (objects, Ending { faults, .. }) = all_of(text, Strictness::Strict);
    assert!(faults.is_empty(), "{faults:?}");
    objects
}

#[test]
fn every_violation_is_reported_with_its_place() {
    let refs = "spec.to[0].rules[0].default.backendRefs";
    assert_eq!(
        errors_of(ROUTE),
        [
            format!("f.yaml:15:17: {refs}[0].name: must be set with kind MeshServiceSubset"),
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
pub(in crate::sources) fn good() -> String {
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
fn unknown_fields_are_reported_beside_all_other_violations() {
    let text = ROUTE.replace("kind: Mesh\n", "kind: Mesh\n    nmae: x\n").replace("weight: -1", "wieght: 1");
    let errors = errors_of(&text);
    let ends = ["did you mean `name`?", "kind MeshServiceSubset", "`weight`?", "kind MeshService"];
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
    let errors = errors_of("type: MeshTCPRoute\nname: \"\"\nmesh: M\nspec: {targetRef: {kind: Meshes}}\n");
    assert_eq!(
        errors,
        [
            "f.yaml:2:7: name: must not be empty",
            "f.yaml:3:7: mesh: must consist of lower case letters, digits, dashes, dots and underscores",
            "f.yaml:4:26: spec.targetRef.kind: value is not supported, did you mean \"Mesh\"?",
        ]
    );
}

/// Where each kind of targetRef may stand, and with which fields.
#[test]
fn target_refs_by_place() {
    // Beside each kind, whether it may stand at top level, in `to` and in `backendRefs`. The last three kinds and
    // what has more than a name or tags are those of later versions.
    let refs = [
        ("{kind: Mesh}", [true, false, false]),
        ("{kind: MeshSubset, tags: {a: b}}", [true, false, false]),
        ("{kind: MeshService, name: s}", [true, true, true]),
        ("{kind: MeshServiceSubset, name: s, tags: {a: b}}", [true, false, true]),
        ("{kind: Dataplane, labels: {a: b}}", [true, false, false]),
        ("{kind: MeshExternalService, name: s}", [false, true, true]),
        ("{kind: MeshMultiZoneService, labels: {a: b}, port: 80}", [false, true, true]),
    ];
    let policy = |top: &str, to: &str, backend: &str| {
        format!(
            "type: MeshTCPRoute\nname: r\nspec: {{targetRef: {top}, to: [{{targetRef: {to}, \
             rules: [{{default: {{backendRefs: [{backend}]}}}}]}}]}}\n"
        )
    };
    let (mesh, service) = (refs[0].0, refs[2].0);
    for (target, [top, to, backend]) in refs {
        let unsupported = |path: &str| vec![format!("{path}.kind: value is not supported")];
        let expect = |text: String, path: &str, good: bool| {
            let errors: Vec<String> =
                errors_of(&text).iter().map(|e| e.split_once(": ").unwrap().1.to_owned()).collect();
            assert_eq!(errors, if good { vec![] } else { unsupported(path) }, "{text}");
        };
        expect(policy(target, service, service), "spec.targetRef", top);
        expect(policy(mesh, target, service), "spec.to[0].targetRef", to);
        expect(policy(mesh, service, target), "spec.to[0].rules[0].default.backendRefs[0]", backend);
    }
    let messages = |top: &str| {
        let errors = errors_of(&policy(top, service, service));
        errors.iter().map(|e| e.rsplit_once("targetRef.").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages("{kind: MeshService}"), ["name: must be set with kind MeshService"]);
    assert_eq!(messages("{kind: MeshSubset, tags: {}}"), [] as [&str; 0]);
    assert_eq!(messages("{kind: ''}"), ["kind: must be set"]);
    assert_eq!(messages("{name: s}"), ["kind: must be set"]);
    assert_eq!(
        messages("{kind: Mesh, name: s, tags: {a: b}}"),
        ["name: must not be set with kind Mesh", "tags: must not be set with kind Mesh"]
    );
}

#[test]
fn fields_of_target_refs_by_kind() {
    let policy = |top: &str, to: &str, backend: &str| {
        let text = format!(
            "type: MeshTCPRoute\nname: r\nspec: {{targetRef: {top}, to: [{{targetRef: {to}, \
             rules: [{{default: {{backendRefs: [{backend}]}}}}]}}]}}\n"
        );
        let last = |error: &String| {
            let (path, message) = error.split_once(": ").unwrap().1.split_once(": ").unwrap();
            format!("{}: {message}", path.rsplit('.').next().unwrap())
        };
        errors_of(&text).iter().map(last).collect::<Vec<_>>()
    };
    let (mesh, service) = ("{kind: Mesh}", "{kind: MeshService, name: s}");
    assert_eq!(policy("{kind: Dataplane, name: a, namespace: b}", service, service), Vec::<String>::new());
    assert_eq!(
        policy("{kind: Dataplane, sectionName: c}", service, service),
        ["sectionName: must not be set: a route is for no inbound"]
    );
    assert_eq!(
        policy("{kind: Dataplane, name: a, labels: {b: c}, tags: {d: e}, port: 1}", service, service),
        [
            "name: must not be set beside labels",
            "tags: must not be set with kind Dataplane",
            "port: must not be set with kind Dataplane",
        ]
    );
    assert_eq!(
        policy("{kind: MeshService, name: a, namespace: b, sectionName: c}", service, service),
        [
            "namespace: must not be set with kind MeshService",
            "sectionName: must not be set with kind MeshService"
        ]
    );
    for reference in [
        "name: a, namespace: b, sectionName: c",
        "labels: {a: b}, port: 80",
        "name: a, labels: {}, tags: {}, mesh: '', sectionName: ''",
    ] {
        let reference = format!("{{kind: MeshService, {reference}}}");
        assert_eq!(policy(mesh, &reference, &reference), Vec::<String>::new(), "{reference}");
    }
    for (reference, message) in [
        ("labels: {}", "name: must be set with kind MeshService"),
        ("name: a, labels: {b: c}", "name: must not be set beside labels"),
        ("namespace: a, labels: {b: c}", "namespace: must not be set beside labels"),
        ("name: a, port: 1, sectionName: b", "port: must not be set beside sectionName"),
        ("name: a, port: 65536", "port: must be a port from 1 to 65535"),
        ("name: a, port: 0", "port: must be a port from 1 to 65535"),
        ("name: a, mesh: b", "mesh: must not be set with kind MeshService"),
        ("name: a, proxyTypes: [Sidecar]", "proxyTypes: must not be set with kind MeshService"),
        ("name: a, tags: {b: c}", "tags: must not be set with kind MeshService"),
    ] {
        let reference = format!("{{kind: MeshService, {reference}}}");
        assert_eq!(policy(mesh, &reference, service), [message], "{reference}");
        assert_eq!(policy(mesh, service, &reference), [message], "{reference}");
    }
    let subset = "{kind: MeshServiceSubset, name: a, tags: {b: c}, port: 1, labels: {d: e}}";
    assert_eq!(
        policy(mesh, service, subset),
        [
            "port: must not be set with kind MeshServiceSubset",
            "labels: must not be set with kind MeshServiceSubset"
        ]
    );
}

#[test]
fn violations_of_later_resources_have_places() {
    let text = "\
type: MeshService
name: s
labels: {kuma.io/origin: mars}
spec:
  selector: {dataplaneTag: {a: b}}
  ports: [{port: 0}, {port: 1, targetPort: [1]}, {port: 2}, {port: 2}]
status: {vips: [{ip: x}]}
---
type: MeshExternalService
name: e
spec: {match: {port: 70000}, endpoints: [{address: 'a b'}, {port: 1}], tls: {}}
---
type: MeshMultiZoneService
name: m
spec: {ports: []}
---
type: MeshTCPRoute
name: r
labels: {kuma.io/origin: mars, kuma.io/policy-role: king}
spec: {}
";
    assert_eq!(
        errors_of(text),
        [
            "f.yaml:5:14: spec.selector: unknown field `dataplaneTag`, did you mean `dataplaneTags`?",
            "f.yaml:6:18: spec.ports[0].port: must be a port from 1 to 65535",
            "f.yaml:6:44: spec.ports[1].targetPort: must be a port or the name of an inbound",
            "f.yaml:6:68: spec.ports[3].port: the port 2 is there twice",
            "f.yaml:7:22: status.vips[0].ip: \"x\" is not an IP address",
            "f.yaml:11:22: spec.match.port: must be a port from 1 to 65535",
            "f.yaml:11:42: spec.endpoints[0].port: must be set",
            "f.yaml:11:52: spec.endpoints[0].address: \"a b\" is not an IP address or a host name",
            "f.yaml:11:60: spec.endpoints[1].address: must be set",
            "f.yaml:15:7: spec.selector.meshService.matchLabels: must be set",
            "f.yaml:15:15: spec.ports: must have at least one entry",
            "f.yaml:19:9: labels: kuma.io/origin must be global or zone",
            "f.yaml:19:9: labels: kuma.io/policy-role must be system, producer, consumer or workload-owner",
        ]
    );
}

#[test]
fn missing_metadata_is_a_violation_beside_the_others() {
    let text = "apiVersion: kuma.io/v1alpha1\nkind: MeshTCPRoute\nspec: {targetRef: {}}\n";
    assert_eq!(
        errors_of(text),
        ["f.yaml:1:1: metadata.name: must be set", "f.yaml:3:19: spec.targetRef.kind: must be set"]
    );
}

#[test]
fn violations_behind_an_alias_are_at_its_anchor() {
    let text = good()
        .replace("kind: Mesh\n", "&top {kind: Mesh, nam: x}\n")
        .replace("  targetRef:\n    &", "  targetRef: &");
    let text = format!("{text}---\ntype: MeshTCPRoute\nname: other\nspec: {{targetRef: *top}}\n");
    assert_eq!(
        errors_of(&text),
        [
            "f.yaml:6:32: spec.targetRef: unknown field `nam`, did you mean `name`?",
            "f.yaml:22:19: the alias stands for nothing in its document, or for what it stands inside of",
        ]
    );
    let text = "type: MeshTCPRoute\nname: &n {}\nmesh: *n\nspec: {}\n";
    assert_eq!(
        errors_of(text),
        [
            "f.yaml:2:7: name: invalid type: mapping, expected a string",
            "f.yaml:2:7: mesh: invalid type: mapping, expected a string",
        ]
    );
}

#[test]
fn ten_thousand_violations_are_reported_and_more_than_can_be_read_are_cut() {
    let text = |count: usize| {
        let to = "    - targetRef: {kind: Mesh}\n".repeat(count);
        format!("type: MeshTCPRoute\nname: a\nspec:\n  to:\n{to}")
    };
    let errors = errors_of(&text(10_000));
    assert_eq!(errors.len(), 10_000);
    assert_eq!(errors[9_999], "f.yaml:10004:25: spec.to[9999].targetRef.kind: value is not supported");
    let text = format!("type: MeshTCPRoute\nname: a\nspec:\n  to:\n{}", "    - {}\n".repeat(30_000));
    let errors = errors_of(&text);
    assert_eq!(errors.len(), 20_001);
    assert_eq!(errors[20_000], "f.yaml: has more than 20000 violations; the others are not told");
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
    assert_eq!(names(LIST), ["Service s", "Mesh a", "MeshTCPRoute r.kuma-system of mesh default"]);
    assert_eq!(errors_of("apiVersion: v1\nkind: List\nitems:\n"), Vec::<String>::new());
    let json = r#"{"apiVersion": "kuma.io/v1alpha1", "kind": "MeshList", "items": [{"apiVersion": "kuma.io/v1alpha1", "kind": "Mesh", "metadata": {"name": "a"}}]}"#;
    assert_eq!(names(json), ["Mesh a"]);
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
fn the_items_of_a_list_in_a_list_are_read() {
    let text =
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: [{type: Mehs}, ~]}]\n";
    assert_eq!(
        errors_of(text),
        [
            "f.yaml:3:53: items[0].items[0].type: unknown kind \"Mehs\", did you mean \"Mesh\"?",
            "f.yaml:3:60: items[0].items[1]: invalid type: null, expected a mapping",
        ]
    );
    assert_eq!(
        errors_of("apiVersion: v1\nkind: List\nitems: 5\n"),
        ["f.yaml:3:8: items: invalid type: integer `5`, expected a list of objects"]
    );
}

#[test]
fn broken_yaml_ends_the_file_and_not_what_was_found_before() {
    let errors = errors_of("type: Mesh\nnam: a\n---\ntype: Mesh\nname: [a\n---\ntype: Mehs\n");
    assert_eq!(
        errors,
        [
            "f.yaml:1:1: name: must be set",
            "f.yaml:2:1: unknown field `nam`, did you mean `name`?",
            "f.yaml:6:1: while parsing a flow sequence, expected ',' or ']'",
        ]
    );
}

#[test]
fn an_unknown_kind_has_a_place() {
    let errors = errors_of("type: Mesh\nname: a\n---\nname: b\ntype: MeshTCPRoutes\n");
    assert_eq!(errors, ["f.yaml:5:7: type: unknown kind \"MeshTCPRoutes\", did you mean \"MeshTCPRoute\"?"]);
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
    assert_eq!(names(text), ["Mesh a"]);
}

fn outline(text: &str) -> Vec<String> {
    let outline = |Object { identity, at, name, verdict, .. }: Object| {
        let what = match verdict {
            Verdict::Read(..) => "read".to_owned(),
            Verdict::Refused(notes) => format!("refused: {}", notes[0].message),
            Verdict::Passed(note) => {
                note.map_or("passed".to_owned(), |note| format!("passed: {}", note.message))
            }
        };
        let identity = identity.map_or("?".to_owned(), |identity| identity.to_string());
        format!("{identity} {}:{} {}:{} {what}", at.line, at.column, name.line, name.column)
    };
    read_all(text).into_iter().map(outline).collect()
}

#[test]
fn each_object_has_an_outcome_of_its_own_and_an_identity_also_if_it_is_wrong() {
    let text = "\
type: MeshTCPRoute
name: a
mesh: m
spec: {to: 5}
---
apiVersion: kuma.io/v1alpha1
kind: Dataplane
metadata: {name: d, namespace: n, labels: {kuma.io/mesh: m, x: [y]}}
spec: {networking: {address: {}}}
---
type: Mesh
name: good
---
type: Mesh
name: bad
mtls: {backends: [{mode: X}]}
---
type: Dataplane
nam: d
---
type: MeshTCPRoute
name: [a]
spec: {}
";
    assert_eq!(
        outline(text),
        [
            "MeshTCPRoute a of mesh m 1:1 2:7 refused: invalid type: integer `5`, expected a sequence",
            "Dataplane d.n of mesh m 6:1 8:18 refused: invalid type: sequence, expected a string",
            "Mesh good 11:1 12:7 read",
            "Mesh bad 14:1 15:7 refused: must be set",
            "? 18:1 18:1 refused: must be set",
            "? 21:1 22:7 refused: invalid type: sequence, expected a string",
        ]
    );
}

#[test]
fn what_is_no_resource_and_kinds_of_later_versions_are_noted_at_most() {
    let text = "\
resources: [a.yaml]
---
replicas: 3
networking: {policy: deny}
---
type: MeshHorizon
name: h
spec: {}
---
apiVersion: kuma.io/v1alpha1
kind: MeshHorizon
---
apiVersion: v2
name: chart
---
type: MeshGateway
name: g
---
apiVersion: v1
kind: ConfigMap
";
    let neither = "passed: has neither type (Universal) nor apiVersion and kind (Kubernetes)";
    assert_eq!(
        outline(text),
        [
            format!("? 1:1 1:1 {neither}"),
            format!("? 3:1 3:1 {neither}"),
            "? 6:1 6:1 passed: unknown kind \"MeshHorizon\"".to_owned(),
            "? 10:1 10:1 passed: unknown kind \"MeshHorizon\"".to_owned(),
            "? 13:1 13:1 passed: has an apiVersion and no kind".to_owned(),
            "? 16:1 16:1 passed".to_owned(),
            "? 19:1 19:1 passed".to_owned(),
        ]
    );
}

#[test]
fn a_resource_without_its_kind_is_not_let_be() {
    let errors = errors_of("name: a\nmesh: default\nspec: {targetRef: {kind: Mesh}}\n");
    assert_eq!(errors, ["f.yaml:1:1: has neither type (Universal) nor apiVersion and kind (Kubernetes)"]);
}

#[test]
fn what_kumactl_and_the_api_print_is_read() {
    let json = r#"{"total": 2, "items": [{"type": "Mesh", "name": "a"}, {"type": "Mesh", "name": "b"}], "next": null}"#;
    assert_eq!(names(json), ["Mesh a", "Mesh b"]);
    let yaml = "items:\n- name: r\n  mesh: m\n  spec: {}\n  type: MeshTCPRoute\nnext: null\ntotal: 1\n";
    assert_eq!(outline(yaml), ["MeshTCPRoute r of mesh m 2:3 2:9 read"]);
}

#[test]
fn items_of_an_api_servers_list_have_the_kind_of_the_list() {
    let text = "
apiVersion: kuma.io/v1alpha1
kind: MeshTCPRouteList
items: [{metadata: {name: r}, spec: {}}, {apiVersion: kuma.io/v1alpha1, kind: Mesh, metadata: {name: m}}]
";
    assert_eq!(names(text), ["MeshTCPRoute r of mesh default", "Mesh m"]);
}

#[test]
fn unknown_fields_pass_where_reading_is_lenient_and_nothing_else_does() {
    let text =
        "type: Mesh\nname: a\nlater: {}\n---\ntype: Mesh\nname: b\nmtls: {backends: [{nam: 1, mode: X}]}\n";
    let refused = |strictness| {
        let (objects, _) = all_of(text, strictness);
        let notes = |object: Object| match object.verdict {
            Verdict::Refused(notes) => notes.len(),
            _ => 0,
        };
        objects.into_iter().map(notes).collect::<Vec<_>>()
    };
    assert_eq!(refused(Strictness::Strict), [1, 3]);
    assert_eq!(refused(Strictness::Lenient), [0, 2]);
}

#[test]
fn what_follows_more_violations_than_are_told_is_read() {
    let to = "    - {}\n".repeat(30_000);
    let text = format!(
        "type: MeshTCPRoute\nname: a\nspec:\n  to:\n{to}---\ntype: Mesh\nnam: b\n---\ntype: Mesh\nname: c\n"
    );
    let (objects, Ending { more, .. }) = all_of(&text, Strictness::Strict);
    assert!(more);
    let [first, second, third] = objects.try_into().ok().unwrap();
    assert!(matches!(first.verdict, Verdict::Refused(notes) if notes.len() == 20_000));
    assert!(matches!(second.verdict, Verdict::Refused(notes) if notes.is_empty()));
    assert!(matches!(third.verdict, Verdict::Read(..)));
}
