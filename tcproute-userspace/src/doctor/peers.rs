//! Others that decide where connections go: whose programs are known by what they are called, and whether both get
//! along.
//!
//! Cilium: `pkg/socketlb/cgroup.go`. Calico: `felix/bpf-gpl/connect_balancer*.c`, of which the name was another one
//! before 3.22. Kmesh: `bpf/kmesh/{ads,workload}/`.

use serde::Serialize;

use crate::bpf::attached::AttachedProgram;

/// Whose programs are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Peer {
    /// Its load balancing of sockets.
    Cilium,
    /// Its connect-time load balancer.
    Calico,
    /// Either of its modes.
    Kmesh,
}

/// What programs are called, as far as the kernel keeps it: 15 characters.
const NAMES: [(&str, Peer); 4] = [
    ("cil_sock", Peer::Cilium),
    ("calico_connect_", Peer::Calico),
    ("cali_ctlb_", Peer::Calico),
    ("cgroup_connect", Peer::Kmesh),
];

/// The map of Kmesh that each of its programs has. What its programs are called, others' may be as well.
const OF_KMESH: &str = "map_of_manager";

impl Peer {
    /// Whose program it is.
    pub(super) fn of(program: &AttachedProgram) -> Option<Self> {
        let is_kmeshs = || program.maps.iter().any(|map| map == OF_KMESH);
        if program.name == "sockops_prog" && is_kmeshs() {
            return Some(Self::Kmesh);
        }
        let (_, peer) = NAMES.into_iter().find(|(name, _)| program.name.starts_with(name))?;
        (peer != Self::Kmesh || is_kmeshs()).then_some(peer)
    }

    /// What people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cilium => "Cilium's socket load balancer",
            Self::Calico => "Calico's connect-time load balancer",
            Self::Kmesh => "Kmesh",
        }
    }

    /// Whether both get along where its programs are above a workload, and why.
    pub(super) const fn gets_along(self) -> (bool, &'static str) {
        match self {
            Self::Cilium | Self::Calico => (
                true,
                "both get along: tcproute sees the dialled address first, and the endpoint that it writes is no service \
                 to be translated",
            ),
            Self::Kmesh => (
                false,
                "it knows endpoints, too, and leads connections on to a waypoint if there is one; the outcome counts as \
                 led elsewhere",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::bpf::AttachMode;

    fn peer(name: &str, maps: &[&str]) -> Option<Peer> {
        Peer::of(&AttachedProgram {
            cgroup: PathBuf::from("/sys/fs/cgroup"),
            hook: "connect4",
            mode: AttachMode::Multi,
            id: 7,
            name: name.to_owned(),
            maps: maps.iter().map(|&map| map.to_owned()).collect(),
            ours: false,
        })
    }

    #[test]
    fn programs_are_known_by_what_the_kernel_keeps_of_their_names() {
        for name in ["cil_sock4_conne", "cil_sock6_getpe", "cil_sock_"] {
            assert_eq!(peer(name, &[]), Some(Peer::Cilium), "{name}");
        }
        for name in ["calico_connect_", "cali_ctlb_v4"] {
            assert_eq!(peer(name, &[]), Some(Peer::Calico), "{name}");
        }
        for name in ["cgroup_connect4", "cgroup_connect6", "sockops_prog"] {
            assert_eq!(peer(name, &["kmesh_map64", "map_of_manager"]), Some(Peer::Kmesh), "{name}");
            assert_eq!(peer(name, &[]), None, "{name} may be anybody's");
        }
        for name in ["connect4", "rewriter", "my_cil_sock4", ""] {
            assert_eq!(peer(name, &["map_of_manager"]), None, "{name}");
        }
    }
}
