//! What a Dataplane says to its proxy only: nothing comes of it here, and it is judged as Kuma does.

use super::{address::read_port_at, violation::Violations, wire};

/// Checks the probes that the proxy answers for the workload.
pub(super) fn check_probes(probes: &wire::Probes, path: &str, found: &mut Violations) {
    read_port_at(probes.port, &format!("{path}.port"), found);
    for (i, endpoint) in probes.endpoints.iter().flatten().enumerate() {
        let path = format!("{path}.endpoints[{i}]");
        read_port_at(endpoint.inbound_port, &format!("{path}.inboundPort"), found);
        for (field, value) in [("inboundPath", &endpoint.inbound_path), ("path", &endpoint.path)] {
            let is_path = |value: &String| value.starts_with('/') || value.contains("://");
            if !value.as_ref().is_some_and(is_path) {
                found.add(format!("{path}.{field}"), "must be the path of a URL");
            }
        }
    }
}

/// Checks what the proxy exposes.
pub(super) fn check_metrics(metrics: &wire::Metrics, path: &str, found: &mut Violations) {
    if metrics.r#type.as_deref() != Some("prometheus") {
        found.add(format!("{path}.type"), "must be prometheus");
    }
}
