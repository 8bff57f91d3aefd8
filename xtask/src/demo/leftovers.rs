//! What a run of the demo must not leave behind.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::refused::is_refused;

/// Fails if a cgroup of such a name is there, or if something still listens.
pub(super) fn check(cgroups: &[String], addresses: &[SocketAddr]) -> Result<()> {
    for mount in cgroup2()? {
        if let Some(left) = find(&mount, cgroups) {
            bail!("the cgroup {} is left", left.display());
        }
    }
    for &address in addresses {
        if !is_refused(address)? {
            bail!("something still listens at {address}");
        }
    }
    Ok(())
}

/// Where cgroup2 is mounted.
pub(super) fn cgroup2() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    Ok(cgroup2_mounts(&mounts))
}

fn cgroup2_mounts(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').skip(1));
    fields
        .filter_map(|mut rest| Some((rest.next()?, rest.next()?)))
        .filter(|(_, file_system)| *file_system == "cgroup2")
        .map(|(point, _)| point.into())
        .collect()
}

/// The first directory of such a name below this one.
fn find(directory: &Path, names: &[String]) -> Option<PathBuf> {
    // Cgroups come and go meanwhile: one that cannot be read is gone.
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.into_iter().find_map(|entry| {
        let is_named = names.iter().any(|name| entry.file_name() == name.as_str());
        if is_named { Some(entry.path()) } else { find(&entry.path(), names) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_beside_cgroup1() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mounts(mounts), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn directories_are_found_at_any_depth() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(find(here, &["demo".to_owned()]), Some(here.join("src/demo")));
        assert_eq!(find(here, &["tcproute-exec-1".to_owned()]), None);
    }
}
