//! CustomResourceDefinitions that make an API server take Kuma's kinds: of our own making, with Kuma's names and
//! scopes, and any fields. As in Kuma, `status` is a field like the others. Those of the Prometheus Operator have the
//! fields that the chart knows, so that others are refused.

use serde_json::{Value, json};

use super::{
    Api, Kind,
    kinds::{CUSTOM_RESOURCE_DEFINITION, KUMA, POD_MONITOR, PROMETHEUS_RULE},
};
use crate::wait_for;

/// What an API server is to know of a kind, of which objects may have any fields.
pub fn definition(kind: &Kind) -> Value {
    with_schema(kind, &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))
}

fn with_schema(kind: &Kind, schema: &Value) -> Value {
    let &Kind { group, version, name, plural, namespaced } = kind;
    let spec = json!({
        "group": group,
        "scope": if namespaced { "Namespaced" } else { "Cluster" },
        "names": {"kind": name, "listKind": format!("{name}List"), "plural": plural, "singular": name.to_lowercase()},
        "versions": [
            {"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
        ],
    });
    CUSTOM_RESOURCE_DEFINITION.object(&place(kind), json!({"spec": spec}))
}

fn place(kind: &Kind) -> String {
    format!("{}.{}", kind.plural, kind.group)
}

/// Makes the server take all of Kuma's kinds.
pub fn install_kuma(api: &Api) {
    install(api, &KUMA);
}

/// Makes the server take what the chart has for the Prometheus Operator.
pub fn install_monitoring(api: &Api) {
    for (kind, schema) in [(POD_MONITOR, pod_monitor()), (PROMETHEUS_RULE, prometheus_rule())] {
        api.create(&CUSTOM_RESOURCE_DEFINITION, &with_schema(&kind, &schema));
    }
    wait_until_served(api, &[POD_MONITOR, PROMETHEUS_RULE]);
}

/// Makes the server take these kinds, and waits until it does.
pub fn install(api: &Api, kinds: &[Kind]) {
    for kind in kinds {
        api.create(&CUSTOM_RESOURCE_DEFINITION, &definition(kind));
    }
    wait_until_served(api, kinds);
}

fn wait_until_served(api: &Api, kinds: &[Kind]) {
    for kind in kinds {
        wait_for(&format!("{} is established", kind.name), || {
            let there = api.get(&CUSTOM_RESOURCE_DEFINITION, &place(kind));
            there.is_some_and(|definition| is_established(&definition)) && is_served(api, kind)
        });
    }
}

/// Makes the server forget this kind and its objects, and waits until it has.
pub fn uninstall(api: &Api, kind: &Kind) {
    api.delete(&CUSTOM_RESOURCE_DEFINITION, &place(kind));
    wait_for(&format!("{} is gone", kind.name), || {
        api.get(&CUSTOM_RESOURCE_DEFINITION, &place(kind)).is_none() && !is_served(api, kind)
    });
}

/// An object with these fields and no others.
fn object(fields: &Value) -> Value {
    json!({"type": "object", "properties": fields})
}

fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

fn duration() -> Value {
    let pattern =
        "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$";
    json!({"type": "string", "pattern": pattern})
}

fn words() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

fn prometheus_rule() -> Value {
    let text = json!({"type": "string"});
    let rule = json!({
        "alert": text, "expr": text, "for": duration(), "labels": words(), "annotations": words(),
    });
    let group = object(&json!({"name": text, "rules": list(&object(&rule))}));
    object(&json!({"spec": object(&json!({"groups": list(&group)}))}))
}

fn pod_monitor() -> Value {
    let (text, boolean) = (json!({"type": "string"}), json!({"type": "boolean"}));
    let (duration, words) = (duration(), words());
    let mut key = object(&json!({"name": text, "key": text, "optional": boolean}));
    key["required"] = json!(["key"]);
    let either = object(&json!({"secret": key, "configMap": key}));
    let relabeling = object(&json!({
        "sourceLabels": list(&text), "separator": text, "targetLabel": text, "regex": text,
        "modulus": {"type": "integer"}, "replacement": text, "action": text,
    }));
    let endpoint = object(&json!({
        "port": text,
        "path": text,
        "scheme": {"type": "string", "enum": ["http", "https"]},
        "interval": duration,
        "scrapeTimeout": duration,
        "tlsConfig": object(&json!({
            "ca": either, "cert": either, "keySecret": key, "serverName": text, "insecureSkipVerify": boolean,
            "minVersion": text, "maxVersion": text,
        })),
        "authorization": object(&json!({"type": text, "credentials": key})),
        "relabelings": list(&relabeling),
        "metricRelabelings": list(&relabeling),
    }));
    let mut spec = object(&json!({
        "selector": object(&json!({"matchLabels": words})),
        "podMetricsEndpoints": list(&endpoint),
    }));
    spec["required"] = json!(["selector"]);
    object(&json!({"spec": spec}))
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|it| it["type"] == "Established" && it["status"] == "True")
    })
}

/// By asking, since an established kind may be served a moment later.
fn is_served(api: &Api, kind: &Kind) -> bool {
    api.ask("GET", &format!("{}?limit=1", kind.collection(None))).status == 200 && api.discovers(kind)
}
