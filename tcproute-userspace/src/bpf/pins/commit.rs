//! Putting maps in place all together, and what they are like: names in the directory of pins.
//!
//! What is pinned as `next-<name>` is not in force. Once there is a directory `next-layout-…` it is committed: whoever
//! finds that completes it.

use anyhow::Result;
use tcproute_common::LayoutVersion;
use tracing::warn;

use super::directory::Directory;

/// What the maps that are pinned are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedLayout {
    /// What is in them.
    pub version: LayoutVersion,
    /// Of the map `outcomes`: raised whenever that is made anew.
    pub generation: u8,
}

pub(super) const NEXT: &str = "next-";

pub(super) const LAYOUT: &str = "layout-";

pub(super) const BEFORE: &str = "before-";

impl PinnedLayout {
    /// The name of its directory.
    pub(super) fn name(self) -> String {
        let Self { version, generation } = self;
        format!("{LAYOUT}{}-{}-{generation}", version.tables, version.states)
    }

    /// What a directory of that name says.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix(LAYOUT)?.split('-');
        let version =
            LayoutVersion { tables: numbers.next()?.parse().ok()?, states: numbers.next()?.parse().ok()? };
        let layout = Self { version, generation: numbers.next()?.parse().ok()? };
        (layout.name() == name).then_some(layout)
    }
}

/// The layout of what is pinned; `None` if nothing is.
pub(super) fn layout(directory: &Directory) -> Result<Option<PinnedLayout>> {
    Ok(names(directory)?.iter().find_map(|name| PinnedLayout::parse(name)))
}

/// Puts the maps that were pinned for it in place, and notes their layout: all of it or, if this process is killed
/// before, nothing. Where it fails nothing has changed; what is decided and cannot be completed yet is completed when
/// pins are looked at.
pub(super) fn commit(directory: &Directory, layout: PinnedLayout) -> Result<()> {
    let layout = layout.name();
    let names = names(directory)?;
    if names.contains(&layout) && !names.iter().any(|name| name.starts_with(NEXT)) {
        return Ok(());
    }
    directory.make(format!("{NEXT}{layout}"))?;
    if let Err(error) = complete(directory) {
        warn!("new maps are not all in place yet: {error:#}");
    }
    Ok(())
}

/// Puts what was committed in place.
pub(super) fn complete(directory: &Directory) -> Result<()> {
    let names = names(directory)?;
    let (next, present): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| name.starts_with(NEXT));
    let put = |name: &str| directory.rename(name, directory, name.trim_start_matches(NEXT));
    let (layouts, mut maps): (Vec<&str>, Vec<&str>) =
        next.into_iter().partition(|name| name.trim_start_matches(NEXT).starts_with(LAYOUT));
    let [committed] = layouts[..] else { return Ok(()) };
    // As long as one is missing it can be seen whether these maps go on from others.
    let goes_on = |name: &&str| name.trim_start_matches(NEXT).starts_with(BEFORE);
    maps.sort_by_key(goes_on);
    if maps.last().is_some_and(|last| !goes_on(last)) {
        remove_before(directory)?;
    }
    maps.into_iter().try_for_each(put)?;
    present
        .into_iter()
        .filter(|name| name.starts_with(LAYOUT))
        .try_for_each(|name| directory.remove(name))?;
    put(committed)
}

/// The maps whose counts are not carried yet.
pub(super) fn before(directory: &Directory) -> Result<Vec<String>> {
    Ok(names(directory)?.into_iter().filter(|name| name.starts_with(BEFORE)).collect())
}

/// Gives those maps up.
pub(super) fn remove_before(directory: &Directory) -> Result<()> {
    before(directory)?.iter().try_for_each(|name| directory.remove(name))
}

/// Has a daemon that starts before the next commit go on with nothing.
pub(super) fn invalidate(directory: &Directory) -> Result<()> {
    let names = names(directory)?;
    let mut layouts = names.iter().filter(|name| name.starts_with(LAYOUT));
    layouts.try_for_each(|name| directory.remove(name))
}

/// Gives up what was pinned to take the place of something.
pub(super) fn remove_next(directory: &Directory) -> Result<()> {
    let names = names(directory)?;
    let mut next = names.iter().filter(|name| name.starts_with(NEXT));
    next.try_for_each(|name| directory.remove(name))
}

/// Names that a tcproute may have given.
fn names(directory: &Directory) -> Result<Vec<String>> {
    Ok(directory.names()?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_tcproute_has_written_is_a_layout() {
        let layout = PinnedLayout { version: LayoutVersion { tables: 2, states: 1 }, generation: 255 };
        assert_eq!(PinnedLayout::parse(&layout.name()), Some(layout));
        for name in
            ["layout-x", "layout-2-1-300", "layout-2-1", "layout-2-1-0-0", "layout-02-1-0", "routes", ""]
        {
            assert_eq!(PinnedLayout::parse(name), None, "{name}");
        }
    }
}
