//! What is in all files together, kept in step with each of them.
//!
//! Of a resource that is there twice the first is in force, in the order of the files; when that goes, the next one is.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::SystemTime,
};

use imbl::{OrdMap, ordmap::Entry};
use rustc_hash::FxHashMap;

use super::{
    super::{
        documents::{Fields, limits},
        error::InputError,
        last_good::Change,
        snapshot::{Health, Rejection, Snapshot, Subject},
    },
    NAME,
    content::{FileContent, Held, already_defined},
    good::{Good, Pair, Reach, pairs},
    list::{Nothing, Place, State},
    written::Written,
};
use crate::resources::{Identity, Resources};

#[derive(Debug, Default)]
pub(super) struct Store {
    files: BTreeMap<Arc<Place>, File>,
    /// Named paths that lead to no file.
    nothing: Vec<Nothing>,
    resources: Resources,
    /// Which file each of the resources is from.
    holders: FxHashMap<Arc<Identity>, Arc<Place>>,
    /// What is in several files, with all of them.
    contested: BTreeMap<Arc<Identity>, BTreeSet<Arc<Place>>>,
    /// Of which not everything is handed out yet that is to be kept for the next start.
    unkept: BTreeSet<Arc<Place>>,
    /// How much that is wrong is told of all files.
    told: usize,
    /// Where the fields of each of the resources are, if that is asked.
    fields: FxHashMap<Arc<Identity>, (Arc<Place>, Fields)>,
}

#[derive(Debug)]
struct File {
    /// As it was read.
    state: State,
    good: Good,
}

impl Store {
    /// Whether this file was read as it is. One that could not be read may be readable by now.
    pub(super) fn has(&self, place: &Place, state: State) -> bool {
        let reached = |file: &File| file.state == state && file.good.reach == Reach::Read;
        matches!(state, State::There(_)) && self.files.get(place).is_some_and(reached)
    }

    /// How much room the files take that were read.
    pub(super) fn weight(&self) -> u64 {
        let read = self.files.values().filter(|file| file.good.reach == Reach::Read);
        read.map(|file| file.state.weight()).sum()
    }

    /// The state in which a file was read last.
    pub(super) fn state(&self, place: &Place) -> Option<State> {
        self.files.get(place).map(|file| file.state)
    }

    /// What counts of a file.
    pub(super) fn good(&self, place: &Place) -> Option<&Good> {
        self.files.get(place).map(|file| &file.good)
    }

    /// The named paths that lead to files.
    pub(super) fn named(&self) -> BTreeSet<usize> {
        self.files.keys().map(|place| place.named).collect()
    }

    /// Takes what a file had when an earlier daemon read it.
    pub(super) fn seed(&mut self, place: Place, held: Vec<Held>) {
        let place = Arc::new(place);
        let good = Good::of(held);
        if self.files.insert(Arc::clone(&place), File { state: State::Gone, good }).is_none() {
            self.replace(&place, &[]);
        }
    }

    /// How much is as an earlier daemon has read it.
    pub(super) fn stale(&self) -> usize {
        self.files.values().flat_map(|file| &file.good.held).filter(|held| held.stale).count()
    }

    /// What there is of files that have changed since this was asked last, for who keeps it.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let change = |place: Arc<Place>| {
            let good = self.files.get_mut(&place).map(|file| &mut file.good);
            let (lines, open) = good.map(Good::take_kept).unwrap_or_default();
            Change { place: place.path.to_string_lossy().into_owned(), lines, open }
        };
        mem::take(&mut self.unkept).into_iter().map(change).collect()
    }

    /// Takes what is in a file.
    pub(super) fn put(&mut self, place: &Place, state: State, mut content: FileContent) {
        let (place, before) = match self.files.remove_entry(place) {
            Some((place, file)) => (place, file.good),
            None => (Arc::new(place.clone()), Good::default()),
        };
        self.take_fields(&place, content.take_fields());
        // A copy of pointers: what is no longer held has to be taken out.
        let old = before.held.clone();
        self.told -= before.told();
        let mut good = before.next(&place.path, content);
        if self.told + good.told() > limits::ALL_VIOLATIONS {
            good.tell_less(&place.path);
        }
        self.told += good.told();
        self.files.insert(Arc::clone(&place), File { state, good });
        self.replace(&place, &old);
        self.unkept.insert(place);
    }

    /// Of what is in several files, that of the first counts.
    fn take_fields(&mut self, place: &Arc<Place>, fields: Vec<(Arc<Identity>, Fields)>) {
        for (identity, fields) in fields {
            let is_first = self.fields.get(&identity).is_none_or(|(other, _)| place <= other);
            if is_first {
                self.fields.insert(identity, (Arc::clone(place), fields));
            }
        }
    }

    /// Forgets all files but these, and those of named paths of which nothing can be told.
    pub(super) fn keep(&mut self, places: &BTreeSet<&Place>, nothing: Vec<Nothing>) {
        let unknown = |named| nothing.iter().any(|nothing| nothing.named == named && !nothing.certain);
        let is_gone = |place: &&Arc<Place>| !places.contains(&***place) && !unknown(place.named);
        let gone: Vec<Arc<Place>> = self.files.keys().filter(is_gone).cloned().collect();
        for place in gone {
            if let Some(file) = self.files.remove(&place) {
                self.told -= file.good.told();
                self.replace(&place, &file.good.held);
                self.unkept.insert(place);
            }
        }
        self.nothing = nothing;
    }

    /// What has moved to another file and cannot be used there keeps its last good form, as everything does.
    pub(super) fn follow_moved(&mut self, before: &Resources) {
        let mut moved = Vec::new();
        for (place, file) in &mut self.files {
            for refused in &mut file.good.refused {
                let Some(identity) = refused.identity() else { continue };
                if self.holders.contains_key(identity) {
                    continue;
                }
                let Some(resource) = before.get(identity) else { continue };
                let (identity, name) = (Arc::new(identity.clone()), refused.place());
                let held = Held { identity, resource, name, is_new: false, stale: false };
                refused.kept = true;
                moved.push((Arc::clone(place), held));
            }
        }
        for (place, held) in moved {
            self.unkept.insert(Arc::clone(&place));
            if let Some(file) = self.files.get_mut(&place)
                && file.good.add(held.clone())
                && self.claim(held.identity, &place)
            {
                self.resources.add(held.resource);
            }
        }
    }

    /// Brings what is in force in step with a file that had this before.
    fn replace(&mut self, place: &Arc<Place>, old: &[Held]) {
        let new = self.files.get(place).map_or(&[][..], |file| &file.good.held);
        let mut changes = Vec::new();
        for pair in pairs(old, new) {
            match pair {
                Pair::Both(old, new) if old.resource.is_same(&new.resource) => {}
                Pair::Old(old) => changes.push((Arc::clone(&old.identity), None)),
                Pair::Both(_, new) | Pair::New(new) => {
                    changes.push((Arc::clone(&new.identity), Some(new.resource.clone())));
                }
            }
        }
        for (identity, resource) in changes {
            match resource {
                None => self.withdraw(&identity, place),
                Some(resource) => {
                    if self.claim(identity, place) {
                        self.resources.add(resource);
                    }
                }
            }
        }
    }

    /// Whether the resource of this file is the one that is in force.
    fn claim(&mut self, identity: Arc<Identity>, place: &Arc<Place>) -> bool {
        let holder = self.holders.entry(Arc::clone(&identity)).or_insert_with(|| Arc::clone(place));
        if holder == place {
            return true;
        }
        let all = self.contested.entry(identity).or_insert_with(|| [Arc::clone(holder)].into());
        all.insert(Arc::clone(place));
        if place < holder {
            *holder = Arc::clone(place);
        }
        holder == place
    }

    /// The resource of this file is no more.
    fn withdraw(&mut self, identity: &Arc<Identity>, place: &Arc<Place>) {
        let next = match self.contested.get_mut(identity) {
            None => None,
            Some(all) => {
                all.remove(place);
                let first = all.first().cloned();
                if all.len() == 1 {
                    self.contested.remove(identity);
                }
                first
            }
        };
        let Some(next) = next else {
            self.holders.remove(identity);
            self.resources.remove(identity);
            return;
        };
        let held = self.files.get(&next).and_then(|file| file.good.find(identity));
        if let Some(held) = held
            && self.holders.get(identity) == Some(place)
        {
            self.resources.add(held.resource.clone());
            self.holders.insert(Arc::clone(identity), next);
        }
    }

    /// What there is, after what there was.
    pub(super) fn snapshot(&self, before: &Snapshot, now: SystemTime) -> Snapshot {
        let mut rejected: OrdMap<Subject, Arc<Rejection>> = OrdMap::new();
        let mut reject = |subject: Subject, errors: &[InputError], kept| match rejected.entry(subject) {
            Entry::Occupied(mut entry) => {
                let rejection = Arc::make_mut(entry.get_mut());
                rejection.violations.extend_from_slice(errors);
                rejection.kept |= kept;
            }
            Entry::Vacant(entry) => {
                let since = before.rejected.get(entry.key()).map_or(now, |before| before.since);
                entry.insert(Arc::new(Rejection { source: NAME, violations: errors.to_vec(), since, kept }));
            }
        };
        for Nothing { named, error, certain } in &self.nothing {
            let kept = !certain && self.files.keys().any(|place| place.named == *named);
            reject(Subject::Place(error.file.display().to_string()), std::slice::from_ref(error), kept);
        }
        for file in self.files.values() {
            for refused in &file.good.refused {
                reject(refused.subject.clone(), &refused.errors, refused.kept);
            }
        }
        for (identity, errors) in self.duplicates() {
            reject(Subject::Resource(Identity::clone(identity)), &[errors], false);
        }
        let notes = self.files.values().flat_map(|file| &file.good.notes).cloned().collect();
        let (resources, health) = (self.resources.clone(), self.health(before, now));
        Snapshot { resources, rejected, notes, health, ..Snapshot::default() }
    }

    /// Resources that an earlier file has.
    fn duplicates(&self) -> impl Iterator<Item = (&Identity, InputError)> {
        let held = |place: &Arc<Place>, identity: &Identity| self.files.get(place)?.good.find(identity);
        self.contested.iter().flat_map(move |(identity, places)| {
            let first = places.first().and_then(|first| Some((first, held(first, identity)?.name)));
            places.iter().skip(1).filter_map(move |place| {
                let (first, at) = first?;
                let name = held(place, identity)?.name;
                let error = already_defined(&place.path, name, identity, &first.path, at);
                Some((&**identity, error))
            })
        })
    }

    fn health(&self, before: &Snapshot, now: SystemTime) -> Health {
        let unreached = |file: &&File| file.good.reach != Reach::Read;
        let files = self.files.values().filter(unreached).flat_map(|file| &file.good.refused);
        let mut errors = self.nothing.iter().map(|nothing| &nothing.error);
        let mut errors = errors.by_ref().chain(files.flat_map(|refused| &refused.errors));
        let Some(first) = errors.next() else { return Health::Well };
        let why = match errors.count() {
            0 => first.to_string(),
            more => format!("{first}, and {more} more"),
        };
        let since = match before.health {
            Health::Failing { since, .. } => since,
            Health::Well | Health::Awaited | Health::Late { .. } => now,
        };
        Health::Failing { why, since }
    }

    /// Everything that is wrong, in the order of the files and of the places in each.
    pub(super) fn errors(&self) -> Vec<InputError> {
        let mut twice: BTreeMap<std::path::PathBuf, Vec<InputError>> = BTreeMap::new();
        for (_, error) in self.duplicates() {
            twice.entry(error.file.clone()).or_default().push(error);
        }
        let mut all: Vec<InputError> = self.nothing.iter().map(|nothing| nothing.error.clone()).collect();
        for (place, file) in &self.files {
            let mut errors: Vec<InputError> =
                file.good.refused.iter().flat_map(|refused| refused.errors.iter().cloned()).collect();
            errors.extend(twice.remove(&place.path).unwrap_or_default());
            // What has no place is about the whole file.
            errors.sort_by_key(|error| (error.at.is_none(), error.at));
            all.append(&mut errors);
        }
        all
    }

    pub(super) fn notes(&self) -> Vec<InputError> {
        self.files.values().flat_map(|file| file.good.notes.iter().cloned()).collect()
    }

    /// How many files were named, those that cannot be read among them.
    pub(super) fn files(&self) -> usize {
        self.files.len() + self.nothing.len()
    }

    /// How many resources are in them, good and bad ones.
    pub(super) fn count(&self) -> usize {
        self.files.values().map(|file| file.good.count).sum()
    }

    /// Whether something is refused that others may be about: of what is missing it cannot be told then whether it is.
    pub(super) fn lacks(&self) -> bool {
        !self.nothing.is_empty()
            || self
                .files
                .values()
                .flat_map(|file| &file.good.refused)
                .any(|refused| refused.subject.is_missed())
    }

    /// What can be used, and where it is written.
    pub(super) fn into_parts(self) -> (Resources, Written) {
        (self.resources, Written::new(self.fields))
    }
}
