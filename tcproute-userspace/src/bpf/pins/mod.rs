//! What outlives the daemon: its maps and links, pinned under bpffs.
//!
//! ```text
//! <bpffs>/tcproute/             0700, ours, locked by the daemon
//!     layout-2-2-0/             versions of the tables and of the sockets' states, and the generation of the counts
//!     routes, backends, …       maps, also for `bpftool map dump pinned`
//!     before-<id>               a map `outcomes` that was too small, until its counts are in the map `carried`
//!     links/<cgroup id>/<hook>  one link for each program and workload
//!     broken-<n>/               what was found there that no tcproute has left so
//! ```
//!
//! - `directory`: a directory held open, in which no symbolic link is followed.
//! - `claim`: whose `<bpffs>/tcproute` is.
//! - `tidy`: what is broken in it is moved aside.
//! - `commit`: maps are put in place all together.
//! - `links`: programs at cgroups.
//! - `spare`, `restore`: pins that vanish are pinned again.
//! - `holder`: which daemon has it.

mod claim;
mod commit;
mod directory;
mod holder;
mod links;
mod restore;
mod spare;
mod tidy;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context, Result};
use aya::programs::links::FdLink;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use tracing::warn;

pub use commit::PinnedLayout;
pub use holder::daemon;
pub use links::LinkDirectories;
pub(in crate::bpf) use links::{Linked, linked};
pub use restore::LinksAre;

use super::sys::{self, Kind, MapInfo};
use crate::workloads::cgroups::CgroupId;
use claim::{Claimed, Whose, whose};
use commit::{BEFORE, NEXT};
use directory::{Directory, Entry, Stamp};
use links::LINKS;

pub use spare::SpareBpffs;

/// Of the directory, below the bpffs.
const NAME: &str = "tcproute";

/// The directory of pins, held by this process.
#[derive(Debug)]
pub struct PinDirectory {
    bpffs: PathBuf,
    held: RefCell<Rc<Claimed>>,
    /// Those that were held before, as long as anything of theirs is needed.
    former: RefCell<Vec<Rc<Claimed>>>,
    /// Where links are pinned a second time, by cgroup and hook.
    spare: Option<Arc<Directory>>,
    /// Whether links were moved aside.
    has_broken: Cell<bool>,
    /// Directories that are as they were left, of a cgroup or of all: what changes in them changes their stamps.
    settled: RefCell<HashMap<Option<CgroupId>, Stamp>>,
}

/// A map that is pinned.
#[derive(Debug, Clone, Copy)]
pub(in crate::bpf) struct PinnedMap {
    pub(in crate::bpf) info: MapInfo,
    /// Nothing can be written there any more.
    pub(in crate::bpf) frozen: bool,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// The cgroups from which programs were detached.
    pub cgroups: BTreeSet<CgroupId>,
    /// What could not be removed.
    pub failures: Vec<anyhow::Error>,
}

impl PinDirectory {
    /// Makes the directory, or takes over the one that a daemon has left: what is broken there is moved aside, and what
    /// has been begun is completed or taken back. In `spare` links are pinned a second time.
    pub fn claim(bpffs: &Path, spare: io::Result<SpareBpffs>) -> Result<Self> {
        let mut pins = Self::lock(&claim::root(bpffs)?, bpffs)?;
        tidy::tidy(&pins.directory())?;
        pins.recover()?;
        pins.spare = match spare {
            Ok(SpareBpffs(spare)) => Some(Arc::new(spare)),
            Err(error) => {
                warn!(
                    "pins that others remove will end their programs until they are made anew: no bpffs can be made: {error}"
                );
                None
            }
        };
        Ok(pins)
    }

    /// What a daemon has left, in whatever state, to be removed. `None` if there is nothing of ours.
    pub fn claim_to_remove(bpffs: &Path) -> Result<Option<Self>> {
        let Some(root) = claim::find_root(bpffs)? else { return Ok(None) };
        match whose(&root)? {
            Whose::Ours => Self::lock(&root, bpffs).map(Some),
            Whose::Nobodys => Ok(None),
            Whose::Others(why) => {
                warn!("{} is not tcproute's, {why}: it is left alone", root.shown(NAME).display());
                Ok(None)
            }
            Whose::Covered => {
                let at = root.shown(NAME);
                warn!(
                    "something else is mounted at {0}: end that with `umount {0}` to see what is below",
                    at.display()
                );
                Ok(None)
            }
        }
    }

    fn lock(root: &Directory, bpffs: &Path) -> Result<Self> {
        Ok(Self {
            bpffs: bpffs.to_path_buf(),
            held: RefCell::new(Rc::new(Claimed::claim(root)?)),
            former: RefCell::default(),
            spare: None,
            has_broken: Cell::new(false),
            settled: RefCell::default(),
        })
    }

    fn held(&self) -> Rc<Claimed> {
        Rc::clone(&self.held.borrow())
    }

    fn directory(&self) -> impl std::ops::Deref<Target = Directory> {
        Held(self.held())
    }

    /// Ends what a daemon has begun that was killed: a commit is completed, and all else is taken back.
    fn recover(&self) -> Result<()> {
        commit::complete(&self.directory())?;
        commit::remove_next(&self.directory())?;
        let Some(links) = self.directory().child(LINKS)? else { return Ok(()) };
        links::cgroups(&links)?.into_iter().try_for_each(|cgroup| {
            links.child(cgroup.to_string())?.map_or(Ok(()), |of_cgroup| commit::remove_next(&of_cgroup))
        })
    }

    /// Where the map of that name is, if a daemon has left it there.
    pub fn place(bpffs: &Path, map: &str) -> PathBuf {
        bpffs.join(NAME).join(map)
    }

    /// Where bpf(2) finds the map of that name.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory().place(name)
    }

    /// Where a map is to be pinned that is to take its place.
    pub fn next_map(&self, name: &str) -> PathBuf {
        self.map(&format!("{NEXT}{name}"))
    }

    /// Where the map `outcomes` with that number is to be pinned that is to count on beside a larger one.
    pub fn next_before(&self, id: u32) -> PathBuf {
        self.next_map(&Self::before_name(id))
    }

    /// Its name when it is in place.
    pub(in crate::bpf) fn before_name(id: u32) -> String {
        format!("{BEFORE}{id}")
    }

    /// What is pinned by that name, if it is a map.
    pub(in crate::bpf) fn find(&self, name: &str) -> Result<Option<PinnedMap>> {
        let Entry::Map(map, kind) = self.directory().entry(name)? else { return Ok(None) };
        let info = sys::map_info(&map).with_context(|| format!("cannot ask what the map {name} is like"))?;
        Ok(Some(PinnedMap { info, frozen: kind == Kind::Map { frozen: true } }))
    }

    /// The names of maps whose counts are not carried yet.
    pub fn before(&self) -> Result<Vec<String>> {
        commit::before(&self.directory())
    }

    /// Gives those maps up.
    pub fn remove_before(&self) -> Result<()> {
        commit::remove_before(&self.directory())
    }

    /// Moves something out of the way that cannot be used.
    pub fn move_aside(&self, name: &str, why: &str) -> Result<()> {
        let directory = self.directory();
        tidy::move_aside(&directory, &directory, OsStr::new(name), why)
    }

    /// Puts the maps that were pinned for it in place, and notes their layout: all of it or, if this process is killed
    /// before, nothing.
    pub fn commit(&self, layout: PinnedLayout) -> Result<()> {
        commit::commit(&self.directory(), layout)
    }

    /// Gives up what was pinned to take the place of something.
    pub fn discard_next(&self) -> Result<()> {
        commit::remove_next(&self.directory())
    }

    /// Has a daemon that starts before the next [`commit`](Self::commit) go on with nothing.
    pub fn invalidate(&self) -> Result<()> {
        commit::invalidate(&self.directory())
    }

    /// The layout of what is pinned; `None` if nothing is.
    pub fn layout(&self) -> Result<Option<PinnedLayout>> {
        commit::layout(&self.directory())
    }

    /// Where others can look for links.
    pub fn link_directories(&self) -> Result<LinkDirectories> {
        Ok(LinkDirectories { pins: Arc::new(self.directory().again()?), spare: self.spare.clone() })
    }

    /// The cgroups that have links, in their place or not.
    pub fn cgroups(&self) -> Result<BTreeSet<CgroupId>> {
        let mut found = tidy::broken_cgroups(&self.directory())?;
        if let Some(links) = self.directory().child(LINKS)? {
            found.extend(links::cgroups(&links)?);
        }
        Ok(found)
    }

    /// The link of a program to a cgroup, if it is pinned.
    pub(in crate::bpf) fn link(&self, cgroup: CgroupId, hook: &str) -> Result<Option<OwnedFd>> {
        let links = self.directory().child(LINKS)?;
        links.map_or(Ok(None), |links| links::link(&links, cgroup, hook))
    }

    fn of_cgroup(&self, cgroup: CgroupId) -> Result<Directory> {
        self.directory().make_child(LINKS)?.make_child(cgroup.to_string())
    }

    /// Pins one.
    pub(in crate::bpf) fn pin_link(&self, cgroup: CgroupId, hook: &str, link: FdLink) -> Result<()> {
        let of_cgroup = self.of_cgroup(cgroup)?;
        let pinned = link.pin(of_cgroup.place(hook));
        pinned.with_context(|| format!("cannot pin {}", of_cgroup.shown(hook).display())).map(drop)
    }

    /// Pins one that is to take the place of another, instead of one that was to before and could not.
    pub(in crate::bpf) fn pin_next_link(&self, cgroup: CgroupId, hook: &str, link: FdLink) -> Result<()> {
        let next = format!("{NEXT}{hook}");
        self.remove_link(cgroup, &next)?;
        self.pin_link(cgroup, &next, link)
    }

    /// Puts it there.
    pub(in crate::bpf) fn put_next_link(&self, cgroup: CgroupId, hook: &str) -> Result<()> {
        let of_cgroup = self.of_cgroup(cgroup)?;
        of_cgroup.rename(format!("{NEXT}{hook}"), &of_cgroup, hook)
    }

    /// Removes the pin of one that attaches nothing any more.
    pub(in crate::bpf) fn remove_link(&self, cgroup: CgroupId, hook: &str) -> Result<()> {
        self.of_cgroup(cgroup)?.remove(hook)
    }

    /// Detaches everything from a cgroup. From here on no program begins to run there.
    pub fn remove_links(&self, cgroup: CgroupId) -> Result<()> {
        self.settled.borrow_mut().remove(&Some(cgroup));
        // What has vanished from the one may be in the other.
        self.spare.as_ref().map_or(Ok(()), |spare| links::remove(spare, cgroup))?;
        let links = self.directory().child(LINKS)?;
        links.map_or(Ok(()), |links| links::remove(&links, cgroup))
    }

    /// Detaches what was found in a wrong place, but for these cgroups, which have no other programs yet.
    pub fn detach_broken(&self, but: &BTreeSet<CgroupId>) -> Result<()> {
        tidy::detach_broken(&self.directory(), but)
    }

    /// Detaches everything, frees the maps and removes the directory. What cannot be removed holds nothing else up.
    pub fn remove(self) -> Removed {
        let mut removed = Removed::default();
        let directory = self.directory();
        // First what runs.
        let detached = directory.again().and_then(|top| {
            links::each_link(top, &mut |_, _, link| {
                removed.cgroups.extend(linked(&link)?.and_then(|linked| linked.cgroup));
                // Where this fails the kernel detaches by itself what is unpinned, but later.
                let _ = sys::detach_link(&link);
                Ok(())
            })
        });
        removed.failures.extend(detached.err());
        match directory.names() {
            Ok(names) => {
                removed.failures.extend(names.iter().filter_map(|name| directory.remove(name).err()));
            }
            Err(error) => removed.failures.push(error),
        }
        let gone = claim::root(&self.bpffs).and_then(|root| root.remove(NAME));
        removed.failures.extend(gone.err());
        removed
    }
}

/// The directory, for as long as it is looked at.
struct Held(Rc<Claimed>);

impl std::ops::Deref for Held {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.0.directory
    }
}

/// Where everything is pinned.
pub fn directory(bpffs: &Path) -> PathBuf {
    bpffs.join(NAME)
}

/// Whether there is a bpffs.
pub fn is_mounted(bpffs: &Path) -> bool {
    statfs(bpffs).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

#[cfg(test)]
mod tests;
