//! All that a control plane has said, object by object. What is to be kept for the next start is handed out. Pure.

use std::{collections::BTreeMap, mem, path::Path, time::SystemTime};

use super::{
    super::{
        InputError,
        alike::Alike,
        documents::{self, Object, Rules, Verdict},
        kept,
        last_good::{Change, Record},
        objects::{Held, Objects},
        snapshot::Subject,
    },
    NAME,
    failure::Failure,
    index::Index,
    list::{List, Seen},
    list_name::ListName,
    pages::{Item, Whole},
};
use crate::{
    https::Url,
    resources::{Identity, MeshName, Provenance, Resource},
};

/// The path of what a control plane says of itself.
const INDEX: &str = "/";

/// What is known.
pub(super) struct Store {
    /// Where it is all from: what was kept of another control plane is of no use.
    url: Url,
    pub(super) objects: Objects,
    pub(super) lists: BTreeMap<ListName, List>,
    /// What the control plane was that it is from, if an earlier daemon has kept that.
    pub(super) kept_index: Option<Index>,
    reading: Reading,
    /// What is to be kept.
    changes: Vec<Change>,
}

/// How objects are read.
struct Reading {
    rules: Rules,
    alike: Alike,
}

/// What an object is read as.
enum Content {
    /// As it is to be kept, too.
    Resource(Resource, Option<Box<str>>),
    /// Of no concern.
    Nothing,
    Refused(Option<Identity>, Vec<InputError>),
}

impl Store {
    /// `rules` are lenient: it is no person that writes there.
    pub(super) fn new(url: Url, rules: Rules) -> Self {
        let reading = Reading { rules, alike: Alike::default() };
        let objects = Objects::new(NAME);
        Self { url, objects, lists: BTreeMap::new(), kept_index: None, reading, changes: Vec::new() }
    }

    /// What an earlier daemon has kept of these lists. The rest is to be forgotten.
    pub(super) fn begin_with(&mut self, records: Vec<Record>, is_wanted: impl Fn(&ListName) -> bool) {
        for Record { place, entries } in records {
            let path = place.strip_prefix(self.url.to_string().as_str());
            if path == Some(INDEX) {
                self.kept_index = entries.first().and_then(|entry| serde_json::from_str(&entry.value).ok());
                continue;
            }
            let name = path.and_then(ListName::of_path);
            let Some(name) = name.filter(|name| is_wanted(name)) else {
                self.changes.push(Change { place, ..Change::default() });
                continue;
            };
            let list = self.lists.entry(name).or_default();
            for entry in &entries {
                let Some(mut resource) = kept::resource(entry, &self.reading.rules) else { continue };
                self.reading.prepare(&mut resource);
                let called = (&*resource.identity().key.1.name).into();
                let (held, _) = self.objects.accept(Held::default(), Some(resource));
                list.objects.insert(called, Seen { hash: None, held });
            }
        }
    }

    /// Keeps what the control plane is: its rules hold as long as it is away.
    pub(super) fn keep_index(&mut self, index: &Index) {
        let mut change = Change { place: format!("{}{INDEX}", self.url), ..Change::default() };
        if let Ok(json) = serde_json::to_string(index) {
            change.lines.add(&["Index".to_owned()], &json);
        }
        self.changes.push(change);
    }

    /// What is known of a list.
    pub(super) fn list(&mut self, name: &ListName) -> &mut List {
        self.lists.entry(name.clone()).or_default()
    }

    /// The meshes that are known.
    pub(super) fn meshes(&self) -> impl Iterator<Item = &MeshName> {
        self.objects.resources.meshes.keys()
    }

    /// How many resources are as an earlier daemon has read them.
    pub(super) fn stale(&self) -> usize {
        self.lists.values().map(List::stale).sum()
    }

    /// How much is read.
    pub(super) fn bytes(&self) -> usize {
        self.lists.values().map(|list| list.bytes).sum()
    }

    /// What is to be kept that was not handed out yet.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        mem::take(&mut self.changes)
    }

    /// All of a list. Whether anything of it is other than before.
    pub(super) fn take(&mut self, name: &ListName, whole: Whole, now: SystemTime) -> Result<bool, Failure> {
        let list = self.list(name);
        let is_new = !whole.is_same;
        if is_new {
            let items = list.known.items(&whole)?;
            let items = list.by_name(name, items)?;
            self.apply(name, items, now);
        }
        let list = self.list(name);
        list.bytes = whole.bytes;
        if is_new {
            list.known.keep(whole);
        }
        list.is_read = true;
        Ok(is_new)
    }

    /// A list that is not read any more: what there was of it is gone.
    pub(super) fn dismiss(&mut self, name: &ListName) {
        let Some(list) = self.lists.remove(name) else { return };
        for seen in list.objects.into_values() {
            self.objects.remove(seen.held);
        }
        self.changes.push(Change { place: self.place(name), ..Change::default() });
    }

    fn place(&self, name: &ListName) -> String {
        format!("{}{name}", self.url)
    }

    fn apply(&mut self, name: &ListName, items: BTreeMap<Box<str>, Item<'_>>, now: SystemTime) {
        let mut before = mem::take(&mut self.list(name).objects);
        let mut after = BTreeMap::new();
        let mut change = Change { place: self.place(name), ..Change::default() };
        for (called, item) in items {
            let (hash, held) =
                before.remove(&called).map_or_else(Default::default, |seen| (seen.hash, seen.held));
            let held = if hash == Some(item.hash) {
                change.open.extend(held.good().map(kept::key));
                held
            } else {
                self.read(&format!("{name}/{called}"), item.json, held, now, &mut change)
            };
            after.insert(called, Seen { hash: Some(item.hash), held });
        }
        for seen in before.into_values() {
            self.objects.remove(seen.held);
        }
        self.list(name).objects = after;
        self.changes.push(change);
    }

    fn read(&mut self, path: &str, json: &str, held: Held, now: SystemTime, change: &mut Change) -> Held {
        let path = Path::new(path.trim_start_matches('/'));
        match self.reading.read(path, json) {
            Content::Resource(resource, json) => {
                if let Some(json) = json {
                    change.lines.add(&kept::key(&resource.identity()), &json);
                }
                self.objects.accept(held, Some(resource)).0
            }
            Content::Nothing => self.objects.accept(held, None).0,
            Content::Refused(identity, violations) => {
                change.open.extend(held.good().map(kept::key));
                let subject = match identity {
                    Some(identity) => Subject::Resource(identity),
                    None => Subject::Place(path.display().to_string()),
                };
                self.objects.refuse(held, subject, violations, now)
            }
        }
    }
}

impl Reading {
    fn read(&mut self, path: &Path, json: &str) -> Content {
        let mut object = None;
        let ending = documents::read(json, &self.rules, &mut |read| object = Some(read));
        let Some(Object { identity, verdict, .. }) = object.filter(|_| ending.faults.is_empty()) else {
            let refused = vec![InputError::new(path, None, "cannot be read")];
            return Content::Refused(None, refused);
        };
        match verdict {
            Verdict::Read(mut resource, json) => {
                self.prepare(&mut resource);
                Content::Resource(resource, json)
            }
            Verdict::Passed(_) => Content::Nothing,
            Verdict::Refused(notes) => {
                let errors = notes.into_iter().map(|note| InputError::of_object(path, note));
                Content::Refused(identity, errors.collect())
            }
        }
    }

    fn prepare(&mut self, resource: &mut Resource) {
        self.alike.share(resource);
        resource.set_provenance(Provenance::ControlPlane);
    }
}

#[cfg(test)]
mod tests;
