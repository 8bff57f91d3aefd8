//! What pods are called by in the cgroup hierarchy.
//!
//! With the systemd driver `kubepods-burstable-pod<uid>.slice`, whose uid has `_` for `-`, with the cgroupfs driver
//! `pod<uid>` (kubelet, `pod_container_manager_linux.go`). The uid of a static pod is the hash of its definition,
//! without dashes.

use std::fmt;

/// The uid of a pod, or the hash of a static one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodUid(Box<str>);

impl PodUid {
    /// `None` if it can be no part of a directory's name.
    pub fn new(text: &str) -> Option<Self> {
        let is_uid = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!text.is_empty() && text.len() <= 64 && text.chars().all(is_uid)).then(|| Self(text.into()))
    }

    /// Whose directory this is, if it is a pod's.
    pub(super) fn of_directory(name: &str) -> Option<Self> {
        match name.strip_suffix(".slice") {
            Some(slice) => {
                let (_, last) = slice.rsplit_once('-')?;
                let uid = last.strip_prefix("pod")?;
                if uid.contains('-') { None } else { Self::new(&uid.replace('_', "-")) }
            }
            // "kubepods" is none.
            None => Self::new(name.strip_prefix("pod")?),
        }
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_tells_whose_it_is_with_either_driver() {
        let uid = "0f7c0a1b-5f3e-4c57-9f0a-7a2b1c3d4e5f";
        let hash = "6f1d0b1e2a3c4d5e6f708192a3b4c5d6";
        let of = |name: &str| PodUid::of_directory(name).map(|uid| uid.to_string());
        for name in [
            format!("pod{uid}"),
            format!("kubepods-besteffort-pod{}.slice", uid.replace('-', "_")),
            format!("kubepods-pod{}.slice", uid.replace('-', "_")),
            format!("kubelet-kubepods-burstable-pod{}.slice", uid.replace('-', "_")),
        ] {
            assert_eq!(of(&name).as_deref(), Some(uid), "{name}");
        }
        for name in [format!("pod{hash}"), format!("kubepods-burstable-pod{hash}.slice")] {
            assert_eq!(of(&name).as_deref(), Some(hash), "{name}");
        }
        for name in [
            "kubepods",
            "kubepods.slice",
            "kubepods-burstable.slice",
            "burstable",
            "pod",
            "pod.slice",
            "kubepods-pod.slice",
            "podman-1234.scope",
            "system.slice",
            "cri-containerd-0f7c.scope",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
