//! The links that this process holds, as the kernel tells it: a link whose cgroup is gone is there still, and does
//! nothing.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use super::cgroup::CgroupId;

/// How many links to each cgroup there are.
pub fn by_cgroup() -> Result<BTreeMap<CgroupId, usize>> {
    let directory = "/proc/self/fdinfo";
    let mut links = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {directory}"))? {
        // A file may be closed meanwhile.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        if let Some(cgroup) = cgroup_of(&text) {
            *links.entry(cgroup).or_default() += 1;
        }
    }
    Ok(links)
}

/// The cgroup of a link, if the file is a link to a cgroup that is there (proc(5), fdinfo).
fn cgroup_of(fdinfo: &str) -> Option<CgroupId> {
    let field = |name: &str| {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    if field("link_type")? != "cgroup" {
        return None;
    }
    // 0 if it is gone.
    field("cgroup_id")?.parse().ok().filter(|id| *id != 0).map(CgroupId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_from_other_files_and_from_one_whose_cgroup_is_gone() {
        let link = |cgroup| {
            format!(
                "pos:\t0\nflags:\t02000000\nlink_type:\tcgroup\nlink_id:\t7\nprog_tag:\t01\nprog_id:\t5\n\
                 cgroup_id:\t{cgroup}\nattach_type:\t10\n"
            )
        };
        assert_eq!(cgroup_of(&link(1234)), Some(CgroupId::new(1234)));
        assert_eq!(cgroup_of(&link(0)), None);
        assert_eq!(cgroup_of("pos:\t0\nflags:\t02\nmap_type:\t1\n"), None);
    }
}
