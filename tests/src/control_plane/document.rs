//! One resource as it is held, and as a release tells it.

use serde_json::{Map, Value, json};

use super::version::{Kind, Version};

/// A resource. What a release adds of its own is added when it is told, so that the release may change meanwhile.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) kind: &'static Kind,
    /// Only of kinds that are within one.
    pub(super) mesh: Option<String>,
    pub(super) name: String,
    pub(super) created: String,
    pub(super) modified: String,
    /// How many were made before it.
    pub(super) sequence: u64,
    /// As given, without those that stand above.
    pub(super) fields: Map<String, Value>,
}

/// Fields that stand first, in this order.
const HEAD: [&str; 7] = ["type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri"];

/// Within a mesh, but made by global control planes only.
const OF_GLOBAL: [&str; 1] = ["MeshMultiZoneService"];

impl Document {
    /// All but what stands in the head.
    pub(super) fn rest(mut fields: Map<String, Value>) -> Map<String, Value> {
        fields.retain(|key, _| key == "labels" || !HEAD.contains(&key.as_str()));
        fields
    }

    /// The whole of it, as this release tells it.
    pub(super) fn text(&self, version: Version, is_global: bool) -> String {
        let mut text = Text::default();
        text.put("type", &self.kind.name.into());
        if let Some(mesh) = &self.mesh {
            text.put("mesh", &mesh.as_str().into());
        }
        text.put("name", &self.name.as_str().into());
        text.put("creationTime", &self.created.as_str().into());
        text.put("modificationTime", &self.modified.as_str().into());
        if version == Version::V2_14 {
            let labels = self.labels(is_global);
            if !labels.is_empty() {
                text.put("labels", &Value::Object(labels.clone()));
            }
            if !self.kind.short.is_empty() {
                text.put("kri", &self.kri(&labels).into());
            }
        }
        let is_told = |key: &&String| version == Version::V2_4 || *key != "labels";
        for key in self.fields.keys().filter(is_told) {
            text.put(key, &self.field(key, version, is_global));
        }
        text.end()
    }

    /// Only the names of it.
    pub(super) fn bare(&self) -> String {
        let mut text = Text::default();
        text.put("type", &self.kind.name.into());
        if let Some(mesh) = &self.mesh {
            text.put("mesh", &mesh.as_str().into());
        }
        text.put("name", &self.name.as_str().into());
        text.end()
    }

    /// Those that were given stay as they are.
    fn labels(&self, is_global: bool) -> Map<String, Value> {
        let mut labels = self.fields.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut add = |key: &str, value: &str| {
            labels.entry(key).or_insert_with(|| value.into());
        };
        let Some(mesh) = &self.mesh else { return labels };
        add("kuma.io/mesh", mesh);
        let is_of_zone = !self.kind.short.is_empty() && !OF_GLOBAL.contains(&self.kind.name);
        if is_of_zone && !is_global {
            add("kuma.io/env", "universal");
            add("kuma.io/origin", "zone");
            add("kuma.io/zone", "default");
        }
        if self.kind.name == "Dataplane" {
            let networking = self.fields.get("networking");
            let gateway = networking.and_then(|networking| networking.pointer("/gateway/type"));
            // A delegated one has a sidecar as well.
            let is_gateway = gateway.is_some_and(|kind| kind == "BUILTIN");
            labels.insert("kuma.io/proxy-type".into(), if is_gateway { "gateway" } else { "sidecar" }.into());
        }
        labels
    }

    fn kri(&self, labels: &Map<String, Value>) -> String {
        let zone = labels.get("kuma.io/zone").and_then(Value::as_str).unwrap_or_default();
        let mesh = self.mesh.as_deref().unwrap_or_default();
        format!("kri_{}_{mesh}_{zone}__{}_", self.kind.short, self.name)
    }

    /// A later release tells of inbounds and gateways in which zone they are.
    fn field(&self, key: &str, version: Version, is_global: bool) -> Value {
        let mut value = self.fields[key].clone();
        if self.kind.name != "Dataplane" {
            return value;
        }
        let gateway = value.get_mut("gateway").and_then(Value::as_object_mut);
        if let Some(gateway) = gateway {
            // What is so without a word is not told.
            gateway.retain(|key, value| key != "type" || value != "DELEGATED");
        }
        if version == Version::V2_14 && !is_global {
            let inbounds = value.get_mut("inbound").and_then(Value::as_array_mut);
            inbounds.into_iter().flatten().for_each(with_zone);
            value.get_mut("gateway").into_iter().for_each(with_zone);
        }
        value
    }
}

fn with_zone(tagged: &mut Value) {
    if let Some(tags) = tagged.get_mut("tags").and_then(Value::as_object_mut) {
        tags.entry("kuma.io/zone").or_insert_with(|| "default".into());
    }
}

/// An object whose fields come in the order in which they are put.
#[derive(Default)]
struct Text(String);

impl Text {
    fn put(&mut self, key: &str, value: &Value) {
        let separator = if self.0.is_empty() { '{' } else { ',' };
        self.0.push(separator);
        self.0.push_str(&json!(key).to_string());
        self.0.push(':');
        self.0.push_str(&value.to_string());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
