//! Which cgroups count as there. Pure.

use std::{collections::BTreeMap, io, path::PathBuf};

use rustc_hash::FxHashSet;

use super::{Found, cgroups::CgroupId};
use crate::known::Known;

/// The cgroups that count as there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) found: Vec<Found>,
    /// Where cgroups could not be looked for.
    pub(super) blind: Vec<String>,
    /// Those that were looked for and not seen, and yet are not gone, and why not.
    pub(super) lingering: BTreeMap<CgroupId, String>,
}

impl Presence {
    /// Gone is what was not seen where all could be seen, and of which the kernel says the same when it is asked in
    /// another way.
    pub(super) fn of(
        before: &[Found],
        found: Vec<Found>,
        blind: &[(PathBuf, io::Error)],
        mut is_there: impl FnMut(&Found) -> Known<()>,
    ) -> Self {
        let at = |(at, error): &(PathBuf, io::Error)| {
            format!("cannot tell which cgroups there are in {}: {error}", at.display())
        };
        let mut presence = Self { blind: blind.iter().map(at).collect(), ..Self::default() };
        // The same one may be there by another path, or for another Dataplane.
        let seen: FxHashSet<CgroupId> = found.iter().map(|found| found.id).collect();
        presence.found = found;
        for missed in before.iter().filter(|missed| !seen.contains(&missed.id)) {
            if !blind.iter().any(|(at, _)| missed.path.starts_with(at)) {
                let path = missed.path.display();
                let why = match is_there(missed) {
                    Known::Gone => continue,
                    Known::There(()) => {
                        format!("the cgroup {path} is not seen any more, but the kernel still has it")
                    }
                    Known::Unknown(error) => {
                        format!("cannot tell whether the cgroup {path} is gone: {error}")
                    }
                };
                presence.lingering.insert(missed.id, why);
            }
            presence.found.push(missed.clone());
        }
        presence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{resources::MeshName, workloads::DataplaneName};

    fn found(path: &str, id: u64) -> Found {
        let dataplane = DataplaneName { mesh: MeshName::default(), name: "web".into() };
        Found { dataplane, path: path.into(), id: CgroupId::new(id) }
    }

    #[test]
    fn gone_is_what_the_kernel_says_is_gone() {
        let before = [found("/a", 1), found("/b", 2), found("/c", 3)];
        let presence = Presence::of(&before, Vec::new(), &[], |found| match found.id.get() {
            1 => Known::Gone,
            2 => Known::There(()),
            _ => Known::Unknown(io::Error::other("no")),
        });
        assert_eq!(presence.found, before[1..]);
        assert_eq!(presence.lingering.len(), 2, "{presence:?}");
    }

    #[test]
    fn what_lies_where_nothing_can_be_seen_is_not_asked_for() {
        let before = [found("/pods/a", 1), found("/pods-b", 2)];
        let blind = [("/pods".into(), io::Error::other("no"))];
        let presence = Presence::of(&before, Vec::new(), &blind, |_| Known::Gone);
        assert_eq!(presence.found, before[..1]);
        assert!(presence.lingering.is_empty() && presence.blind.len() == 1);
    }

    #[test]
    fn another_in_its_place_is_found_at_once() {
        let (before, new, moved) = ([found("/a", 1)], [found("/a", 2)], [found("/mnt/a", 1)]);
        let there = Presence::of(&before, new.to_vec(), &[], |_| Known::There(()));
        assert_eq!(there.found, [&new[..], &before[..]].concat());
        let gone = Presence::of(&before, new.to_vec(), &[], |_| Known::Gone);
        assert_eq!(gone.found, new);
        assert_eq!(Presence::of(&before, moved.to_vec(), &[], |_| Known::Gone).found, moved);
    }
}
