//! Judging a node: what is there, what is missing, and the remedy. Pure.
//!
//! - `rights`: what this process may do.
//! - `others`: programs of others at the same hooks.
//! - `cluster`: what only a node of a cluster has.

pub(super) mod cluster;
mod others;
pub(super) mod rights;

use std::fmt::Write as _;

use caps::Capability;
use serde::Serialize;

use super::node::Node;
use crate::bpf::requirements::{OLDEST, WITHOUT_MEMLOCK};

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// The kernel lacks it, and something else takes its place.
    Fallback,
    /// It works, but somebody should look at it.
    Warning,
    /// Without it tcproute does not run.
    Missing,
    /// It could not be told.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub id: &'static str,
    /// How it stands.
    pub status: Status,
    /// In words.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    fn new(id: &'static str, status: Status, found: impl Into<String>) -> Self {
        Self { id, status, found: found.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Everything, in the order in which a person would look.
pub(super) fn checks(node: &Node) -> Vec<Check> {
    let mut checks = vec![
        kernel(node),
        config(node),
        cgroup2(node),
        bpffs(node),
        rights::privilege(node),
        memlock(node),
        jit(node),
        btf(node),
        programs(node),
    ];
    checks.extend(rights::bpffs(node));
    checks.extend(rights::beyond(node));
    checks.extend(features(node));
    checks.push(drain(node));
    checks.push(past_sidecars(node));
    checks.extend(others::others(node));
    checks.extend(cluster::checks(node));
    checks.extend(node.api.iter().flat_map(rights::api));
    checks.push(daemon(node));
    checks
}

fn kernel(node: &Node) -> Check {
    let found = &node.release;
    match node.version {
        Some(version) if version < OLDEST => {
            Check::new("kernel", Status::Missing, format!("{found} is older than {OLDEST}"))
                .remedy("boot a newer kernel")
        }
        Some(_) => Check::new("kernel", Status::Ok, found),
        None => Check::new("kernel", Status::Unknown, format!("there is no version in {found}")),
    }
}

/// Without these nothing works; with `CONFIG_CGROUP_BPF` come the others that are needed.
const OPTIONS: [&str; 4] = ["CONFIG_BPF_SYSCALL", "CONFIG_CGROUPS", "CONFIG_CGROUP_BPF", "CONFIG_INET"];

/// What is as well without these.
const OPTIONAL: [(&str, &str); 3] = [
    ("CONFIG_BPF_JIT", "the programs are interpreted"),
    ("CONFIG_IPV6", "there is nothing but IPv4 to route"),
    ("CONFIG_DEBUG_INFO_BTF", "the kernel does not describe its types"),
];

fn config(node: &Node) -> Check {
    const ID: &str = "kernel-config";
    match &node.config {
        Ok(options) => {
            let missing: Vec<&str> =
                OPTIONS.into_iter().filter(|&option| !options.contains(option)).collect();
            let mut found = format!("has {}", OPTIONS.join(", "));
            let mut optional =
                OPTIONAL.into_iter().filter(|(option, _)| !options.contains(*option)).peekable();
            if !missing.is_empty() {
                return Check::new(ID, Status::Missing, format!("lacks {}", missing.join(", ")))
                    .remedy("boot a kernel that was built with it");
            }
            let status = if optional.peek().is_some() { Status::Fallback } else { Status::Ok };
            for (option, consequence) in optional {
                let _ = write!(found, "; without {option} {consequence}");
            }
            Check::new(ID, status, found)
        }
        Err(reason) => Check::new(ID, Status::Unknown, format!("{reason}; what counts was tried")),
    }
}

fn cgroup2(node: &Node) -> Check {
    match &node.cgroup2 {
        Ok(mount) if node.cgroup2_whole => {
            Check::new("cgroup2", Status::Ok, format!("mounted at {}", mount.display()))
        }
        Ok(mount) => {
            let found = format!(
                "mounted at {}, with the cgroups of a container only: workloads elsewhere cannot be named",
                mount.display()
            );
            Check::new("cgroup2", Status::Warning, found)
                .remedy("run it in the node's own cgroup namespace, with the node's cgroup2 mounted")
        }
        Err(_) => Check::new("cgroup2", Status::Missing, "not mounted").remedy(
            "mount it with `mount -t cgroup2 none /sys/fs/cgroup`, or, beside cgroup v1, at a directory of your choice",
        ),
    }
}

fn bpffs(node: &Node) -> Check {
    let at = node.bpffs.display();
    if node.bpffs_mounted {
        Check::new("bpffs", Status::Ok, format!("mounted at {at}"))
    } else {
        Check::new("bpffs", Status::Missing, format!("not mounted at {at}"))
            .remedy(format!("mount it with `mount -t bpf bpf {at}`, or name another one with --bpffs"))
    }
}

fn memlock(node: &Node) -> Check {
    const ID: &str = "memlock";
    if node.version.is_some_and(|version| version >= WITHOUT_MEMLOCK) {
        return Check::new(ID, Status::Ok, format!("does not matter from {WITHOUT_MEMLOCK} on"));
    }
    match node.memlock {
        _ if node.memlock_raised => Check::new(ID, Status::Ok, "can be raised"),
        Ok(None) => Check::new(ID, Status::Ok, "without limit"),
        Ok(Some(limit)) => Check::new(
            ID,
            Status::Warning,
            format!("{limit} bytes, and it cannot be raised: maps may not fit"),
        )
        .remedy("run it with CAP_SYS_RESOURCE, or with LimitMEMLOCK=infinity in its unit"),
        Err(ref reason) => Check::new(ID, Status::Unknown, reason),
    }
}

fn jit(node: &Node) -> Check {
    const ID: &str = "jit";
    // What became of the programs says more than the switch.
    let programs = node.programs.as_deref().unwrap_or_default();
    let compiled = (!programs.is_empty()).then(|| programs.iter().all(|program| program.jited > 0));
    match (compiled.or(node.jit.map(|switch| switch > 0)), node.jit_harden) {
        (Some(false), _) => Check::new(ID, Status::Warning, "off: every connect() is several times slower")
            .remedy("sysctl net.core.bpf_jit_enable=1, in a kernel with CONFIG_BPF_JIT"),
        (Some(true), Some(2)) => {
            Check::new(ID, Status::Warning, "on, but hardened for root as well, which slows programs down")
                .remedy("sysctl net.core.bpf_jit_harden=1, which still hardens those of other users")
        }
        (Some(true), _) => Check::new(ID, Status::Ok, "on"),
        (None, _) => {
            let found = "there is no net.core.bpf_jit_enable here, and no program was loaded to see";
            Check::new(ID, Status::Unknown, found)
        }
    }
}

fn btf(node: &Node) -> Check {
    let found = if node.btf { "there" } else { "not there, and not needed" };
    Check::new("btf", Status::Ok, found)
}

fn programs(node: &Node) -> Check {
    const ID: &str = "programs";
    match &node.programs {
        Ok(programs) => {
            let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
            Check::new(ID, Status::Ok, format!("the kernel takes {}", names.join(", ")))
        }
        Err(reason) if !node.root => Check::new(ID, Status::Unknown, reason),
        Err(reason) => Check::new(ID, Status::Missing, reason)
            .remedy("see the error; a kernel's own message names the cause"),
    }
}

fn features(node: &Node) -> Vec<Check> {
    const IDS: [&str; 4] = ["refusal-error", "mptcp-peer-names", "failure-causes", "trace-processes"];
    let features = match &node.features {
        Ok(features) => features,
        Err(reason) => return IDS.map(|id| Check::new(id, Status::Unknown, reason)).to_vec(),
    };
    let refusal = if features.refuses_with_econnrefused {
        Check::new(IDS[0], Status::Ok, "a backend without endpoint refuses with ECONNREFUSED")
    } else {
        Check::new(
            IDS[0],
            Status::Fallback,
            "a backend without endpoint refuses with EPERM; ECONNREFUSED needs 6.0",
        )
    };
    let peers = if features.names_mptcp_peers {
        Check::new(IDS[1], Status::Ok, "getpeername of MPTCP sockets names the dialled address")
    } else {
        Check::new(
            IDS[1],
            Status::Fallback,
            "getpeername of MPTCP sockets names the endpoint; the dialled address needs 5.19",
        )
    };
    let causes = if features.socket_error_offset.is_some() {
        Check::new(IDS[2], Status::Ok, "refused, unreachable and timed out connections are told apart")
    } else {
        let found =
            "connections that fail are not told apart by cause: that needs BTF, of CONFIG_DEBUG_INFO_BTF";
        Check::new(IDS[2], Status::Fallback, found)
    };
    let processes = if features.names_processes {
        Check::new(IDS[3], Status::Ok, "trace names the process that connects")
    } else {
        Check::new(IDS[3], Status::Fallback, "trace does not name the process that connects; that needs 5.7")
    };
    vec![refusal, peers, causes, processes]
}

/// Only asked for by `--drain`.
fn drain(node: &Node) -> Check {
    const ID: &str = "drain";
    match (&node.drain, &node.capabilities) {
        (Ok(()), Ok(capabilities)) if !capabilities.contains(&Capability::CAP_NET_ADMIN) => Check::new(
            ID,
            Status::Fallback,
            "run --drain is refused, since this process may not close connections: that needs CAP_NET_ADMIN",
        ),
        (Ok(()), _) => {
            Check::new(ID, Status::Ok, "run --drain can close connections to endpoints that have left")
        }
        (Err(reason), _) => Check::new(ID, Status::Fallback, format!("run --drain is refused: {reason}")),
    }
}

fn past_sidecars(node: &Node) -> Check {
    const ID: &str = "sidecar";
    let keys = node.features.as_ref().map(|features| features.namespaces);
    match (&node.sidecar, keys) {
        (_, Ok(None)) => Check::new(
            ID,
            Status::Fallback,
            "network namespaces cannot be told apart: before 5.14 that takes a kernel with BTF; pods with a sidecar are not \
             got past it",
        ),
        (Ok(()), _) => Check::new(ID, Status::Ok, "routed connections can be led past a sidecar"),
        (Err(reason), _) => Check::new(
            ID,
            Status::Fallback,
            format!("routed connections of pods with a sidecar are left to it: {reason}"),
        ),
    }
}

fn daemon(node: &Node) -> Check {
    let (status, found) = match node.daemon {
        Some(pid) => (Status::Ok, format!("running with pid {pid}")),
        None if node.root => (Status::Ok, "not running".to_owned()),
        None => (Status::Unknown, "whether one is running, only root sees".to_owned()),
    };
    Check::new("daemon", status, found)
}

#[cfg(test)]
mod tests;
