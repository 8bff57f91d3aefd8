//! An API server that is asked, and one that is not.

use std::{fs, process::Command};

use serde_json::json;
use tcproute_tests::tcproute::binary;

use crate::{checks, report};

#[test]
fn a_server_that_is_not_there_is_no_reason_to_fail() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    // A machine need not have any.
    let authority = directory.path().join("authority.pem");
    fs::write(&authority, rcgen::generate_simple_self_signed(["c".to_owned()]).unwrap().cert.pem()).unwrap();
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{
            "name": "c",
            "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": authority},
        }],
        "users": [{"name": "c", "user": {"token": "planted-secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    fs::write(&kubeconfig, text.to_string()).unwrap();
    let mut doctor = Command::new(binary());
    doctor.args(["doctor", "--output", "json", "--kubeconfig"]).arg(&kubeconfig);
    let report = report(&doctor.output().unwrap());
    let [status, found, _] = &checks(&report, "api-rights")[0];
    assert_eq!(status, "unknown");
    assert!(found.contains("cannot be reached"), "{found}");
    assert!(!report.to_string().contains("planted-secret"), "{report:#}");
    // Nobody's own kubeconfig is taken unasked.
    let mut unasked = Command::new(binary());
    unasked
        .args(["doctor", "--output", "json"])
        .env("KUBECONFIG", &kubeconfig)
        .env_remove("KUBERNETES_SERVICE_HOST");
    let report = crate::report(&unasked.output().unwrap());
    assert!(report["apiDenies"].is_null() && checks(&report, "api-rights").is_empty(), "{report:#}");
}
