//! What is in the binary, as CycloneDX 1.5: each crate with its version, terms and place, and what needs what.
//!
//! <https://cyclonedx.org/docs/1.5/json/>

use anyhow::Result;
use serde_json::{Value, json};

use super::image::time;
use crate::licences::{self, Linked};

/// The document, of a version of tcproute and a time in seconds since 1970.
pub(super) fn document(version: &str, seconds: u64) -> Result<String> {
    let linked = licences::linked_crates()?;
    Ok(serde_json::to_string_pretty(&bill(version, &time(seconds)?, &linked))? + "\n")
}

fn bill(version: &str, time: &str, linked: &[Linked]) -> Value {
    let own = "tcproute";
    let components: Vec<Value> = linked.iter().map(component).collect();
    let all: Vec<String> = linked.iter().map(reference).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": own,
                "version": version,
                "licenses": [{"expression": "Apache-2.0 AND (MIT OR GPL-2.0-only)"}],
            },
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": all}],
    })
}

fn component(linked: &Linked) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(linked),
        "name": linked.name,
        "version": linked.version,
        "purl": reference(linked),
    });
    if let Some(license) = &linked.license {
        // Slashes were how Cargo said OR.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(repository) = &linked.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

/// <https://github.com/package-url/purl-spec>
fn reference(linked: &Linked) -> String {
    format!("pkg:cargo/{}@{}", linked.name, linked.version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_named_with_its_terms() {
        let linked = Linked {
            name: "aya".to_owned(),
            version: "0.14.0".to_owned(),
            license: Some("MIT/Apache-2.0".to_owned()),
            repository: Some("https://github.com/aya-rs/aya".to_owned()),
        };
        let bill = bill("0.1.0", "2026-01-01T00:00:00Z", &[linked]);
        assert_eq!(bill["metadata"]["component"]["version"], "0.1.0");
        let component = &bill["components"][0];
        assert_eq!(component["purl"], "pkg:cargo/aya@0.14.0");
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][0]["dependsOn"][0], "pkg:cargo/aya@0.14.0");
    }
}
