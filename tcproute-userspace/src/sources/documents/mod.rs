//! Documents to objects: what each is, and whether it can be used.

mod content;
mod entries;
mod fields;
mod grow;
mod guarded;
mod input;
mod json;
mod lenient;
pub(super) mod limits;
mod mark;
mod node;
mod notes;
mod path;
mod scalar;
pub(super) mod scalars;
mod segments;
pub(super) mod settings;
mod tree;
mod yaml;

pub use crate::resources::Strictness;
pub(super) use fields::Fields;
pub(super) use mark::Mark;
pub(super) use notes::Note;

use self::{
    content::{Content, Fault},
    lenient::Lenient,
    limits::Limits,
    node::Node,
    notes::{Judging, Notes, Refused},
    path::{Path, Places, follow},
    yaml::{Document, Documents},
};
use crate::resources::{
    Encoding, Form, Guard, Identity, Kind, MESH_LABEL, Reader, Resource, WrongKind, wire::Envelope,
};

/// How documents are judged.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// How strictly.
    pub strictness: Strictness,
    /// Which addresses count, if those that do not are to be noted.
    pub guard: Option<Guard>,
    /// Whether each object that can be used is handed out as JSON, too.
    pub as_json: bool,
    /// Whether it is handed out, too, where each of its fields is.
    pub with_fields: bool,
}

impl From<Strictness> for Rules {
    fn from(strictness: Strictness) -> Self {
        Self { strictness, guard: None, as_json: false, with_fields: false }
    }
}

/// What there is to say of a text beside its objects.
pub(super) struct Ending {
    /// Syntax faults: of what follows nothing can be said.
    pub(super) faults: Vec<Note>,
    /// Whether more is wrong than is told.
    pub(super) more: bool,
}

/// A document, or an item of a list in one.
pub(super) struct Object {
    /// What it is, as far as kind, mesh and name can be read although something else is wrong.
    pub(super) identity: Option<Identity>,
    /// Where it begins.
    pub(super) at: Mark,
    /// Where its name is, or should be.
    pub(super) name: Mark,
    pub(super) verdict: Verdict,
    /// What of it does not count, though it can be used.
    pub(super) remarks: Vec<Note>,
    /// Where its fields are, if it can be used and [`Rules::with_fields`] says so.
    pub(super) fields: Option<Fields>,
}

/// What an object is taken for.
pub(super) enum Verdict {
    /// As JSON, too, if [`Rules::as_json`] says so.
    Read(Resource, Option<Box<str>>),
    /// What is wrong with it, in the order of places; empty if too much was told already of the objects before.
    Refused(Vec<Note>),
    /// Of no concern to routes. The note, if any, says why it is told: a kind that is not known, no resource at all.
    Passed(Option<Note>),
}

/// Reads all documents of a text and hands out each object, in the order of the text, before the next is read. The
/// items of lists are objects of their own. JSON is YAML.
pub(super) fn read(text: &str, rules: &Rules, take: &mut dyn FnMut(Object)) -> Ending {
    let strictness = rules.strictness.of(text.trim_start().starts_with('{'));
    let mut reading = Reading::new(text, strictness, rules, take);
    let mut faults = Vec::new();
    if let Err(Fault { at, message }) = reading.documents(text) {
        faults.push(Note { at, path: String::new(), message, suggestion: None });
    }
    let more = reading.notes.overflowed();
    Ending { faults, more }
}

/// Reads one item of a list of a server, which may be without a kind of its own, as [`read`] does.
pub(super) fn read_item(text: &str, (version, kind): (&str, &str), rules: &Rules) -> Option<Object> {
    let mut object = None;
    let mut take = |read| object = Some(read);
    let mut reading = Reading::new(text, rules.strictness, rules, &mut take);
    let of_list =
        Envelope { r#type: None, kind: Some(kind.to_owned()), api_version: Some(version.to_owned()) };
    let mut documents = Documents::new(text);
    if let Ok(Some(document)) = documents.next() {
        let content = match document {
            Document::Whole(content) => content,
            Document::WithItems(head) => documents.whole().ok()?.unwrap_or(head),
        };
        reading.content(&content, &Path::Root, Some(&of_list));
    }
    object
}

struct Reading<'t> {
    take: &'t mut dyn FnMut(Object),
    notes: Notes,
    strictness: Strictness,
    guard: Option<&'t Guard>,
    as_json: bool,
    with_fields: bool,
}

impl<'t> Reading<'t> {
    fn new(text: &str, strictness: Strictness, rules: &'t Rules, take: &'t mut dyn FnMut(Object)) -> Self {
        let notes = Notes::new(strictness, Limits::of(text.len()).resource);
        let Rules { guard, as_json, with_fields, .. } = rules;
        Self { take, notes, strictness, guard: guard.as_ref(), as_json: *as_json, with_fields: *with_fields }
    }
}

impl Reading<'_> {
    fn documents(&mut self, text: &str) -> Result<(), Fault> {
        let mut documents = Documents::new(text);
        while let Some(document) = documents.next()? {
            let content = match document {
                Document::Whole(content) => content,
                Document::WithItems(head) => match head.root().and_then(list) {
                    Some(of_list) if head.beyond.is_none() => {
                        self.items(&mut documents, &of_list)?;
                        continue;
                    }
                    _ => documents.whole()?.unwrap_or(head),
                },
            };
            if !content.root().is_some_and(Node::is_null) {
                self.content(&content, &Path::Root, None);
            }
        }
        Ok(())
    }

    /// Reads the items of a list, of which one is there at a time.
    fn items(&mut self, documents: &mut Documents<'_>, of_list: &Envelope) -> Result<(), Fault> {
        let path = Path::Field(&Path::Root, "items");
        let mut number = 0;
        while let Some(item) = documents.item()? {
            self.content(item, &Path::Index(&path, number), Some(of_list));
            number += 1;
        }
        Ok(())
    }

    fn content(&mut self, content: &Content, path: &Path<'_>, of_list: Option<&Envelope>) {
        let Some(node) = content.root() else { return };
        match content.beyond {
            Some(most) if node.is_mapping() => self.beginning(node, path, of_list, most),
            _ => self.object(node, path, of_list),
        }
    }

    /// Tells of an object of which only the beginning was read, since it has too many values.
    fn beginning(&mut self, node: Node<'_>, path: &Path<'_>, of_list: Option<&Envelope>, most: usize) {
        let envelope = envelope(node).filter(|envelope| *envelope != Envelope::default());
        let kind = envelope.as_ref().or(of_list).map(Kind::of);
        let reader = match kind {
            Some(Ok((Kind::Irrelevant, _))) => return self.pass(node, None),
            Some(Ok((kind, form))) if kind != Kind::List => {
                Some(Reader { kind, form, strictness: self.strictness })
            }
            _ => None,
        };
        self.notes.add(node.at(), path.to_string(), format!("has more than {most} values"), None);
        self.end(node, path, reader, None);
    }

    /// Reads a document, or an item of a list in one, which has the kind that the list says unless it has its own.
    fn object(&mut self, node: Node<'_>, path: &Path<'_>, of_list: Option<&Envelope>) {
        let Some(envelope) = self.envelope(node, path) else { return self.end(node, path, None, None) };
        let of_list = of_list.filter(|_| envelope == Envelope::default());
        let envelope = of_list.unwrap_or(&envelope);
        match Kind::of(envelope) {
            Ok((Kind::List, _)) => self.list(node, path, envelope.item().as_ref()),
            Ok((Kind::Irrelevant, _)) => self.pass(node, None),
            Ok((kind, form)) => {
                let reader = Reader { kind, form, strictness: self.strictness };
                self.resource(reader, node, path, of_list);
            }
            Err(_) if is_rest_list(node) => self.list(node, path, None),
            Err(wrong) if wrong.is_foreign && !has_lost_its_kind(node, envelope) => {
                let note = note(node, path, wrong);
                self.pass(node, Some(note));
            }
            Err(wrong) => {
                let Note { at, path: whole, message, suggestion } = note(node, path, wrong);
                self.notes.add(at, whole, message, suggestion);
                self.end(node, path, None, None);
            }
        }
    }

    fn resource(&mut self, reader: Reader, node: Node<'_>, path: &Path<'_>, of_list: Option<&Envelope>) {
        let encoding = reader.kind.encoding();
        let is_others = reader.kind.is_read_in_part();
        self.notes.begin_object(encoding, if is_others { Judging::Nothing } else { Judging::Everything });
        if let (Encoding::Schema, Some(spec)) = (encoding, node.get("spec")) {
            self.no_nulls(spec, &Path::Field(path, "spec"));
        }
        let read = reader.read(Lenient { node, path, notes: &mut self.notes });
        let resource = match read {
            Ok(Ok(None)) if self.notes.found() == 0 => {
                self.notes.end_object();
                let field = "spec.targetRef";
                let (at, path, suggestion) = (follow(node, field), path.join(field), None);
                let message = "is for builtin gateways only: it concerns no sidecar".to_owned();
                return self.pass(node, Some(Note { at, path, message, suggestion }));
            }
            Ok(Ok(resource)) => {
                resource.map(|resource| (resource, self.as_json.then(|| json::json(node, of_list)).flatten()))
            }
            Ok(Err(violations)) => {
                let mut places = Places::new(node);
                for violation in violations {
                    let whole = path.join(&violation.path);
                    if !self.notes.is_replaced(&whole) {
                        let at = places.find(&violation.path);
                        let suggestion = violation.suggestion.map(str::to_owned);
                        self.notes.add(at, whole, violation.message, suggestion);
                    }
                }
                None
            }
            Err(Refused { message, place }) => {
                let (at, path) = place.unwrap_or_else(|| (node.at(), path.to_string()));
                self.notes.add(at, path, message, None);
                None
            }
        };
        self.end(node, path, Some(reader), resource);
    }

    /// Ends an object that is of concern.
    fn end(
        &mut self,
        node: Node<'_>,
        path: &Path<'_>,
        reader: Option<Reader>,
        resource: Option<(Resource, Option<Box<str>>)>,
    ) {
        let wrong = self.notes.end_object();
        let name = reader.map_or(node.at(), |reader| follow(node, reader.form.name_path()));
        let (mut remarks, mut fields) = (Vec::new(), None);
        let (identity, verdict) = match (wrong, resource) {
            (None, Some((resource, json))) => {
                if let (Some(guard), Some(reader)) = (self.guard, reader) {
                    remarks = guarded::remarks(guard, &resource, reader.form, node);
                }
                fields = self.with_fields.then(|| Fields::of(node, path, name));
                (Some(resource.identity()), Verdict::Read(resource, json))
            }
            (wrong, _) => (
                reader.and_then(|reader| identity(node, reader)),
                Verdict::Refused(wrong.unwrap_or_default()),
            ),
        };
        (self.take)(Object { identity, at: node.at(), name, verdict, remarks, fields });
    }

    /// Kuma's schemas take no null, whatever the field.
    fn no_nulls(&mut self, node: Node<'_>, path: &Path<'_>) {
        for (i, item) in node.items().enumerate() {
            self.no_nulls(item, &Path::Index(path, i));
        }
        for (key, value) in node.entries() {
            if let Some(name) = key.text() {
                self.no_nulls(value, &Path::Field(path, name));
            }
        }
        if node.is_null() {
            self.notes.wrong_type(node, path, "a value");
        }
    }

    fn pass(&mut self, node: Node<'_>, note: Option<Note>) {
        let verdict = Verdict::Passed(note);
        let (at, remarks) = (node.at(), Vec::new());
        (self.take)(Object { identity: None, at, name: at, verdict, remarks, fields: None });
    }

    /// Reads the items of a list, which may be without a kind of their own.
    fn list(&mut self, node: Node<'_>, path: &Path<'_>, of_list: Option<&Envelope>) {
        let Some(items) = node.get("items").filter(|items| !items.is_null()) else { return };
        let path = Path::Field(path, "items");
        if !items.is_sequence() {
            self.notes.wrong_type(items, &path, "a list of objects");
            return self.end(node, &path, None, None);
        }
        for (i, item) in items.items().enumerate() {
            self.object(item, &Path::Index(&path, i), of_list);
        }
    }

    /// Enough of any object to tell what it is.
    fn envelope(&mut self, node: Node<'_>, path: &Path<'_>) -> Option<Envelope> {
        if !node.is_mapping() {
            self.notes.wrong_type(node, path, "a mapping");
            return None;
        }
        let before = self.notes.found();
        let mut field = |name: &str| {
            let value = node.get(name).filter(|value| !value.is_null())?;
            if value.text().is_none() {
                self.notes.wrong_type(value, &Path::Field(path, name), "a string");
            }
            value.text().map(str::to_owned)
        };
        let envelope =
            Envelope { r#type: field("type"), kind: field("kind"), api_version: field("apiVersion") };
        (self.notes.found() == before).then_some(envelope)
    }
}

/// What the items of a list are without a kind of their own, if this is one.
fn list(node: Node<'_>) -> Option<Envelope> {
    let envelope = envelope(node)?;
    match Kind::of(&envelope) {
        Ok((Kind::List, _)) => Some(envelope.item().unwrap_or_default()),
        Err(_) if is_rest_list(node) => Some(Envelope::default()),
        _ => None,
    }
}

/// What an object says it is, if nothing is wrong with that.
fn envelope(node: Node<'_>) -> Option<Envelope> {
    let field = |name: &str| match node.get(name).filter(|value| !value.is_null()) {
        Some(value) => value.text().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let fields = node.is_mapping().then(|| (field("type"), field("kind"), field("apiVersion")))?;
    Some(Envelope { r#type: fields.0?, kind: fields.1?, api_version: fields.2? })
}

fn note(node: Node<'_>, path: &Path<'_>, wrong: WrongKind) -> Note {
    let WrongKind { field, message, suggestion, .. } = wrong;
    Note {
        at: follow(node, field),
        path: path.join(field),
        message,
        suggestion: suggestion.map(str::to_owned),
    }
}

/// What `kumactl get` and Kuma's API print: `{total, items, next}`.
fn is_rest_list(node: Node<'_>) -> bool {
    node.get("items").is_some() && (node.get("total").is_some() || node.get("next").is_some())
}

/// Whether something without a kind looks like a resource, which must not get lost silently.
fn has_lost_its_kind(node: Node<'_>, envelope: &Envelope) -> bool {
    let has = |field: &str| node.get(field).is_some();
    let named = has("name") || has("metadata");
    *envelope == Envelope::default() && named && (has("spec") || has("mesh") || has("networking"))
}

/// What a resource is that cannot be read.
fn identity(node: Node<'_>, Reader { kind, form, .. }: Reader) -> Option<Identity> {
    let text = |node: Node<'_>, field: &str| {
        let text = node.get(field).filter(|value| !value.is_null()).and_then(Node::text);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mesh = text(node, "mesh");
    match form {
        Form::Universal => kind.identity(mesh, text(node, "name")?, None),
        Form::Kubernetes => {
            let metadata = node.get("metadata")?;
            let of_label = metadata.get("labels").and_then(|labels| text(labels, MESH_LABEL));
            kind.identity(mesh.or(of_label), text(metadata, "name")?, text(metadata, "namespace"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
