//! What is in one file.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    super::{
        documents::{self, Content, Object, Outcome},
        error::InputError,
        limits,
        node::Mark,
        notes::Strictness,
        snapshot::Subject,
    },
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
}

/// A resource that a file has.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) identity: Arc<Identity>,
    pub(super) resource: Resource,
    /// Where its name is.
    pub(super) name: Mark,
}

/// Something in a file that cannot be used.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) subject: Subject,
    pub(super) errors: Vec<InputError>,
    /// Whether its last good form stays.
    pub(super) kept: bool,
}

impl FileContent {
    /// Reads a file. Its bytes are given back before anything else is read.
    pub(super) fn read(path: &Path, strictness: Strictness) -> Self {
        match bytes(path) {
            Ok(Some(bytes)) => Self::of(path, &bytes, strictness),
            Ok(None) => {
                let message = format!("is larger than {} MiB", limits::FILE >> 20);
                Self::unreadable(InputError::new(path, None, message), false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Gone(cannot_read(path, &error)),
            Err(error) => Self::unreadable(cannot_read(path, &error), true),
        }
    }

    /// What is in these bytes.
    pub(super) fn of(path: &Path, bytes: &[u8], strictness: Strictness) -> Self {
        let text = match text(path, bytes) {
            Ok(text) => text,
            Err(error) => return Self::unreadable(error, false),
        };
        let Content { objects, faults, more } = documents::read(text, strictness);
        let before = Objects::new(path, objects, more);
        if faults.is_empty() {
            return Self::Whole(before);
        }
        let errors = faults.into_iter().map(|note| InputError::noted(path, note)).collect();
        Self::Unreadable { errors, io: false, before }
    }

    fn unreadable(error: InputError, io: bool) -> Self {
        Self::Unreadable { errors: vec![error], io, before: Objects::default() }
    }

    /// What is in it up to where it can be read, for who wants to know all that is wrong with it.
    pub(super) fn up_to_its_fault(self, file: &Path) -> Self {
        match self {
            Self::Unreadable { errors, mut before, .. } => {
                before.refused.push(Refused::at(file, None, errors));
                Self::Whole(before)
            }
            other => other,
        }
    }
}

impl Objects {
    /// `more` is whether not everything that is wrong with them is told.
    fn new(file: &Path, objects: Vec<Object>, mut more: bool) -> Self {
        let mut this = Self::default();
        let mut first: HashMap<Arc<Identity>, Mark> = HashMap::new();
        let mut told = 0;
        for Object { identity, at, name, outcome } in objects {
            match outcome {
                Outcome::Read(resource) => {
                    this.count += 1;
                    let identity = Arc::new(resource.identity());
                    let Some(Mark { line, column }) = first.get(&identity) else {
                        first.insert(Arc::clone(&identity), name);
                        this.good.push(Held { identity, resource, name });
                        continue;
                    };
                    if told == limits::VIOLATIONS {
                        more = true;
                        continue;
                    }
                    told += 1;
                    let error =
                        already_defined(file, name, &identity, file, Mark { line: *line, column: *column });
                    let subject = Subject::Resource(Identity::clone(&identity));
                    this.refused.push(Refused { subject, errors: vec![error], kept: false });
                }
                Outcome::Refused(notes) => {
                    this.count += usize::from(identity.is_some());
                    told = (told + notes.len()).min(limits::VIOLATIONS);
                    let errors = notes.into_iter().map(|note| InputError::noted(file, note)).collect();
                    this.refused.push(match identity {
                        Some(identity) => {
                            Refused { subject: Subject::Resource(identity), errors, kept: false }
                        }
                        None => Refused::at(file, Some(at), errors),
                    });
                }
                Outcome::Passed(note) => {
                    this.notes.extend(note.map(|note| InputError::noted(file, note)));
                }
            }
        }
        if more {
            let message = format!("has more than {} violations; the others are not told", limits::VIOLATIONS);
            this.refused.push(Refused::at(file, None, vec![InputError::new(file, None, message)]));
        }
        this.good.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
        this
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

/// The bytes of a file, unless there are too many of them.
fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    // Its size tells whether to begin at all; but a device or a pipe has none.
    let most = limits::FILE as u64;
    let size = file.metadata()?.len();
    if size <= most {
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default() + 1);
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    Ok((size <= most && bytes.len() <= limits::FILE).then_some(bytes))
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
