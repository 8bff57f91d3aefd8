//! Last good forms: what a file has to say, given what it said before. Pure.
//!
//! An object that cannot be used any more stays as it was until it is mended or gone. It is gone when the file can be
//! read and does not have it. A file that cannot be read loses nothing, and half of one counts for nothing: nobody has
//! written a state of which half is missing.

use std::{cmp::Ordering, collections::HashSet, mem, path::Path};

use super::{
    super::{
        documents::Mark,
        error::InputError,
        kept,
        last_good::{Key, Lines},
        snapshot::Subject,
    },
    content::{FileContent, Held, Objects, Refused, find},
};
use crate::resources::Identity;

/// What counts of a file.
#[derive(Debug, Default)]
pub(super) struct Good {
    /// By identity, each once.
    pub(super) held: Vec<Held>,
    pub(super) refused: Vec<Refused>,
    pub(super) notes: Vec<InputError>,
    pub(super) count: usize,
    /// What of it is to be kept for the next start.
    pub(super) lines: Lines,
    /// Whether its bytes could be had.
    pub(super) reach: Reach,
    /// So many of its objects cannot be told by kind and name, and are known to be none of those that were good.
    strangers: usize,
}

/// Whether a file could be reached when it was read last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reach {
    #[default]
    Read,
    Failed,
    Gone,
}

impl Good {
    /// What an earlier daemon has read, by identity.
    pub(super) fn of(held: Vec<Held>) -> Self {
        Self { held, ..Self::default() }
    }

    /// What counts after this was read.
    pub(super) fn next(self, file: &Path, content: FileContent) -> Self {
        match content {
            FileContent::Whole(objects) => self.whole(objects),
            FileContent::Unreadable { errors, io, before: _ } => {
                let kept = !self.held.is_empty();
                let refused = Refused { kept, ..Refused::at(file, None, errors) };
                let reach = if io { Reach::Failed } else { Reach::Read };
                Self { refused: vec![refused], notes: Vec::new(), reach, ..self }
            }
            FileContent::Gone(error) => {
                let refused = vec![Refused::at(file, None, vec![error])];
                Self { refused, reach: Reach::Gone, ..Self::default() }
            }
        }
    }

    fn whole(self, Objects { good, mut refused, notes, count, lines, .. }: Objects) -> Self {
        let strangers = refused.iter().filter(|refused| matches!(refused.subject, Subject::Place(_))).count();
        // One more than there were: it may be one of those that seem to be gone, with its kind or name misspelt.
        let may_be_missing = strangers > self.strangers;
        let told: HashSet<&Identity> = refused.iter().filter_map(|refused| refused.identity()).collect();
        let mut kept = HashSet::new();
        let mut missing = false;
        let mut held = Vec::with_capacity(good.len());
        for pair in pairs(self.held, good) {
            held.push(match pair {
                Pair::Both(_, new) | Pair::New(new) => new,
                Pair::Old(old) if told.contains(&*old.identity) => {
                    kept.insert(old.identity.clone());
                    old
                }
                Pair::Old(old) if may_be_missing => {
                    missing = true;
                    old
                }
                Pair::Old(_) => continue,
            });
        }
        for refused in &mut refused {
            refused.kept = refused.identity().map_or(missing, |identity| kept.contains(identity));
        }
        let strangers = if missing { self.strangers } else { strangers };
        Self { held, refused, notes, count, lines, reach: Reach::Read, strangers }
    }

    /// How much that is wrong is told of it.
    pub(super) fn told(&self) -> usize {
        self.refused.iter().map(|refused| refused.errors.len()).sum()
    }

    /// Tells no more than one thing of each object, and that there is more.
    pub(super) fn tell_less(&mut self, file: &Path) {
        for refused in &mut self.refused {
            refused.errors.truncate(1);
            refused.errors.shrink_to_fit();
        }
        let message = "has more violations, which are not told: the files have too many";
        self.refused.push(Refused::at(file, None, vec![InputError::new(file, None, message)]));
    }

    /// What is to be kept for the next start: the lines that are new, and what is as it was kept last.
    pub(super) fn take_kept(&mut self) -> (Lines, Vec<Key>) {
        let old = self.held.iter_mut().filter_map(|held| {
            let is_new = mem::take(&mut held.is_new);
            (!is_new).then(|| kept::key(&held.identity))
        });
        let open = old.collect();
        (mem::take(&mut self.lines), open)
    }

    /// Adds the last good form of something that was elsewhere. Whether it was not there.
    pub(super) fn add(&mut self, held: Held) -> bool {
        let place = self.held.binary_search_by(|other| other.identity.cmp(&held.identity));
        place.map_err(|place| self.held.insert(place, held)).is_err()
    }

    /// The resource of this identity.
    pub(super) fn find(&self, identity: &Identity) -> Option<&Held> {
        find(&self.held, identity)
    }
}

impl Refused {
    pub(super) fn identity(&self) -> Option<&Identity> {
        match &self.subject {
            Subject::Resource(identity) => Some(identity),
            Subject::Place(_) => None,
        }
    }

    /// Where it is, as far as that is told.
    pub(super) fn place(&self) -> Mark {
        let at = self.errors.iter().find_map(|error| error.at);
        at.map_or(Mark { line: 1, column: 1 }, |(line, column)| Mark { line, column })
    }
}

/// What two lists have of an identity.
pub(super) enum Pair<T> {
    Old(T),
    Both(T, T),
    New(T),
}

/// Goes through two lists of resources side by side.
pub(super) fn pairs<T: AsRef<Identity>>(
    old: impl IntoIterator<Item = T>,
    new: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = Pair<T>> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.as_ref().cmp(new.as_ref()),
        };
        match order {
            Ordering::Less => old.next().map(Pair::Old),
            Ordering::Greater => new.next().map(Pair::New),
            Ordering::Equal => old.next().zip(new.next()).map(|(old, new)| Pair::Both(old, new)),
        }
    })
}

impl AsRef<Identity> for Held {
    fn as_ref(&self) -> &Identity {
        &self.identity
    }
}
