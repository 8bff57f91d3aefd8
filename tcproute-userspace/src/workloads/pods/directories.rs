//! Where the directories of pods are: below `kubepods` or `kubepods.slice`, which may lie in the cgroup of a node that
//! is itself a container (kind), perhaps with a directory for a QoS class between.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::PodUid;

/// How deep the directory of all pods may lie: `docker/<id>/kubelet.slice/kubelet-kubepods.slice`.
const DEPTH: usize = 4;

/// How often that is looked for again while pods are missed.
const SOON: Duration = Duration::from_secs(1);

/// And elsewhere.
const LATER: Duration = Duration::from_secs(30);

/// Finds them, and remembers where to look.
#[derive(Debug, Default)]
pub(super) struct Directories {
    /// The directories of all pods.
    roots: BTreeSet<PathBuf>,
    looked: Option<Instant>,
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct PodDirectories {
    pub(super) pods: Vec<(PodUid, PathBuf)>,
    /// Where it cannot be told what there is.
    pub(super) blind: Vec<(PathBuf, io::Error)>,
}

impl Directories {
    /// All of them. `in_need` is whether any is missed.
    pub(super) fn look(&mut self, mount: &Path, in_need: bool) -> PodDirectories {
        let mut found = PodDirectories::default();
        let patience = if in_need { SOON } else { LATER };
        if self.looked.is_none_or(|looked| looked.elapsed() >= patience) {
            self.looked = Some(Instant::now());
            self.roots.clear();
            find_roots(mount, DEPTH, &mut self.roots, &mut found.blind);
        }
        for root in &self.roots {
            for directory in subdirectories(root, &mut found.blind) {
                let Some(name) = directory.file_name().and_then(|name| name.to_str()) else { continue };
                match PodUid::of_directory(name) {
                    Some(uid) => found.pods.push((uid, directory)),
                    None if is_qos_class(name) => {
                        let pods = subdirectories(&directory, &mut found.blind).into_iter();
                        found.pods.extend(pods.filter_map(|directory| {
                            let uid = PodUid::of_directory(directory.file_name()?.to_str()?)?;
                            Some((uid, directory))
                        }));
                    }
                    None => {}
                }
            }
        }
        found
    }

    /// The directories of all pods.
    pub(super) const fn roots(&self) -> &BTreeSet<PathBuf> {
        &self.roots
    }

    /// Where pods appear, and where the directory of all of them would.
    pub(super) fn above(&self, mount: &Path) -> BTreeSet<PathBuf> {
        let mut above = self.roots.clone();
        for root in &self.roots {
            let qos = subdirectories(root, &mut Vec::new()).into_iter();
            above.extend(
                qos.filter(|qos| qos.file_name().and_then(|name| name.to_str()).is_some_and(is_qos_class)),
            );
        }
        if above.is_empty() {
            above.insert(mount.to_path_buf());
        }
        above
    }
}

fn is_root(name: &str) -> bool {
    let slice = name.strip_suffix(".slice");
    name == "kubepods" || slice.is_some_and(|slice| slice == "kubepods" || slice.ends_with("-kubepods"))
}

fn is_qos_class(name: &str) -> bool {
    let slice = name.strip_suffix(".slice").and_then(|slice| slice.rsplit_once('-')).map(|(_, last)| last);
    matches!(slice.unwrap_or(name), "burstable" | "besteffort")
}

/// The cgroups in which a node or kubelet may be.
fn may_lead_there(name: &str) -> bool {
    name == "kubelet"
        || name.strip_suffix(".slice").is_some()
        || name.starts_with("docker")
        || name.starts_with("libpod")
        || is_id(name)
}

/// As the directory of a container is called.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn find_roots(
    directory: &Path,
    depth: usize,
    roots: &mut BTreeSet<PathBuf>,
    blind: &mut Vec<(PathBuf, io::Error)>,
) {
    for inner in subdirectories(directory, blind) {
        let Some(name) = inner.file_name().and_then(|name| name.to_str()) else { continue };
        if is_root(name) {
            roots.insert(inner);
        } else if depth > 1 && may_lead_there(name) {
            find_roots(&inner, depth - 1, roots, blind);
        }
    }
}

/// One that is not there has none.
fn subdirectories(directory: &Path, blind: &mut Vec<(PathBuf, io::Error)>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            blind.push((directory.to_path_buf(), error));
            return Vec::new();
        }
    };
    let mut all = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => all.push(entry.path()),
            Ok(_) => {}
            // It vanishes while it is read.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {}
            Err(error) => blind.push((directory.to_path_buf(), error)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f7c0a1b-5f3e-4c57-9f0a-7a2b1c3d4e5f";

    fn found(paths: &[String]) -> Vec<String> {
        let mount = tempfile::tempdir().unwrap();
        for path in paths {
            fs::create_dir_all(mount.path().join(path)).unwrap();
        }
        let PodDirectories { pods, blind } = Directories::default().look(mount.path(), true);
        assert!(blind.is_empty(), "{blind:?}");
        let below = |path: &Path| path.strip_prefix(mount.path()).unwrap().display().to_string();
        let mut found: Vec<String> =
            pods.iter().map(|(uid, path)| format!("{uid} {}", below(path))).collect();
        found.sort();
        found
    }

    #[test]
    fn pods_are_found_with_both_drivers_in_all_classes_and_in_nodes_that_are_containers() {
        let slice = UID.replace('-', "_");
        let id = "ab".repeat(32);
        for path in [
            format!("kubepods/pod{UID}"),
            format!("kubepods/besteffort/pod{UID}"),
            format!("kubepods.slice/kubepods-pod{slice}.slice"),
            format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice"),
            format!("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{slice}.slice"),
            format!(
                "system.slice/docker-{id}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-pod{slice}.slice"
            ),
            format!("docker/{id}/kubelet/kubepods/burstable/pod{UID}"),
        ] {
            let containers = [format!("{path}/cri-containerd-{id}.scope"), format!("{path}/{id}/inner")];
            assert_eq!(found(&containers), [format!("{UID} {path}")]);
        }
        assert!(found(&["system.slice/a.service".to_owned(), "user.slice/pod1".to_owned()]).is_empty());
    }
}
