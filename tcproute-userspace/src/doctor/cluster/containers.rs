//! Which runtime has made a container, by what its cgroup is called, and where runtimes listen.

use std::path::Path;

use serde::Serialize;

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::doctor) enum Runtime {
    /// containerd.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker, by cri-dockerd.
    Docker,
    /// With the cgroupfs driver containers are called by their ids alone.
    Unnamed,
}

impl Runtime {
    /// Whose container this is, if the cgroup is one's.
    pub(super) fn of_cgroup(name: &str) -> Option<Self> {
        let (name, is_scope) = name.strip_suffix(".scope").map_or((name, false), |name| (name, true));
        // What watches a container of CRI-O is none itself.
        let by_prefix =
            [("cri-containerd-", Self::Containerd), ("crio-", Self::CriO), ("docker-", Self::Docker)];
        let known = by_prefix.into_iter().find(|(prefix, _)| name.strip_prefix(prefix).is_some_and(is_id));
        match known {
            Some((_, runtime)) => Some(runtime),
            None => (!is_scope && is_id(name)).then_some(Self::Unnamed),
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where each listens unless it is told otherwise.
const SOCKETS: [&str; 3] =
    ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"];

/// Those that are there.
pub(super) fn sockets() -> Vec<&'static str> {
    SOCKETS.into_iter().filter(|socket| Path::new(socket).exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_tells_what_has_made_it() {
        let id = "ab".repeat(32);
        for (name, runtime) in [
            (format!("cri-containerd-{id}.scope"), Some(Runtime::Containerd)),
            (format!("crio-{id}.scope"), Some(Runtime::CriO)),
            (format!("crio-{id}"), Some(Runtime::CriO)),
            (format!("docker-{id}.scope"), Some(Runtime::Docker)),
            (id.clone(), Some(Runtime::Unnamed)),
            (format!("crio-conmon-{id}.scope"), None),
            (format!("{id}.scope"), None),
            ("container".to_owned(), None),
            ("cri-containerd-12.scope".to_owned(), None),
        ] {
            assert_eq!(Runtime::of_cgroup(&name), runtime, "{name}");
        }
    }
}
