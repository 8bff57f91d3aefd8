//! Where a resource that a test has written goes.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::version::Version;

/// The place of a resource, and the resource with its mesh named, as `kumactl apply` would send it.
pub(super) fn place(version: Version, document: &Value) -> (String, Value) {
    let mut fields: Map<String, Value> = document.as_object().expect("a resource is an object").clone();
    let text =
        |fields: &Map<String, Value>, key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = text(&fields, "type").unwrap_or_else(|| panic!("no type: {document}"));
    let name = text(&fields, "name").unwrap_or_else(|| panic!("no name: {document}"));
    let mesh = text(&fields, "mesh").unwrap_or_else(|| "default".to_owned());
    let path = path(version, &kind, &mesh, &name);
    if path.starts_with("/meshes/") && kind != "Mesh" {
        fields.insert("mesh".to_owned(), mesh.into());
    }
    (path, fields.into())
}

/// Where a resource is.
pub(super) fn path(version: Version, kind: &str, mesh: &str, name: &str) -> String {
    let found = version.kind_named(kind);
    let kind = found.unwrap_or_else(|| panic!("{} has no {kind}", version.number()));
    if kind.in_mesh {
        format!("/meshes/{mesh}/{}/{name}", kind.path)
    } else {
        format!("/{}/{name}", kind.path)
    }
}

/// The resources of a text, which may be several documents.
pub(super) fn of_yaml(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents = documents.map(|it| it.unwrap_or_else(|error| panic!("{error} in:\n{text}")));
    documents.filter(|document| !document.is_null()).collect()
}
