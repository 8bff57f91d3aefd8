//! What a control plane holds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{document::Document, version::Kind};

/// Resources by kind, mesh and name. It is sorted as lists are.
#[derive(Debug, Default)]
pub struct Store {
    kinds: BTreeMap<&'static str, BTreeMap<Key, Document>>,
    /// How often anything was put.
    puts: u64,
}

/// Mesh, which is empty for kinds that are in none, and name.
type Key = (String, String);

/// What has become of a resource that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there before.
    Created,
    /// It is in the place of an earlier one.
    Updated,
}

impl Store {
    /// Puts a resource there. Its kind, mesh, name and times are not read from its fields.
    pub fn put(
        &mut self,
        kind: &'static Kind,
        mesh: Option<&str>,
        name: &str,
        fields: Map<String, Value>,
    ) -> Put {
        let modified = self.tick();
        let sequence = self.puts;
        let key = key(mesh, name);
        let fields = Document::rest(fields);
        let documents = self.kinds.entry(kind.name).or_default();
        if let Some(there) = documents.get_mut(&key) {
            (there.fields, there.modified) = (fields, modified);
            return Put::Updated;
        }
        let (mesh, name) = (mesh.map(str::to_owned), name.to_owned());
        let created = modified.clone();
        documents.insert(key, Document { kind, mesh, name, created, modified, sequence, fields });
        Put::Created
    }

    /// Takes a resource away, and with a mesh all that is in it. Tells whether it was there.
    pub fn delete(&mut self, kind: &Kind, mesh: Option<&str>, name: &str) -> bool {
        let documents = self.kinds.get_mut(kind.name);
        let was_there = documents.is_some_and(|documents| documents.remove(&key(mesh, name)).is_some());
        if was_there && kind.name == "Mesh" {
            for documents in self.kinds.values_mut() {
                documents.retain(|(mesh, _), _| mesh != name);
            }
        }
        was_there
    }

    /// The resource, if it is there.
    pub fn get(&self, kind: &Kind, mesh: Option<&str>, name: &str) -> Option<&Document> {
        self.kinds.get(kind.name)?.get(&key(mesh, name))
    }

    /// All of a kind, or those of one mesh, by mesh and name.
    pub fn list(&self, kind: &Kind, mesh: Option<&str>) -> Vec<&Document> {
        let documents = self.kinds.get(kind.name).into_iter().flatten();
        let is_of_mesh = |(it, _): &&Key| mesh.is_none_or(|mesh| it == mesh);
        documents.filter(|(key, _)| is_of_mesh(key)).map(|(_, document)| document).collect()
    }

    /// Whether there is such a mesh.
    pub fn has_mesh(&self, name: &str) -> bool {
        self.kinds.get("Mesh").is_some_and(|meshes| meshes.contains_key(&key(None, name)))
    }

    /// Gives a resource another name, as when it was taken away and made again.
    pub(super) fn rename(&mut self, kind: &'static Kind, mesh: Option<&str>, from: &str, to: &str) {
        let there = self.kinds.get_mut(kind.name).and_then(|it| it.remove(&key(mesh, from)));
        if let Some(document) = there {
            self.put(kind, mesh, to, document.fields);
        }
    }

    /// A name that no other call has told.
    pub(super) fn new_name(&mut self, beginning: &str) -> String {
        self.puts += 1;
        format!("{beginning}{:09}", self.puts)
    }

    /// The time of a change, later than all before. It is made up, so that the same changes give the same answers.
    fn tick(&mut self) -> String {
        self.puts += 1;
        let nanos = u128::from(self.puts) * 1_000_861_453;
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let (minutes, hours, days) = (seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
        let fraction = format!("{fraction:09}");
        // Ends with the last digit that is not zero, as Go writes it.
        let fraction = fraction.trim_end_matches('0');
        let day = 1 + days % 28;
        format!("2026-01-{day:02}T{hours:02}:{minutes:02}:{:02}.{fraction}Z", seconds % 60)
    }
}

fn key(mesh: Option<&str>, name: &str) -> Key {
    (mesh.unwrap_or_default().to_owned(), name.to_owned())
}

/// The routes and permissions that 2.4 makes with each mesh. It makes timeouts and the like too, which nobody reads who
/// is after routes.
pub(super) fn defaults_of_mesh(mesh: &str) -> [(&'static str, String, Value); 2] {
    let all = json!([{"match": {"kuma.io/service": "*"}}]);
    let conf = json!({"loadBalancer": {"roundRobin": {}}, "destination": {"kuma.io/service": "*"}});
    [
        (
            "TrafficRoute",
            format!("route-all-{mesh}"),
            json!({"sources": all, "destinations": all, "conf": conf}),
        ),
        ("TrafficPermission", format!("allow-all-{mesh}"), json!({"sources": all, "destinations": all})),
    ]
}
