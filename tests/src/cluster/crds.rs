//! CustomResourceDefinitions that make an API server take Kuma's kinds: of our own making, with Kuma's names and
//! scopes, and any fields. As in Kuma, `status` is a field like the others.

use serde_json::{Value, json};

use super::{
    Api, Kind,
    kinds::{CUSTOM_RESOURCE_DEFINITION, KUMA},
};
use crate::wait_for;

/// What an API server is to know of a kind.
pub fn definition(kind: &Kind) -> Value {
    let &Kind { group, version, name, plural, namespaced } = kind;
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let spec = json!({
        "group": group,
        "scope": if namespaced { "Namespaced" } else { "Cluster" },
        "names": {"kind": name, "listKind": format!("{name}List"), "plural": plural, "singular": name.to_lowercase()},
        "versions": [
            {"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": anything}},
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

/// Makes the server take these kinds, and waits until it does.
pub fn install(api: &Api, kinds: &[Kind]) {
    for kind in kinds {
        api.create(&CUSTOM_RESOURCE_DEFINITION, &definition(kind));
    }
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
