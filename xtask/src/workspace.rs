//! Where things are: the checkout and what xtask writes into it.

use std::{
    env,
    path::{self, PathBuf},
};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable when it runs xtask, so that a moved checkout is found too.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), PathBuf::from)
}

/// Flags by which a compiler forgets where this checkout and the crates are, so that the same comes out elsewhere.
pub(crate) fn without_own_paths() -> [String; 2] {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    [(root(), "tcproute"), (home.unwrap_or_default(), "cargo")]
        .map(|(path, name)| format!("--remap-path-prefix={}=/{name}", path.display()))
}

/// Cargo's target directory, which the environment may move.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|moved| !moved.is_empty()) {
        // Absolute, since cargo takes a relative one from the directory that it runs in.
        Some(moved) => path::absolute(&moved).unwrap_or_else(|_| moved.into()),
        None => root().join("target"),
    }
}

/// Cargo's target directory for BPF: another one, so that host builds need not wait for its lock.
pub(crate) fn ebpf_target() -> PathBuf {
    target().join("ebpf")
}

/// Where finished eBPF objects lie. `tcproute-userspace/build.rs` looks here, wherever cargo's target directory is.
pub(crate) fn objects() -> PathBuf {
    root().join("target/bpf")
}

/// Where kube-apiserver and etcd lie, those that tests look for in `bin`, wherever cargo's target directory is.
pub(crate) fn kubernetes() -> PathBuf {
    root().join("target/kubernetes")
}

/// Where Go keeps what it has compiled, until programs are built.
pub(crate) fn go_cache() -> PathBuf {
    root().join("target/go-cache")
}

/// Where Helm and kustomize lie, likewise.
pub(crate) fn helm() -> PathBuf {
    root().join("target/helm")
}

/// Where the other programs of a cluster lie, wherever cargo's target directory is.
pub(crate) fn kubernetes_node() -> PathBuf {
    root().join("target/kubernetes-node")
}

/// Where Envoy lies, and tests look for it, wherever cargo's target directory is.
pub(crate) fn envoy() -> PathBuf {
    root().join("target/envoy")
}

/// Where applications lie that come from registries, likewise.
pub(crate) fn applications() -> PathBuf {
    root().join("target/applications")
}

/// Where benchmarks write their figures.
pub(crate) fn figures() -> PathBuf {
    target().join("bench")
}

/// Where xtask installs the tools that it builds itself.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}
