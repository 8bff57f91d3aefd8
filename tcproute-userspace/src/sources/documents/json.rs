//! A tree to JSON on one line, from which the same object is read again.

use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use super::{node::Node, scalar::Scalar};
use crate::resources::wire::Envelope;

/// An object, with what its list says of its kind.
pub(super) fn json(node: Node<'_>, of_list: Option<&Envelope>) -> Option<Box<str>> {
    let json = match of_list {
        Some(envelope) if node.is_mapping() => serde_json::to_string(&Item { node, envelope }),
        _ => serde_json::to_string(&node),
    };
    json.ok().map(Into::into)
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(scalar) = self.scalar() else {
            return if self.is_mapping() {
                serializer.collect_map(self.entries().map(|(key, value)| (Key(key), value)))
            } else {
                serializer.collect_seq(self.items())
            };
        };
        match scalar {
            Scalar::Null => serializer.serialize_unit(),
            Scalar::Bool(value) => serializer.serialize_bool(value),
            Scalar::Integer(number) => serializer.serialize_i128(number),
            Scalar::Float(number) if number.is_finite() => serializer.serialize_f64(number),
            Scalar::Float(_) => serializer.serialize_str(self.text().unwrap_or_default()),
            Scalar::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A key as it is written: `8080:` is the text `8080`.
struct Key<'t>(Node<'t>);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text().unwrap_or_default())
    }
}

/// An item without a kind of its own.
struct Item<'t> {
    node: Node<'t>,
    envelope: &'t Envelope,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Envelope { r#type, kind, api_version } = self.envelope;
        for (name, value) in [("type", r#type), ("kind", kind), ("apiVersion", api_version)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (key, value) in self.node.entries() {
            map.serialize_entry(&Key(key), &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        resources::Resource,
        sources::documents::{Object, Rules, Verdict, read},
    };

    fn read_with_json(text: &str) -> Vec<(Resource, String)> {
        let mut all = Vec::new();
        let rules = Rules { as_json: true, ..Rules::default() };
        let ending = read(text, &rules, &mut |Object { verdict, .. }| match verdict {
            Verdict::Read(resource, json) => all.push((resource, json.unwrap().into())),
            Verdict::Refused(notes) => panic!("{:?}", notes[0].message),
            Verdict::Passed(_) => {}
        });
        assert!(ending.faults.is_empty());
        all
    }

    #[test]
    fn what_is_read_of_the_json_is_the_same() {
        let text = r#"
type: Mesh
name: m
---
type: Dataplane
mesh: m
name: '007'
networking:
  address: &own 192.0.2.1
  inbound:
    - {port: 0x50, servicePort: 8080, tags: {kuma.io/service: web, version: "1", "true": "no"}}
  outbound:
    - {port: 5432, address: *own, tags: {kuma.io/service: db}}
---
apiVersion: kuma.io/v1alpha1
kind: MeshTCPRouteList
items:
  - metadata: {name: a, namespace: x, labels: {kuma.io/mesh: m}}
    spec: {targetRef: {kind: Mesh}, to: [{targetRef: {kind: MeshService, name: db}, rules: [{default: {backendRefs: [{kind: MeshService, name: db, weight: 3}]}}]}]}
"#;
        let all = read_with_json(text);
        assert_eq!(all.len(), 3);
        for (resource, json) in all {
            assert!(!json.contains('\n'), "{json}");
            assert_eq!(read_with_json(&json), [(resource, json.clone())], "{json}");
        }
    }
}
