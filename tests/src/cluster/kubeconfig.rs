//! How a client is told where its API server is and who it is.

use std::path::Path;

use serde_json::json;

/// The text of a kubeconfig, in JSON, which is YAML.
pub(super) fn text(server: &str, authority: Option<&Path>, token: &str) -> String {
    let mut cluster = json!({"server": server});
    if let Some(authority) = authority {
        cluster["certificate-authority"] = json!(authority);
    }
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    format!("{kubeconfig:#}\n")
}
