//! Resources that are put and deleted by REST.

use serde_json::{Map, Value};

use super::{
    answer::Answer,
    errors,
    options::Options,
    store::{self, Put, Store},
    version::{Kind, Version},
};

/// A kind, a mesh if it is within one, and a name.
type Place<'a> = (&'static Kind, Option<&'a str>, &'a str);

/// Puts a resource there as it is: fields are not validated.
pub(super) fn put(
    store: &mut Store,
    options: &Options,
    (kind, mesh, name): Place<'_>,
    body: &[u8],
) -> Answer {
    let version = options.version;
    let is_of_no_mesh = mesh.is_some_and(|mesh| !store.has_mesh(mesh));
    if is_of_no_mesh && version == Version::V2_14 {
        return errors::no_mesh();
    }
    let fields: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(fields) => fields,
        Err(error) => return not_json(version, kind, &error),
    };
    let is = |key: &str, value: &str| fields.get(key).and_then(Value::as_str) == Some(value);
    let wrong = |field: &str| {
        let reason = format!("{field} from the URL has to be the same as in body");
        errors::field("Could not process a resource", "Resource is not valid", field, &reason)
    };
    if !is("name", name) {
        return wrong("name");
    }
    if mesh.is_some_and(|mesh| !is("mesh", mesh)) {
        return wrong("mesh");
    }
    if is_of_no_mesh {
        let reason = format!("mesh of name {} is not found", mesh.unwrap_or_default());
        return errors::field("Could not create a resource", "Mesh is not found", "mesh", &reason);
    }
    let warnings = warnings(&fields);
    let put = store.put(kind, mesh, name, fields);
    if kind.name == "Mesh" && put == Put::Created && version == Version::V2_4 {
        with_defaults(store, name);
    }
    let status = if put == Put::Created { 201 } else { 200 };
    match version {
        Version::V2_4 => Answer::empty(status),
        Version::V2_14 => Answer::json(status, warnings),
    }
}

fn with_defaults(store: &mut Store, mesh: &str) {
    for (kind, name, fields) in store::defaults_of_mesh(mesh) {
        if let (Some(kind), Value::Object(fields)) = (Version::V2_4.kind_named(kind), fields) {
            store.put(kind, Some(mesh), &name, fields);
        }
    }
}

fn not_json(version: Version, kind: &Kind, error: &serde_json::Error) -> Answer {
    let why = if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
    let why = match version {
        Version::V2_4 => format!("'{why}'"),
        Version::V2_14 => Value::from(why).to_string(),
    };
    errors::standard(400, "Bad Request", &format!("invalid {} object: {why}", kind.name))
}

/// Of deprecated fields the one that routes of 2.4 have.
fn warnings(fields: &Map<String, Value>) -> String {
    let target = fields.get("spec").and_then(|spec| spec.pointer("/targetRef/kind")).and_then(Value::as_str);
    match target {
        Some("MeshService") => {
            r#"{"warnings":["MeshService value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"]}"#
                .to_owned()
        }
        _ => "{}".to_owned(),
    }
}

pub(super) fn delete(store: &mut Store, version: Version, (kind, mesh, name): Place<'_>) -> Answer {
    if version == Version::V2_14 && mesh.is_some_and(|mesh| !store.has_mesh(mesh)) {
        return errors::no_mesh();
    }
    let dataplanes = version.kind_named("Dataplane").filter(|_| kind.name == "Mesh");
    if dataplanes.is_some_and(|dataplanes| !store.list(dataplanes, Some(name)).is_empty()) {
        let reason = "unable to delete mesh, there are still some dataplanes attached";
        return errors::field("Could not delete a resource", "Resource is not valid", "mesh", reason);
    }
    if !store.delete(kind, mesh, name) {
        return errors::standard(404, "Could not delete a resource", "Not found");
    }
    match version {
        Version::V2_4 => Answer::empty(200),
        Version::V2_14 => Answer::json(200, "{}".to_owned()),
    }
}
