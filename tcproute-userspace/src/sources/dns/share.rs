//! How many names each Dataplane may have looked up. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Who wants names: a Dataplane, by its name.
pub type Owner = Arc<str>;

/// So many names are looked up for one Dataplane. One with more can make neither the others wait nor the memory run
/// out.
pub const SHARE: usize = 1_000;

/// The names that are wanted, by who wants them.
pub type Names = Arc<BTreeMap<Owner, BTreeSet<String>>>;

/// What comes of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// How many names are looked up.
    pub names: usize,
    /// How many of them the Dataplane has that has the most.
    pub largest: usize,
    /// How many are left out, by whose they are.
    pub left_out: BTreeMap<Owner, usize>,
}

/// The names that are looked up, each with those who want it.
pub(super) type Shared = BTreeMap<String, BTreeSet<Owner>>;

/// Gives each its share. What is known stays in it: names that are new do not displace others.
pub(super) fn share(
    wanted: &BTreeMap<Owner, BTreeSet<String>>,
    is_known: impl Fn(&Owner, &str) -> bool,
) -> (Shared, Shares) {
    let mut shared = Shared::new();
    let mut shares = Shares::default();
    for (owner, names) in wanted {
        let (known, new): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_known(owner, name));
        for name in known.into_iter().chain(new).take(SHARE) {
            shared.entry(name.clone()).or_default().insert(Arc::clone(owner));
        }
        shares.largest = shares.largest.max(names.len().min(SHARE));
        if let Some(beyond) = names.len().checked_sub(SHARE).filter(|beyond| *beyond > 0) {
            shares.left_out.insert(Arc::clone(owner), beyond);
        }
    }
    shares.names = shared.len();
    (shared, shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(owner: &str, names: &[String]) -> (Owner, BTreeSet<String>) {
        (owner.into(), names.iter().cloned().collect())
    }

    #[test]
    fn each_has_its_share_and_who_has_more_reaches_nobody_else() {
        let many: Vec<String> = (0..SHARE + 5).map(|i| format!("n{i:04}")).collect();
        let all = [wanted("many", &many), wanted("few", &["n0003".to_owned(), "z".to_owned()])].into();
        let (shared, shares) = share(&all, |_, _| false);
        assert_eq!(shares.names, SHARE + 1);
        assert_eq!((shares.largest, shares.left_out), (SHARE, [("many".into(), 5)].into()));
        assert_eq!(shared["n0003"], ["few".into(), "many".into()].into());
        assert_eq!(shared["z"], ["few".into()].into());
        assert!(!shared.contains_key(&many[SHARE]));
    }

    #[test]
    fn names_that_are_known_are_not_displaced() {
        let many: Vec<String> = (0..=SHARE).map(|i| format!("n{i:04}")).collect();
        let all = [wanted("many", &many)].into();
        let (shared, shares) = share(&all, |_, name| name > "n0500");
        assert!(shared.contains_key(&many[SHARE]));
        assert!(!shared.contains_key("n0500"));
        assert_eq!((shares.names, &shares.left_out[&Owner::from("many")]), (SHARE, &1));
    }
}
