//! Which cgroups can be workloads side by side. Pure.

use std::{collections::BTreeMap, ops::Bound, path::Path};

use crate::workloads::Found;

/// The cgroups that are workloads, and why others are not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) chosen: Vec<Found>,
    pub(super) refused: Vec<String>,
}

impl Members {
    /// A workload inside another one would be routed twice: its choice could be the outer one's destination. So of two
    /// that overlap one is chosen: the one that is a workload already, or else the one that was named first.
    pub(super) fn choose(found: &[Found], is_workload: impl Fn(&Found) -> bool) -> Self {
        let mut members = Self::default();
        // By path: what lies inside of a directory stands right behind it.
        let mut taken: BTreeMap<&Path, &Found> = BTreeMap::new();
        let (before, new): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|found| is_workload(found));
        for it in before.into_iter().chain(new) {
            let outer = it.path.ancestors().find_map(|path| taken.get(path));
            let inner = taken
                .range::<Path, _>((Bound::Included(&*it.path), Bound::Unbounded))
                .next()
                .map(|(_, found)| found);
            let inner = inner.filter(|found| found.path.starts_with(&it.path));
            // One that has taken the place of another, which the kernel has not forgotten yet, is not inside of it.
            let other = outer.or(inner).filter(|other| other.path != it.path || other.id == it.id);
            match other {
                None => {
                    taken.insert(&it.path, it);
                    members.chosen.push(it.clone());
                }
                Some(same) if *same == it => {}
                Some(other) => members.refused.push(format!(
                    "the cgroup {} is not attached: it overlaps with that of another workload, {}",
                    it.path.display(),
                    other.path.display()
                )),
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resources::MeshName,
        workloads::{DataplaneName, cgroups::CgroupId},
    };

    fn found(dataplane: &str, path: &str, id: u64) -> Found {
        let dataplane = DataplaneName { mesh: MeshName::default(), name: dataplane.into() };
        Found { dataplane, path: path.into(), id: CgroupId::new(id) }
    }

    #[test]
    fn of_two_that_overlap_the_one_that_is_a_workload_stays() {
        let (outer, inner, other) = (found("a", "/a", 1), found("b", "/a/b", 2), found("a", "/ab", 3));
        let all = [outer.clone(), inner.clone(), other.clone(), other.clone()];
        let Members { chosen, refused } = Members::choose(&all, |_| false);
        assert_eq!(chosen, [outer, other.clone()]);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains("/a/b is not attached"), "{refused:?}");
        let successor = found("a", "/a/b", 4);
        let Members { chosen, refused: none } =
            Members::choose(&[inner.clone(), successor.clone()], |found| *found == inner);
        assert_eq!((chosen, none), (vec![inner.clone(), successor], vec![]));
        let Members { chosen, refused } = Members::choose(&all, |found| *found == inner);
        assert_eq!(chosen, [inner, other]);
        assert!(refused[0].contains("/a is not attached"), "{refused:?}");
    }
}
