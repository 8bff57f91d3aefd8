//! Servers with an identity of their own, of Kuma 2.12 and later.

use super::*;

const IDENTITY: &str = "
type: MeshIdentity
name: id
spec: {selector: {dataplane: {matchLabels: {app: db}}}}
status: {conditions: [{type: Ready, status: 'True'}]}
";

fn labelled() -> String {
    db(&[(1, "")]).replace("name: db-1\n", "name: db-1\nlabels: {app: db}\n")
}

fn reason(texts: &[&str], options: Options) -> Option<String> {
    let routes = resolve_with(&[&[WEB], texts].concat(), options);
    let destination = &routes.routes[0].destination;
    (destination.action == Action::Passthrough).then(|| {
        assert!(routes.warnings()[0].contains("left to the proxy"), "{:?}", routes.warnings());
        destination.reason.clone()
    })
}

#[test]
fn a_server_with_an_identity_refuses_plaintext() {
    let db = labelled();
    for options in [LATEST, V3] {
        let reason = reason(&[&db, IDENTITY], options).unwrap();
        assert_eq!(reason, "db has servers with a MeshIdentity, and its servers refuse plaintext");
    }
    // 2.4 knows nothing of it, and an operator may know better.
    assert_eq!(reason(&[&db, IDENTITY], Options::default()), None);
    assert_eq!(reason(&[&db, IDENTITY], Options { allow_mtls_bypass: true, ..V3 }), None);
}

#[test]
fn an_identity_that_is_not_ready_or_selects_others_changes_nothing() {
    let db = labelled();
    for other in [
        IDENTITY.replace("'True'", "'False'"),
        IDENTITY.replace("type: Ready", "type: SpiffeIDProvider"),
        IDENTITY.replace("app: db", "app: other"),
        IDENTITY.replace("spec: {selector: {dataplane: {matchLabels: {app: db}}}}", "spec: {}"),
        IDENTITY.replace("name: id\n", "name: id\nmesh: other\n"),
    ] {
        assert_eq!(reason(&[&db, &other], V3), None, "{other}");
    }
    let all = IDENTITY.replace("{app: db}", "{}");
    assert!(reason(&[&super::db(&[(1, "")]), &all], V3).is_some());
}

#[test]
fn plaintext_to_a_permissive_server_would_be_a_downgrade() {
    let db = labelled();
    let tls = |name: &str, top: &str, mode: &str| {
        format!(
            "type: MeshTLS\nname: {name}\nspec: {{targetRef: {top}, rules: [{{default: {{mode: {mode}}}}}]}}"
        )
    };
    let permissive = tls("p", MESH, "Permissive");
    let reason_of = |texts: &[&str]| reason(&[&[db.as_str(), IDENTITY], texts].concat(), V3).unwrap();
    assert!(reason_of(&[&permissive]).contains("silent downgrade"));
    let strict = tls("s", "{kind: Dataplane, labels: {app: db}}", "Strict");
    assert!(reason_of(&[&permissive, &strict]).contains("refuse plaintext"));
    let others = tls("o", "{kind: Dataplane, labels: {app: other}}", "Strict");
    assert!(reason_of(&[&permissive, &others]).contains("silent downgrade"));
}

#[test]
fn a_backend_without_weight_needs_no_tls() {
    let other = db(&[(2, "")]).replace("service: db", "service: other");
    let db = labelled();
    let split = |weight: u32| {
        route("r", MESH, &format!("{}, {{kind: MeshService, name: db, weight: {weight}}}", to("other")))
    };
    assert_eq!(reason(&[&db, &other, IDENTITY, &split(0)], LATEST), None);
    assert!(reason(&[&db, &other, IDENTITY, &split(1)], LATEST).is_some());
}
