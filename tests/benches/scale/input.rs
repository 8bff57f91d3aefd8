//! A mesh of any size as text: five endpoints for each service, a policy for each, and workloads that dial all of them.

use std::{fmt::Write as _, net::Ipv4Addr};

/// Endpoints of each service.
const ENDPOINTS: u32 = 5;

/// How large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) services: u32,
    pub(crate) workloads: u32,
}

/// The name of a local Dataplane.
pub(crate) fn dataplane(workload: u32) -> String {
    format!("local-{workload}")
}

/// An endpoint of a service, at another address when it has moved.
pub(crate) fn endpoint(service: u32, nth: u32, moved: bool) -> String {
    let ip = Ipv4Addr::from(0x0A00_0000 + service * ENDPOINTS + nth);
    let (version, port) = (if nth == 0 { "v2" } else { "v1" }, if moved { 5433 } else { 5432 });
    format!(
        "---\ntype: Dataplane\nmesh: default\nname: service-{service}-{nth}\nnetworking:\n  address: {ip}\n  inbound:\n  \
         - port: {port}\n    tags: {{kuma.io/service: service-{service}, kuma.io/protocol: tcp, version: {version}}}\n"
    )
}

/// The policy of a service.
pub(crate) fn policy(service: u32, weight: u32) -> String {
    let part = |version: &str, weight: u32| {
        format!(
            "          - {{kind: MeshServiceSubset, name: service-{service}, tags: {{version: {version}}}, weight: {weight}}}\n"
        )
    };
    format!(
        "---\ntype: MeshTCPRoute\nmesh: default\nname: split-{service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
         - targetRef: {{kind: MeshService, name: service-{service}}}\n    rules:\n    - default:\n        backendRefs:\n{}{}",
        part("v1", weight),
        part("v2", 10)
    )
}

impl Size {
    /// All endpoints but the first one of the first service.
    pub(crate) fn endpoints(self) -> String {
        let mut text = String::new();
        for service in 0..self.services {
            for nth in 0..ENDPOINTS {
                if (service, nth) != (0, 0) {
                    text.push_str(&endpoint(service, nth, false));
                }
            }
        }
        text
    }

    /// The policies of all services but the first, the second of which has this weight.
    pub(crate) fn policies(self, weight: u32) -> String {
        (1..self.services).map(|service| policy(service, if service == 1 { weight } else { 90 })).collect()
    }

    /// A local Dataplane.
    pub(crate) fn local(self, workload: u32) -> String {
        let name = dataplane(workload);
        let mut text = format!(
            "---\ntype: Dataplane\nmesh: default\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
             - {{port: 80, tags: {{kuma.io/service: {name}}}}}\n  outbound:\n"
        );
        for service in 0..self.services {
            let ip = Ipv4Addr::from(0xF000_0000 + service);
            let _ = writeln!(
                text,
                "  - {{address: {ip}, port: 5432, tags: {{kuma.io/service: service-{service}}}}}"
            );
        }
        text
    }

    /// Routes in the kernel.
    pub(crate) const fn routes(self) -> u64 {
        self.services as u64 * self.workloads as u64
    }
}
