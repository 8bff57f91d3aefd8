//! What would be if a policy was applied to a control plane.

use std::fs;

use serde_json::Value;
use tcproute_tests::{
    control_plane::{Options, Server, Version},
    is_root,
};

use super::fixture::{Setup, each, lead, tcproute};

#[test]
fn what_a_policy_would_change_is_shown_before_it_is_applied() {
    each("what_a_policy_would_change_is_shown_before_it_is_applied", |control_plane| {
        let setup = Setup::new();
        control_plane.put_yaml(&setup.documents());
        let directory = tempfile::tempdir().unwrap();
        let changed = directory.path().join("changed.yaml");
        fs::write(&changed, lead(70, 30)).unwrap();
        let diff = ["diff", "--allow-loopback", "--with", changed.to_str().unwrap()];
        let text = String::from_utf8(tcproute(&diff, &control_plane.url(), &[]).stdout).unwrap();
        assert!(text.contains("30.0 % of the connections go elsewhere"), "{text}");
        let json = tcproute(&[&diff[..], &["--output", "json"]].concat(), &control_plane.url(), &[]).stdout;
        let differences: Value = serde_json::from_slice(&json).unwrap();

        let validate = ["validate", "--allow-loopback"];
        let output = tcproute(&validate, &control_plane.url(), &[&changed]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        for line in [
            "MeshTCPRoute split of mesh default would take the place of what is there",
            "30.0 % of the connections go elsewhere",
            "1 file, 1 resource: valid",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let json =
            tcproute(&[&validate[..], &["--output", "json"]].concat(), &control_plane.url(), &[&changed])
                .stdout;
        let report: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(report["changes"], differences);

        // What there would be is what there is then.
        control_plane.put_yaml(&lead(70, 30));
        let text = String::from_utf8(tcproute(&diff, &control_plane.url(), &[]).stdout).unwrap();
        assert_eq!(text.trim(), "no connection goes elsewhere");
    });
}

#[test]
fn what_would_be_refused_is_told() {
    if !is_root("what_would_be_refused_is_told") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let server = Server::start(Options { is_on_kubernetes: true, ..Options::of(Version::V2_4) });
    let told = |text: &str| {
        fs::write(&file, text).unwrap();
        let output = tcproute(&["validate"], &server.url(), &[&file]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = told(&lead(1, 0).replace("mesh: default", "mesh: nowhere"));
    assert!(
        text.contains("MeshTCPRoute split of mesh nowhere would be refused: there is no mesh nowhere"),
        "{text}"
    );
    assert_eq!(code, Some(2));
    let (code, text) =
        told("type: MeshService\nname: db\nspec: {selector: {dataplaneTags: {a: b}}, ports: [{port: 1}]}\n");
    assert!(text.contains("would be refused: this version has no MeshService"), "{text}");
    assert_eq!(code, Some(2));
    let (code, text) = told(&lead(1, 0));
    assert!(text.contains("it runs on Kubernetes, where resources are applied to the API server"), "{text}");
    assert_eq!(code, Some(0));
    let (code, text) = told(&lead(1, 0).replace("weight: 1", "weight: -1"));
    assert!(text.contains("a.yaml:9:") && text.contains("weight"), "{text}");
    assert_eq!(code, Some(2));
}
