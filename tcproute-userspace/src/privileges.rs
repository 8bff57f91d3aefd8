//! What the daemon may do: it gives up whatever it does not need before it starts any thread, for good.

use anyhow::{Context, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;

/// What is needed (capabilities(7)): maps and programs, attaching them, and reading events. To visit other
/// network namespaces takes more.
fn needed(visits: bool, has_bpf: bool) -> CapsHashSet {
    let mut needed = CapsHashSet::from([Capability::CAP_NET_ADMIN]);
    if has_bpf {
        needed.extend([Capability::CAP_BPF, Capability::CAP_PERFMON]);
    } else {
        // Kernels before 5.8 do not tell them apart.
        needed.extend([Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_RESOURCE]);
    }
    if visits {
        needed.extend([Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE]);
    }
    needed
}

/// Gives up all others, also those that a program could gain by being executed. To be called while this process has one
/// thread.
pub fn keep_needed(visits: bool) -> Result<()> {
    set_no_new_privs().context("cannot rule out new privileges")?;
    let supported = caps::runtime::procfs_all_supported(None);
    let has_bpf = supported.map_or(true, |all| all.contains(&Capability::CAP_BPF));
    let needed = needed(visits, has_bpf);
    let permitted = caps::read(None, CapSet::Permitted).context("cannot read the capabilities")?;
    if permitted.contains(&Capability::CAP_SETPCAP) {
        let bounding = caps::read(None, CapSet::Bounding).context("cannot read the capabilities")?;
        for &capability in bounding.difference(&needed) {
            caps::drop(None, CapSet::Bounding, capability)
                .with_context(|| format!("cannot give up {capability}"))?;
        }
    }
    // Not every kernel has ambient ones.
    let _ = caps::clear(None, CapSet::Ambient);
    let kept: CapsHashSet = permitted.intersection(&needed).copied().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).context("cannot give up capabilities")?;
    }
    caps::clear(None, CapSet::Inheritable).context("cannot give up capabilities")
}

/// Those that are in effect.
pub fn effective() -> Result<CapsHashSet> {
    caps::read(None, CapSet::Effective).context("cannot read the capabilities")
}

/// Whether these are enough to load programs and to attach them. The kernel takes CAP_SYS_ADMIN for all of them.
pub fn can_load(capabilities: &CapsHashSet) -> bool {
    capabilities.contains(&Capability::CAP_SYS_ADMIN) || needed(false, true).is_subset(capabilities)
}

/// Their names, sorted.
pub fn names(capabilities: &CapsHashSet) -> Vec<String> {
    let mut names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_feature_needs_is_added() {
        let names = |visits, has_bpf| names(&needed(visits, has_bpf)).join(" ");
        assert_eq!(names(false, true), "CAP_BPF CAP_NET_ADMIN CAP_PERFMON");
        assert_eq!(names(true, true), "CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_PTRACE");
        assert_eq!(names(false, false), "CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYS_RESOURCE");
    }
}
