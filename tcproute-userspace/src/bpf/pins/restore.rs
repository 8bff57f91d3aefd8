//! Pins that vanish while the daemon runs are pinned again.
//!
//! A directory's stamp changes with each name that comes or goes in it, so looking costs one call for each directory.

use std::{
    collections::BTreeSet,
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use tracing::warn;

use super::{
    NAME, PinDirectory, PinnedLayout, claim,
    claim::Claimed,
    commit,
    directory::{Directory, Entry},
    linked, links,
    links::LINKS,
    tidy,
};
use crate::{
    bpf::{attach_types::HOOKS, sys},
    workloads::cgroups::CgroupId,
};

/// How the links of a cgroup are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinksAre {
    /// As they were left.
    There,
    /// So many were pinned again.
    Again(usize),
    /// Some are neither pinned nor held, so their programs run no more.
    Lost,
}

impl PinDirectory {
    /// Sees to it that the directory is where it is looked for. Otherwise one is made there, in which all is to be
    /// pinned again.
    pub fn look(&self) -> Result<()> {
        let root = claim::root(&self.bpffs)?;
        let own = self.directory().stamp()?;
        if root.stamp_of(NAME)?.is_some_and(|there| there.is_of(&own)) {
            return Ok(());
        }
        let claimed = Rc::new(Claimed::claim(&root)?);
        tidy::tidy(&claimed.directory)?;
        self.former.borrow_mut().push(self.held.replace(claimed));
        self.settled.borrow_mut().clear();
        Ok(())
    }

    /// Whether there are directories with pins that are not all pinned again.
    pub fn has_moved(&self) -> bool {
        !self.former.borrow().is_empty()
    }

    /// Removes the pins that nobody finds any more. To be called when all of them are pinned again.
    pub fn leave_former(&self) {
        for former in self.former.take() {
            let names = former.directory.names().unwrap_or_default();
            for error in names.iter().filter_map(|name| former.directory.remove(name).err()) {
                warn!("{error:#}");
            }
        }
    }

    /// Pins maps again that are not there, and their layout. Answers with how many were not.
    pub(in crate::bpf) fn restore_maps(
        &self,
        maps: &[(String, BorrowedFd)],
        layout: PinnedLayout,
    ) -> Result<usize> {
        let directory = self.directory();
        let before = directory.stamp()?;
        if self.settled.borrow().get(&None) == Some(&before) {
            return Ok(0);
        }
        commit::complete(&directory)?;
        let mut again = 0;
        for (name, map) in maps {
            let id = sys::map_info(map).with_context(|| format!("the map {name} has no number"))?.id;
            match directory.entry(name)? {
                Entry::Nothing => {}
                _ if self.find(name)?.is_some_and(|there| there.info.id == id) => continue,
                _ => tidy::move_aside(&directory, &directory, name.as_ref(), "it is another one")?,
            }
            let pinned = sys::pin(map, &directory.place(name));
            pinned.with_context(|| format!("cannot pin {}", directory.shown(name).display()))?;
            again += 1;
        }
        if self.layout()? != Some(layout) {
            commit::invalidate(&directory)?;
            directory.make_child(layout.name())?;
            again += 1;
        }
        if again == 0 {
            self.settle(None, before);
        }
        Ok(again)
    }

    /// Pins links of a cgroup again that are not there, and holds those that could not be held before.
    pub(in crate::bpf) fn restore_links(&self, cgroup: CgroupId) -> Result<LinksAre> {
        let stamp = match self.directory().child(LINKS)? {
            Some(links) => links.stamp_of(cgroup.to_string())?,
            None => None,
        };
        if stamp.is_some() && self.settled.borrow().get(&Some(cgroup)) == stamp.as_ref() {
            return Ok(LinksAre::There);
        }
        let of_cgroup = self.of_cgroup(cgroup)?;
        let (mut again, mut is_lost, mut is_held) = (0, false, true);
        for (hook, attach_type) in HOOKS {
            let held = self.held_link(cgroup, hook)?;
            let held_linked = held.as_ref().map(linked).transpose()?.flatten();
            let is_right = |link: &OwnedFd| {
                let found = linked(link)?;
                Ok::<_, anyhow::Error>(found.is_some_and(|found| {
                    let same = held_linked.is_none_or(|held| held.id == found.id);
                    same && found.attach_type == attach_type && found.cgroup.is_none_or(|it| it == cgroup)
                }))
            };
            match of_cgroup.entry(hook)? {
                Entry::Nothing => {}
                Entry::Link(link) if is_right(&link)? => {
                    is_held &= held.is_some();
                    continue;
                }
                _ => self.move_broken(&of_cgroup, hook)?,
            }
            let Some(held) = held else {
                tidy::put_right(&self.directory())?;
                is_lost |= self.link(cgroup, hook)?.is_none();
                continue;
            };
            let pinned = sys::pin(held, &of_cgroup.place(hook));
            pinned.with_context(|| format!("cannot pin {}", of_cgroup.shown(hook).display()))?;
            again += 1;
        }
        if is_lost {
            return Ok(LinksAre::Lost);
        }
        if again > 0 {
            return Ok(LinksAre::Again(again));
        }
        if !is_held {
            self.hold_links(cgroup)?;
        }
        if let Some(stamp) = stamp {
            self.settle(Some(cgroup), stamp);
        }
        Ok(LinksAre::There)
    }

    fn move_broken(&self, of_cgroup: &Directory, hook: &str) -> Result<()> {
        self.has_broken.set(true);
        tidy::move_aside(&self.directory(), of_cgroup, hook.as_ref(), "it is another one")
    }

    /// Detaches what was in the place of links. To be called when no links are missing.
    pub fn detach_replaced(&self) -> Result<()> {
        if !self.has_broken.replace(false) {
            return Ok(());
        }
        self.detach_broken(&BTreeSet::new())
    }

    /// What changes from now on changes this stamp, too.
    fn settle(&self, of: Option<CgroupId>, stamp: super::Stamp) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), i64::from(now.subsec_nanos()));
        if stamp.is_settled(now) {
            self.settled.borrow_mut().insert(of, stamp);
        }
    }

    /// A link that is pinned where nobody looks for it.
    fn held_link(&self, cgroup: CgroupId, hook: &str) -> Result<Option<OwnedFd>> {
        if let Some(spare) = &self.spare
            && let Some(link) = links::link(spare, cgroup, hook)?
        {
            return Ok(Some(link));
        }
        for former in self.former.borrow().iter() {
            if let Some(links) = former.directory.child(LINKS)?
                && let Some(link) = links::link(&links, cgroup, hook)?
            {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }

    /// Pins the links of a cgroup a second time, where nobody removes them.
    pub(in crate::bpf) fn hold_links(&self, cgroup: CgroupId) -> Result<()> {
        self.settled.borrow_mut().remove(&Some(cgroup));
        let Some(spare) = &self.spare else { return Ok(()) };
        spare.remove(cgroup.to_string())?;
        let held = spare.make_child(cgroup.to_string())?;
        for (hook, _) in HOOKS {
            if let Some(link) = self.link(cgroup, hook)? {
                sys::pin(link, &held.place(hook)).with_context(|| format!("cannot hold the link {hook}"))?;
            }
        }
        Ok(())
    }
}
