//! What is in one file.

use std::{collections::HashMap, io, mem, path::Path, sync::Arc};

use super::{
    super::{
        alike::Alike,
        documents::{
            self, Ending, Fields, Mark, Object, Rules, Verdict,
            limits::{self, ObjectLimits},
        },
        error::InputError,
        kept,
        last_good::Lines,
        snapshot::Subject,
    },
    bytes::Bytes,
    list::cannot_read,
};
use crate::resources::{Identity, Resource};

/// What a file has, as far as it can be told.
#[derive(Debug)]
pub(super) enum FileContent {
    /// Each of its objects can be told from the others.
    Whole(Objects),
    /// It is there, but what is in it cannot be told.
    Unreadable {
        errors: Vec<InputError>,
        /// Whether its bytes cannot be had; otherwise they are no YAML.
        io: bool,
        /// What is in it before it cannot be read on.
        before: Objects,
    },
    /// It does not exist.
    Gone(InputError),
}

#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Those that can be used, by identity, each once.
    pub(super) good: Vec<Held>,
    pub(super) refused: Vec<Refused>,
    /// What is of no concern and yet told.
    pub(super) notes: Vec<InputError>,
    /// How many resources there are, good and bad ones, as far as they can be told.
    pub(super) count: usize,
    /// The good ones as they are kept for the next start, if they are.
    pub(super) lines: Lines,
    /// Where the fields of the good ones are, if that is asked.
    pub(super) fields: Vec<(Arc<Identity>, Fields)>,
}

/// A resource that a file has.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) identity: Arc<Identity>,
    pub(super) resource: Resource,
    /// Where its name is.
    pub(super) name: Mark,
    /// Whether it is among the lines that are to be kept for the next start.
    pub(super) is_new: bool,
    /// Whether it is from an earlier daemon, and this one has not read it yet.
    pub(super) stale: bool,
}

/// The one of this identity, among those that are in order.
pub(super) fn find<'a>(held: &'a [Held], identity: &Identity) -> Option<&'a Held> {
    let found = held.binary_search_by(|held| (*held.identity).cmp(identity));
    found.ok().map(|index| &held[index])
}

/// Something in a file that cannot be used.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) subject: Subject,
    pub(super) errors: Vec<InputError>,
    /// Whether its last good form stays.
    pub(super) kept: bool,
}

/// How long a file is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Whoever follows files has others to look after: only regular ones are read.
    None,
    /// As long as it takes: a pipe, such as `<(kumactl get …)` of a shell, has something when its writer has.
    Endless,
}

impl FileContent {
    /// Reads a file that had this before.
    pub(super) fn read(
        path: &Path,
        patience: Patience,
        rules: &Rules,
        before: &[Held],
        alike: &mut Alike,
    ) -> Self {
        match Bytes::read(path, patience == Patience::None) {
            Ok(Some(bytes)) => Self::of(path, &bytes, rules, before, alike),
            Ok(None) => {
                let message = format!("is larger than {} MiB", limits::FILE >> 20);
                Self::unreadable(InputError::new(path, None, message), false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Gone(cannot_read(path, &error)),
            Err(error) => Self::unreadable(cannot_read(path, &error), true),
        }
    }

    /// What is in these bytes.
    pub(super) fn of(path: &Path, bytes: &[u8], rules: &Rules, before: &[Held], alike: &mut Alike) -> Self {
        let text = match text(path, bytes) {
            Ok(text) => text,
            Err(error) => return Self::unreadable(error, false),
        };
        let mut reading = Reading {
            file: path,
            before,
            alike,
            first: HashMap::new(),
            told: 0,
            more: false,
            seen: 0,
            limits: ObjectLimits::of(text.len()),
            beyond: None,
            objects: Objects::default(),
        };
        let Ending { faults, more } = documents::read(text, rules, &mut |object| reading.take(object));
        let beyond = reading.beyond.take();
        let objects = reading.end(more);
        let faults = faults.into_iter().map(|note| InputError::noted(path, note));
        let errors: Vec<InputError> = beyond.into_iter().chain(faults).collect();
        if errors.is_empty() {
            return Self::Whole(objects);
        }
        Self::Unreadable { errors, io: false, before: objects }
    }

    /// One that is not read, since with it the files would come to more than this.
    pub(super) fn beyond(path: &Path, most: u64) -> Self {
        let message = format!("is not read: with it the files come to more than {} MiB", most >> 20);
        // To be tried again, as there may be room when others have become smaller.
        Self::unreadable(InputError::new(path, None, message), true)
    }

    /// Where the fields of its objects are, if that was asked.
    pub(super) fn take_fields(&mut self) -> Vec<(Arc<Identity>, Fields)> {
        match self {
            Self::Whole(objects) => mem::take(&mut objects.fields),
            Self::Unreadable { .. } | Self::Gone(_) => Vec::new(),
        }
    }

    /// Whether its bytes were had.
    pub(super) const fn is_reached(&self) -> bool {
        !matches!(self, Self::Unreadable { io: true, .. })
    }

    fn unreadable(error: InputError, io: bool) -> Self {
        Self::Unreadable { errors: vec![error], io, before: Objects::default() }
    }

    /// What is in it up to where it can be read, for who wants to know all that is wrong with it.
    pub(super) fn up_to_its_fault(&mut self, file: &Path) {
        if let Self::Unreadable { errors, before, .. } = self {
            let mut objects = mem::take(before);
            objects.refused.push(Refused::at(file, None, mem::take(errors)));
            *self = Self::Whole(objects);
        }
    }
}

/// The objects of a file as they come. What is as it was is given back at once, so that no file is in memory twice.
struct Reading<'a> {
    file: &'a Path,
    before: &'a [Held],
    alike: &'a mut Alike,
    /// Where each was seen first.
    first: HashMap<Arc<Identity>, Mark>,
    /// How much that is wrong is told.
    told: usize,
    /// Whether there is more.
    more: bool,
    /// How many objects there were.
    seen: usize,
    limits: ObjectLimits,
    /// What there is too much of. Nothing is taken from there on, and nobody is to take the others for all.
    beyond: Option<InputError>,
    objects: Objects,
}

impl Reading<'_> {
    fn take(&mut self, Object { identity, at, name, verdict, remarks, fields }: Object) {
        self.seen += 1;
        let ObjectLimits { all, refused } = self.limits;
        if self.beyond.is_none() && (self.seen > all || self.objects.refused.len() >= refused) {
            let message = if self.seen > all {
                format!(
                    "there are more than {all} objects up to here, which is too much for the size of the file"
                )
            } else {
                format!("there are {refused} objects up to here that cannot be used: the others are not read")
            };
            self.beyond = Some(InputError::new(self.file, Some(at), message));
        }
        if self.beyond.is_some() {
            return;
        }
        self.objects.notes.extend(remarks.into_iter().map(|note| InputError::noted(self.file, note)));
        match verdict {
            Verdict::Read(resource, json) => {
                self.objects.count += 1;
                self.good(resource, name, json, fields);
            }
            Verdict::Refused(notes) => {
                self.objects.count += usize::from(identity.is_some());
                self.told = (self.told + notes.len()).min(limits::VIOLATIONS);
                let errors = notes.into_iter().map(|note| InputError::noted(self.file, note)).collect();
                self.objects.refused.push(match identity {
                    Some(identity) => Refused { subject: Subject::Resource(identity), errors, kept: false },
                    None => Refused::at(self.file, Some(at), errors),
                });
            }
            Verdict::Passed(note) => {
                let told = self.objects.notes.len();
                if told < limits::NOTES {
                    self.objects.notes.extend(note.map(|note| InputError::noted(self.file, note)));
                } else if told == limits::NOTES && note.is_some() {
                    let message = format!("has more than {told} such notes; the others are not told");
                    self.objects.notes.push(InputError::new(self.file, None, message));
                }
            }
        }
    }

    fn good(&mut self, mut resource: Resource, name: Mark, json: Option<Box<str>>, fields: Option<Fields>) {
        let identity = resource.identity();
        if let Some(&first) = self.first.get(&identity) {
            // One that is there very often is told of often enough.
            self.more |= self.told == limits::VIOLATIONS;
            if !self.more {
                self.told += 1;
                let error = already_defined(self.file, name, &identity, self.file, first);
                let subject = Subject::Resource(identity);
                self.objects.refused.push(Refused { subject, errors: vec![error], kept: false });
            }
            return;
        }
        let is_new = json.is_some();
        if let Some(json) = json {
            self.objects.lines.add(&kept::key(&identity), &json);
        }
        let held = match find(self.before, &identity) {
            Some(Held { identity, resource: before, .. }) if *before == resource => {
                Held { identity: Arc::clone(identity), resource: before.clone(), name, is_new, stale: false }
            }
            _ => {
                self.alike.share(&mut resource);
                Held { identity: Arc::new(resource.identity()), resource, name, is_new, stale: false }
            }
        };
        self.first.insert(Arc::clone(&held.identity), name);
        self.objects.fields.extend(fields.map(|fields| (Arc::clone(&held.identity), fields)));
        self.objects.good.push(held);
    }

    /// `more` is whether not everything that is wrong with the objects was told.
    fn end(self, more: bool) -> Objects {
        let Self { file, mut objects, .. } = self;
        if more || self.more {
            let message = format!("has more than {} violations; the others are not told", limits::VIOLATIONS);
            objects.refused.push(Refused::at(file, None, vec![InputError::new(file, None, message)]));
        }
        objects.good.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
        // There may be very many files with one object each.
        objects.good.shrink_to_fit();
        objects
    }
}

impl Refused {
    /// Of something that cannot be told otherwise than by its place.
    pub(super) fn at(file: &Path, at: Option<Mark>, errors: Vec<InputError>) -> Self {
        let at = at.map(|Mark { line, column }| format!(":{line}:{column}")).unwrap_or_default();
        Self { subject: Subject::Place(format!("{}{at}", file.display())), errors, kept: false }
    }
}

/// What is wrong with the later of two resources.
pub(super) fn already_defined(
    file: &Path,
    name: Mark,
    identity: &Identity,
    first: &Path,
    Mark { line, column }: Mark,
) -> InputError {
    let message = format!("{identity} is already defined at {}:{line}:{column}", first.display());
    InputError::new(file, Some(name), message)
}

/// The text of a file, without a byte order mark.
fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, InputError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = str::from_utf8(&bytes[..at]).unwrap_or_default();
        let message = format!("is not UTF-8: the byte at offset {at} is wrong");
        InputError::new(path, Some(Mark::behind(before)), message)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
