//! Where kube-apiserver and etcd are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The variable by which the tests of controllers are told, as a rule.
const VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// By this xtask tells why it has not built them.
const WITHOUT: &str = "TCPROUTE_WITHOUT_KUBERNETES";

#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) kube_apiserver: PathBuf,
    pub(super) etcd: PathBuf,
}

impl Binaries {
    /// Those that `KUBEBUILDER_ASSETS` names, or else those that xtask has built; if there are none, why not. Whoever
    /// names a directory means the tests to run, so there they must be.
    pub(super) fn find() -> Result<Self, String> {
        if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return Ok(Self::within(Path::new(&named)).unwrap_or_else(|why| panic!("{VARIABLE}: {why}")));
        }
        if let Ok(why) = env::var(WITHOUT) {
            return Err(why);
        }
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target/kubernetes/bin");
        Self::within(&built).map_err(|why| format!("{why}; build them: cargo xtask build-kubernetes"))
    }

    fn within(directory: &Path) -> Result<Self, String> {
        let program = |name| {
            let path = directory.join(name);
            if path.is_file() { Ok(path) } else { Err(format!("no {name} in {}", directory.display())) }
        };
        Ok(Self { kube_apiserver: program("kube-apiserver")?, etcd: program("etcd")? })
    }
}
