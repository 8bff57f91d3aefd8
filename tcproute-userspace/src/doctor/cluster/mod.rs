//! What a node of a cluster has beyond what any node has: how kubelet keeps its pods, and what runs them.
//!
//! - `containers`: whose cgroup is a container's. Pure.
//! - `sidecars`: the proxies of pods and what they redirect; `bootstrap`: of which version one is.

mod bootstrap;
mod containers;
pub(super) mod sidecars;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{netns, workloads::pods::PodsOfNode};
pub(super) use bootstrap::Versions;
pub(super) use containers::Runtime;

/// How kubelet names cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Driver {
    /// As slices of systemd.
    Systemd,
    /// As it likes.
    Cgroupfs,
}

/// The pods of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Where they are, and so how kubelet names cgroups. None where kubelet has made none.
    pub(super) roots: BTreeMap<PathBuf, Driver>,
    /// Where they are in hierarchies of cgroup v1, which tcproute does not see.
    pub(super) in_v1: Vec<PathBuf>,
    /// The directories of pods.
    pub(super) pods: Vec<PathBuf>,
    /// How many containers there are of each runtime.
    pub(super) containers: BTreeMap<Runtime, usize>,
    /// Sockets of runtimes that are there.
    pub(super) sockets: Vec<&'static str>,
    /// How many processes of pods are outside of this PID namespace.
    pub(super) hidden: usize,
    /// What cannot be told, and why.
    pub(super) blind: Option<String>,
}

impl Cluster {
    /// Looks at this node; `None` if it is none of a cluster: kubelet neither runs nor has made cgroups.
    pub(super) fn read(cgroup2: &Path) -> Option<Self> {
        let PodsOfNode { roots, pods, blind } = PodsOfNode::look(cgroup2);
        let asked = if roots.is_empty() { roots_of_v1() } else { Ok(Vec::new()) };
        let (in_v1, unread) = match asked {
            Ok(in_v1) => (in_v1, None),
            Err(error) => (Vec::new(), Some(format!("{MOUNTS}: {error}"))),
        };
        if roots.is_empty() && in_v1.is_empty() && !runs("kubelet") {
            return None;
        }
        let mut this = Self {
            roots: roots
                .into_iter()
                .map(|root| (driver(&root), root))
                .map(|(driver, root)| (root, driver))
                .collect(),
            in_v1,
            pods: pods.into_iter().map(|(_, directory)| directory).collect(),
            sockets: containers::sockets(),
            blind: blind.first().map(|(path, error)| format!("{}: {error}", path.display())).or(unread),
            ..Self::default()
        };
        for pod in &this.pods {
            for cgroup in netns::tree(pod) {
                let runtime = cgroup.file_name().and_then(|name| Runtime::of_cgroup(name.to_str()?));
                if let Some(runtime) = runtime {
                    *this.containers.entry(runtime).or_default() += 1;
                }
                // As such processes are listed (cgroups(7)).
                let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
                this.hidden += processes.lines().filter(|line| *line == "0").count();
            }
        }
        Some(this)
    }
}

fn driver(root: &Path) -> Driver {
    let is_slice = root.extension().is_some_and(|extension| extension == "slice");
    if is_slice { Driver::Systemd } else { Driver::Cgroupfs }
}

/// The directories of all pods in hierarchies of cgroup v1, of which kubelet has one in each.
fn roots_of_v1() -> io::Result<Vec<PathBuf>> {
    let mountinfo = fs::read_to_string(MOUNTS)?;
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        file_system.starts_with("cgroup ").then(|| mount.split(' ').nth(4)).flatten()
    });
    let root = |mount: &str| {
        let names = ["kubepods", "kubepods.slice"].into_iter();
        names.map(|name| Path::new(mount).join(name)).find(|root| root.is_dir())
    };
    Ok(mounts.filter_map(root).collect())
}

/// Where mounts are listed (proc(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Whether there is a process of this name.
fn runs(name: &str) -> bool {
    processes().any(|process| command(process).as_deref() == Some(name))
}

/// All processes that this one sees.
fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process is called.
fn command(process: u32) -> Option<String> {
    // It may be any bytes.
    let name = fs::read(format!("/proc/{process}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_seen_from_the_name_of_the_directory() {
        assert_eq!(driver(Path::new("/sys/fs/cgroup/kubepods.slice")), Driver::Systemd);
        assert_eq!(driver(Path::new("/c/kubelet.slice/kubelet-kubepods.slice")), Driver::Systemd);
        assert_eq!(driver(Path::new("/sys/fs/cgroup/kubepods")), Driver::Cgroupfs);
    }
}
