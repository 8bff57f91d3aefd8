//! What is broken in the directory of pins is moved aside before anything there is used, and told.
//!
//! It goes to `broken-<n>/`. A link in the wrong place still has its program attached: it is put where it belongs, or
//! if there is another one it goes on until all are attached. What else is there is left to whoever has put it there,
//! until `tcproute detach`.

use std::{collections::BTreeSet, ffi::OsStr, os::fd::OwnedFd};

use anyhow::{Result, bail};
use tracing::{debug, warn};

use super::{
    commit::{LAYOUT, NEXT, PinnedLayout, invalidate, remove_next},
    directory::{Directory, Entry},
    links::{self, LINKS, Linked, each_link, linked},
};
use crate::{
    bpf::{attach_types::HOOKS, sys},
    workloads::cgroups::CgroupId,
};

const BROKEN: &str = "broken-";

/// Moves aside what no tcproute has left like this. What is not left whole is not gone on with.
pub(super) fn tidy(directory: &Directory) -> Result<()> {
    let mut is_whole = true;
    let mut layouts = 0;
    let mut next_layouts = 0;
    for name in directory.names()? {
        let text = name.to_str().unwrap_or_default();
        let plain = text.strip_prefix(NEXT).unwrap_or(text);
        let entry = directory.entry(&name)?;
        let wrong = match entry {
            Entry::Directory if text == LINKS || is_broken(&name) => None,
            Entry::Directory if PinnedLayout::parse(plain).is_some() => {
                *(if text == plain { &mut layouts } else { &mut next_layouts }) += 1;
                None
            }
            Entry::Map(..) if text != LINKS && !plain.starts_with(LAYOUT) => None,
            Entry::Nothing => None,
            Entry::Directory => Some("it is a directory".to_owned()),
            Entry::Map(..) => Some("it is a map".to_owned()),
            Entry::Link(_) => Some("it is a link".to_owned()),
            Entry::Foreign(why) => Some(why),
        };
        if let Some(why) = wrong {
            is_whole &= !(text.starts_with(NEXT) || text.starts_with(LAYOUT));
            move_aside(directory, directory, &name, &why)?;
        }
    }
    if layouts > 1 || next_layouts > 1 || !is_whole {
        warn!("{directory} has not one layout: new maps are made");
        invalidate(directory)?;
        remove_next(directory)?;
    }
    if let Some(links) = directory.child(LINKS)? {
        tidy_links(directory, &links)?;
    }
    put_right(directory)
}

/// Puts links that were moved aside where they belong, if nothing is there.
pub(super) fn put_right(directory: &Directory) -> Result<()> {
    each_broken(directory, &mut |inside, name, link| {
        let Some((cgroup, hook)) = linked(&link)?.and_then(place_of) else { return Ok(()) };
        let of_cgroup = directory.make_child(LINKS)?.make_child(cgroup.to_string())?;
        match inside.rename_to_free(name, &of_cgroup, hook.as_ref()) {
            Ok(()) => warn!("{} is in its place again", of_cgroup.shown(hook).display()),
            // It stays aside, and is detached when another one is there.
            Err(error) => debug!("{} is not put in its place: {error}", inside.shown(name).display()),
        }
        Ok(())
    })
}

/// The cgroup and the hook.
fn place_of(linked: Linked) -> Option<(CgroupId, &'static str)> {
    let (hook, _) = HOOKS.iter().find(|(_, attach_type)| *attach_type == linked.attach_type)?;
    Some((linked.cgroup?, hook))
}

/// Each link that was moved aside.
fn each_broken(
    directory: &Directory,
    found: &mut impl FnMut(&Directory, &OsStr, OwnedFd) -> Result<()>,
) -> Result<()> {
    for name in directory.names()?.iter().filter(|name| is_broken(name)) {
        if let Some(broken) = directory.child(name)? {
            each_link(broken, found)?;
        }
        directory.remove_empty(name);
    }
    Ok(())
}

fn tidy_links(directory: &Directory, links: &Directory) -> Result<()> {
    for name in links.names()? {
        let number = name.to_str().and_then(|name| name.parse::<CgroupId>().ok());
        let cgroup = match (number, links.entry(&name)?) {
            (Some(cgroup), Entry::Directory) => cgroup,
            (None, Entry::Directory) => {
                move_aside(directory, links, &name, "it is no cgroup's number")?;
                continue;
            }
            (_, Entry::Nothing) => continue,
            (_, _) => {
                move_aside(directory, links, &name, "it is no directory")?;
                continue;
            }
        };
        let Some(of_cgroup) = links.child(&name)? else { continue };
        for hook in of_cgroup.names()? {
            if let Some(why) = wrong_link(&of_cgroup, &hook, cgroup)? {
                move_aside(directory, &of_cgroup, &hook, &why)?;
            }
        }
    }
    Ok(())
}

/// Why it is not the link that its name says.
fn wrong_link(of_cgroup: &Directory, name: &OsStr, cgroup: CgroupId) -> Result<Option<String>> {
    let text = name.to_str().unwrap_or_default();
    let hook = text.strip_prefix(NEXT).unwrap_or(text);
    let Some((_, attach_type)) = HOOKS.iter().find(|(known, _)| *known == hook) else {
        return Ok(Some("no program is called so".to_owned()));
    };
    let link = match of_cgroup.entry(name)? {
        Entry::Link(link) => link,
        Entry::Nothing => return Ok(None),
        Entry::Foreign(why) => return Ok(Some(why)),
        Entry::Directory => return Ok(Some("it is a directory".to_owned())),
        Entry::Map(..) => return Ok(Some("it is a map".to_owned())),
    };
    let is_right = linked(&link)?.is_some_and(|found| {
        found.attach_type == *attach_type && found.cgroup.is_none_or(|found| found == cgroup)
    });
    Ok((!is_right).then(|| "it is a link to something else".to_owned()))
}

/// To `broken-<n>`, whichever has no such name yet.
pub(super) fn move_aside(directory: &Directory, from: &Directory, name: &OsStr, why: &str) -> Result<()> {
    let at = from.shown(name);
    if from.remove_empty(name) {
        warn!("{} is not in its place, {why}: it was empty and is removed", at.display());
        return Ok(());
    }
    for number in 1..=u32::from(u16::MAX) {
        let broken = directory.make_child(format!("{BROKEN}{number}"))?;
        match from.rename_to_free(name, &broken, name) {
            Ok(()) => {
                warn!(
                    "{} is not in its place, {why}: it is moved to {}",
                    at.display(),
                    broken.shown(name).display()
                );
                return Ok(());
            }
            Err(nix::errno::Errno::ENOENT) => return Ok(()),
            Err(nix::errno::Errno::EEXIST) => {}
            Err(error) => {
                bail!("{} is not in its place, {why}, and cannot be moved aside: {error}", at.display())
            }
        }
    }
    bail!("{} is not in its place, {why}, and {directory} is full of what was not: empty it", at.display())
}

/// Detaches what programs were moved aside, but for these cgroups, which have no others yet.
pub(super) fn detach_broken(directory: &Directory, but: &BTreeSet<CgroupId>) -> Result<()> {
    let links = directory.child(LINKS)?;
    each_broken(directory, &mut |inside, name, link| {
        let found = linked(&link)?;
        if found.and_then(|found| found.cgroup).is_some_and(|cgroup| but.contains(&cgroup)) {
            return Ok(());
        }
        if !is_in_place(links.as_ref(), found)? {
            // Where this fails the kernel detaches by itself what is unpinned, but later.
            let _ = sys::detach_link(&link);
        }
        inside.remove(name)
    })
}

/// Whether the same link is pinned where it belongs, too.
fn is_in_place(links: Option<&Directory>, found: Option<Linked>) -> Result<bool> {
    let (Some(links), Some(found)) = (links, found) else { return Ok(false) };
    let Some((cgroup, hook)) = place_of(found) else { return Ok(false) };
    let Some(there) = links::link(links, cgroup, hook)? else { return Ok(false) };
    Ok(linked(&there)?.is_some_and(|there| there.id == found.id))
}

/// The cgroups to which links that were moved aside attach programs.
pub(super) fn broken_cgroups(directory: &Directory) -> Result<BTreeSet<CgroupId>> {
    let mut found = BTreeSet::new();
    each_broken(directory, &mut |_, _, link| {
        found.extend(linked(&link)?.and_then(|linked| linked.cgroup));
        Ok(())
    })?;
    Ok(found)
}

fn is_broken(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix(BROKEN));
    number.is_some_and(|number| number.parse::<u16>().is_ok())
}
