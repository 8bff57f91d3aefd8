//! Links of programs to cgroups, one directory for each cgroup and one name for each hook.

use std::{collections::BTreeSet, ffi::OsStr, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};

use super::directory::{Directory, Entry};
use crate::{bpf::sys, workloads::cgroups::CgroupId};

pub(super) const LINKS: &str = "links";

/// Deeper than that no tcproute makes directories.
const DEPTH: usize = 8;

/// Where links can be looked for by whoever does not hold the pins, whatever happens to their paths.
#[derive(Debug, Clone)]
pub struct LinkDirectories {
    pub(super) pins: Arc<Directory>,
    pub(super) spare: Option<Arc<Directory>>,
}

impl LinkDirectories {
    /// Where the link of this hook may be.
    pub(in crate::bpf) fn places(&self, cgroup: CgroupId, hook: &str) -> impl Iterator<Item = PathBuf> {
        let name = format!("{cgroup}/{hook}");
        let spare = self.spare.as_ref().map(|spare| spare.place(&name));
        spare.into_iter().chain([self.pins.place(format!("{LINKS}/{name}"))])
    }
}

/// What a link attaches to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bpf) struct Linked {
    /// The kernel's number of the link.
    pub(in crate::bpf) id: u32,
    /// `None` if it is gone.
    pub(in crate::bpf) cgroup: Option<CgroupId>,
    pub(in crate::bpf) attach_type: u32,
    /// The kernel's number of the program.
    pub(in crate::bpf) program: u32,
}

/// `None` if it is no link to a cgroup.
pub(in crate::bpf) fn linked(link: &OwnedFd) -> Result<Option<Linked>> {
    let info = sys::cgroup_link(link).context("cannot ask what a link attaches")?;
    Ok(info.map(|sys::LinkInfo { id, program, cgroup, attach_type, .. }| {
        let cgroup = CgroupId::of_link(cgroup);
        Linked { id, cgroup, attach_type, program }
    }))
}

/// The cgroups that have a directory there.
pub(super) fn cgroups(links: &Directory) -> Result<BTreeSet<CgroupId>> {
    let names = links.names()?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// The link that is pinned for a hook, if there is one.
pub(super) fn link(links: &Directory, cgroup: CgroupId, hook: &str) -> Result<Option<OwnedFd>> {
    let Some(of_cgroup) = links.child(cgroup.to_string())? else { return Ok(None) };
    match of_cgroup.entry(hook)? {
        Entry::Link(link) => Ok(Some(link)),
        _ => Ok(None),
    }
}

/// Detaches everything from a cgroup. From here on no program begins to run there.
pub(super) fn remove(links: &Directory, cgroup: CgroupId) -> Result<()> {
    let name = cgroup.to_string();
    if let Some(of_cgroup) = links.child(&name)? {
        // What makes states before what ends them: so their names are sorted.
        for hook in of_cgroup.names()? {
            if let Entry::Link(link) = of_cgroup.entry(&hook)? {
                // Where this fails the kernel detaches by itself what is unpinned, but later.
                let _ = sys::detach_link(link);
            }
        }
    }
    links.remove(&name)
}

/// Finds all links below a directory, in the order of their names.
pub(super) fn each_link(
    top: Directory,
    found: &mut impl FnMut(&Directory, &OsStr, OwnedFd) -> Result<()>,
) -> Result<()> {
    let mut waiting = vec![(top, 0)];
    while let Some((directory, depth)) = waiting.pop() {
        for name in directory.names()? {
            match directory.entry(&name)? {
                Entry::Link(link) => found(&directory, &name, link)?,
                Entry::Directory if depth < DEPTH => {
                    waiting.extend(directory.child(&name)?.map(|child| (child, depth + 1)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
