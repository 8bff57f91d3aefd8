//! What is known of one list, and what is new in it when it is read again. Pure.

use std::{collections::BTreeMap, time::SystemTime};

use super::{
    super::{backoff::Backoff, objects::Held},
    failure::Failure,
    list_name::ListName,
    pages::{Item, Known},
};

/// Fewer objects may all go at once.
const FEW: usize = 4;

#[derive(Default)]
pub(super) struct List {
    pub(super) objects: BTreeMap<Box<str>, Seen>,
    /// What its pages were the last time.
    pub(super) known: Known,
    /// How much it is.
    pub(super) bytes: usize,
    /// Whether all of it was read once.
    pub(super) is_read: bool,
    /// Whether there is no such list, in a version that is not known.
    pub(super) is_absent: bool,
    /// Whether it has just lost so much that it is read again before that counts.
    is_doubted: bool,
    /// Why it cannot be read at present, and since when.
    pub(super) failing: Option<(String, SystemTime)>,
    pub(super) backoff: Backoff,
}

/// What is known of an object.
pub(super) struct Seen {
    /// Of its text; none as long as that was not read.
    pub(super) hash: Option<u64>,
    pub(super) held: Held,
}

impl List {
    /// By name, unless these are not the objects of this list, or too few of those that were there.
    pub(super) fn by_name<'a>(
        &mut self,
        name: &ListName,
        items: Vec<Item<'a>>,
    ) -> Result<BTreeMap<Box<str>, Item<'a>>, Failure> {
        let count = items.len();
        let mut all = BTreeMap::new();
        for item in items {
            let (kind, mesh) = (&*item.head.kind, item.head.mesh.as_deref());
            if kind != name.kind() {
                return Err(Failure::Garbage(format!("it has a {kind} among the {}s", name.kind())));
            }
            if let (Some(of), Some(mesh)) = (name.mesh(), mesh)
                && mesh != of.as_str()
            {
                return Err(Failure::Garbage(format!("it has a {kind} of mesh {mesh}")));
            }
            all.insert(Box::from(&*item.head.name), item);
        }
        if all.len() < count {
            return Err(Failure::Torn("an object is there twice".to_owned()));
        }
        let left = self.objects.keys().filter(|name| all.contains_key(*name)).count();
        let before = self.objects.len();
        let has_lost_much = before >= FEW && left < before.div_ceil(2);
        if has_lost_much && !self.is_doubted {
            self.is_doubted = true;
            self.known.forget();
            return Err(Failure::Doubted { before, now: left });
        }
        self.is_doubted = false;
        Ok(all)
    }

    /// How many objects are as an earlier daemon has read them.
    pub(super) fn stale(&self) -> usize {
        if self.is_read { 0 } else { self.objects.len() }
    }

    /// It cannot be read at present.
    pub(super) fn fail(&mut self, why: String, now: SystemTime) -> bool {
        let since = self.failing.as_ref().map_or(now, |(_, since)| *since);
        let is_new = self.failing.as_ref().is_none_or(|(before, _)| *before != why);
        self.failing = Some((why, since));
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::{super::kinds, *};
    use crate::resources::MeshName;

    fn name() -> ListName {
        ListName::Of(MeshName::default(), &kinds::ALL[0])
    }

    fn items(json: &[String]) -> Vec<Item<'_>> {
        json.iter().map(|json| Item { head: serde_json::from_str(json).unwrap(), hash: 1, json }).collect()
    }

    fn dataplanes(count: usize) -> Vec<String> {
        (0..count).map(|i| format!(r#"{{"type":"Dataplane","mesh":"default","name":"d{i}"}}"#)).collect()
    }

    fn take(list: &mut List, count: usize) -> Result<usize, Failure> {
        let json = dataplanes(count);
        let all = list.by_name(&name(), items(&json))?;
        let seen = |name: &str| (Box::from(name), Seen { hash: Some(1), held: Held::default() });
        list.objects = all.keys().map(|name| seen(name)).collect();
        Ok(list.objects.len())
    }

    #[test]
    fn what_is_of_something_else_is_no_answer() {
        for (wrong, why) in [
            (r#"{"type":"Mesh","name":"x"}"#, "it has a Mesh among the Dataplanes"),
            (r#"{"type":"Dataplane","mesh":"other","name":"x"}"#, "it has a Dataplane of mesh other"),
        ] {
            let mut json = dataplanes(2);
            json.push(wrong.to_owned());
            let error = List::default().by_name(&name(), items(&json)).map(drop).unwrap_err();
            assert_eq!(error, Failure::Garbage(why.to_owned()));
        }
        let twice = [dataplanes(2), dataplanes(1)].concat();
        let error = List::default().by_name(&name(), items(&twice)).map(drop).unwrap_err();
        assert!(matches!(error, Failure::Torn(_)));
    }

    #[test]
    fn much_that_goes_at_once_goes_only_when_it_is_gone_twice() {
        let mut list = List::default();
        assert_eq!(take(&mut list, 10), Ok(10));
        assert_eq!(take(&mut list, 5), Ok(5), "half may go");
        assert_eq!(take(&mut list, 2), Err(Failure::Doubted { before: 5, now: 2 }));
        assert_eq!(take(&mut list, 5), Ok(5), "it was an error");
        assert_eq!(take(&mut list, 0), Err(Failure::Doubted { before: 5, now: 0 }));
        assert_eq!(take(&mut list, 0), Ok(0));
        assert_eq!(take(&mut list, 3), Ok(3));
        assert_eq!(take(&mut list, 0), Ok(0), "few may all go");
    }
}
