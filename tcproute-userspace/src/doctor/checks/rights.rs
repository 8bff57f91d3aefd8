//! Judging what this process may do: capabilities, whether it sees the node from a container, and what an API server
//! allows.

use caps::{Capability, CapsHashSet};

use super::{Check, Status};
use crate::{
    bpf::requirements::CAPABILITIES,
    doctor::{
        Api,
        node::{BpffsOf, Node},
    },
    privileges::can_load,
    sources::kubernetes::rights::Denied,
};

/// More are not told one by one.
const EACH: usize = 3;

/// What loading takes, and what each is for.
const LOADING: [(Capability, &str); 3] = [
    (Capability::CAP_BPF, "to load programs and make maps"),
    (Capability::CAP_NET_ADMIN, "to attach them"),
    (Capability::CAP_PERFMON, "to let them read the kernel's memory"),
];

/// What sidecars take beyond that, and what is not done without.
const BEYOND: [(Capability, &str); 2] = [
    (
        Capability::CAP_SYS_ADMIN,
        "programs of others are not listed, and no network namespace is entered, so that sidecars are not got past",
    ),
    (
        Capability::CAP_SYS_PTRACE,
        "processes of other users are not looked into, so that sidecars are not got past and their versions not known",
    ),
];

/// The names of those that are missing.
pub(in crate::doctor) fn missing(capabilities: &CapsHashSet) -> Vec<String> {
    let all = LOADING.iter().chain(&BEYOND).map(|(capability, _)| capability);
    all.filter(|capability| !capabilities.contains(capability)).map(ToString::to_string).collect()
}

pub(super) fn privilege(node: &Node) -> Check {
    const ID: &str = "privilege";
    let remedy = "run it with sudo, or in a privileged container";
    let who = if node.root { "root" } else { "not root" };
    match &node.capabilities {
        Ok(capabilities) if can_load(capabilities) => Check::new(
            ID,
            Status::Ok,
            format!(
                "{who}; the daemon keeps {CAPABILITIES} and, unless --sidecar off, CAP_SYS_ADMIN and CAP_SYS_PTRACE"
            ),
        ),
        Ok(capabilities) => {
            let missing = LOADING.iter().filter(|(capability, _)| !capabilities.contains(capability));
            let missing: Vec<String> =
                missing.map(|(capability, purpose)| format!("{capability} {purpose}")).collect();
            Check::new(ID, Status::Missing, format!("{who}, without {}", missing.join(", "))).remedy(remedy)
        }
        Err(reason) => Check::new(ID, Status::Unknown, format!("{who}; capabilities: {reason}")),
    }
}

pub(super) fn beyond(node: &Node) -> Option<Check> {
    let capabilities = node.capabilities.as_ref().ok()?;
    let missing = BEYOND.iter().filter(|(capability, _)| !capabilities.contains(capability));
    let missing: Vec<String> =
        missing.map(|(capability, without)| format!("without {capability} {without}")).collect();
    (!missing.is_empty()).then(|| Check::new("capabilities", Status::Fallback, missing.join("; ")))
}

/// A process that is not in a container has the node's.
pub(super) fn bpffs(node: &Node) -> Option<Check> {
    const ID: &str = "bpffs-of-node";
    if !node.bpffs_mounted {
        return None;
    }
    match &node.bpffs_of {
        BpffsOf::Here => None,
        BpffsOf::Node => Some(Check::new(ID, Status::Ok, "it is the node's own")),
        BpffsOf::Container => Some(
            Check::new(ID, Status::Warning, "it is this container's: its pins, and so all routes, end with it").remedy(
                "mount the node's by hostPath, with mountPropagation: HostToContainer, or Bidirectional if it is mounted \
                 from here",
            ),
        ),
        BpffsOf::Unknown(why) => Some(Check::new(ID, Status::Unknown, why)),
    }
}

pub(super) fn api(api: &Api) -> Vec<Check> {
    const ID: &str = "api-rights";
    match api {
        Err(why) => vec![Check::new(ID, Status::Unknown, why)],
        Ok(denied) if denied.is_empty() => {
            vec![Check::new(ID, Status::Ok, "the API server allows all that tcproute asks it for")]
        }
        Ok(denied) if denied.len() > EACH => {
            let some: Vec<&str> = denied.iter().take(EACH).map(|denied| &*denied.what).collect();
            let found = format!("may not {}, and {} more", some.join("; "), denied.len() - EACH);
            vec![
                Check::new(ID, Status::Warning, found)
                    .remedy("apply deploy/kubernetes/rbac.yaml, which grants all of it"),
            ]
        }
        Ok(denied) => {
            let check = |denied: &Denied| {
                let without = denied.without.map(|without| format!(": {without}")).unwrap_or_default();
                Check::new(ID, Status::Warning, format!("may not {}{without}", denied.what))
                    .remedy(&denied.rule)
            };
            denied.iter().map(check).collect()
        }
    }
}
