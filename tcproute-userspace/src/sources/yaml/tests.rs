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

#[test]
fn an_unknown_field_names_the_nearest() {
    let text = ROUTE.replace("weight: -1", "wieght: 1");
    assert_eq!(
        errors_of(&text),
        ["f.yaml:16:17: spec.to[0].rules[0].default.backendRefs[0]: \
          unknown field `wieght`, did you mean `weight`?"]
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
    let errors = errors_of(&ROUTE.replace("  to:\n", "  from: []\n  to:\n"));
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
