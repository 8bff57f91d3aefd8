//! Names and addresses as others, for bundles that go to people who must not know them. The same name is the same
//! pseudonym in all parts of a bundle, so that they can still be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::LazyLock,
};

use regex::{Captures, Regex};
use serde_json::Value;

use super::Content;

/// Where in JSON names stand that others have given.
const NAMED: [&str; 9] =
    ["mesh", "dataplane", "dataplanes", "service", "backend", "target", "subject", "host", "source"];

/// What everybody calls something tells nothing, and shorter names would be found everywhere.
const TELLS_NOTHING: [&str; 5] = ["default", "files", "kubernetes", "control-plane", "tcproute"];
const SHORTEST: usize = 3;

/// What an address may look like, and a bit more.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b|(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})";
    Regex::new(pattern).expect("it is tested")
});

/// Of a bundle.
#[derive(Debug, Default)]
pub(super) struct Pseudonyms {
    /// The longest first, since one may be a part of another.
    names: Vec<(String, String)>,
    addresses: BTreeMap<IpAddr, String>,
}

impl Pseudonyms {
    /// For the names in these parts.
    pub(super) fn of<'c>(parts: impl Iterator<Item = &'c Content>) -> Self {
        let mut names = BTreeSet::new();
        for content in parts {
            if let Content::Json(value) = content {
                collect(value, false, &mut names);
            }
        }
        let names =
            names.into_iter().enumerate().map(|(i, name)| (name.to_owned(), format!("name-{}", i + 1)));
        let mut names: Vec<(String, String)> = names.collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { names, addresses: BTreeMap::new() }
    }

    /// A part with pseudonyms in it.
    pub(super) fn put(&mut self, content: Content) -> Content {
        content.map(&mut |text| self.put_text(text))
    }

    pub(super) fn put_text(&mut self, text: &str) -> String {
        let addresses = &mut self.addresses;
        let mut text = ADDRESS
            .replace_all(text, |found: &Captures<'_>| {
                let Ok(address) = found[0].parse::<IpAddr>() else { return found[0].to_owned() };
                if address.is_loopback() || address.is_unspecified() {
                    return found[0].to_owned();
                }
                let next = addresses.len() + 1;
                addresses.entry(address).or_insert_with(|| format!("address-{next}")).clone()
            })
            .into_owned();
        for (name, pseudonym) in &self.names {
            if text.contains(name.as_str()) {
                text = text.replace(name.as_str(), pseudonym);
            }
        }
        text
    }
}

fn collect<'v>(value: &'v Value, is_name: bool, names: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(name) if is_name => {
            let tells = name.len() >= SHORTEST && !TELLS_NOTHING.contains(&name.as_str());
            if tells {
                names.insert(name);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, is_name, names)),
        Value::Object(all) => {
            all.iter().for_each(|(name, value)| collect(value, NAMED.contains(&name.as_str()), names));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_is_called_the_same_in_all_parts() {
        let status = Content::Json(json!({"workloads": [
            {"mesh": "default", "dataplane": "shop-web", "cgroup": "/shop-web.service"},
            {"mesh": "default", "dataplane": "shop", "address": "10.1.2.3:80"},
        ]}));
        let log = Content::Text(
            "shop-web and shop at [fd00::1]:80, 10.1.2.3, 127.0.0.1, ::1, 12:34:56\n".to_owned(),
        );
        let mut pseudonyms = Pseudonyms::of([&status, &log].into_iter());
        let expected = json!({"workloads": [
            {"mesh": "default", "dataplane": "name-2", "cgroup": "/name-2.service"},
            {"mesh": "default", "dataplane": "name-1", "address": "address-1:80"},
        ]});
        assert_eq!(pseudonyms.put(status), Content::Json(expected));
        let expected = "name-2 and name-1 at [address-2]:80, address-1, 127.0.0.1, ::1, 12:34:56\n";
        assert_eq!(pseudonyms.put(log), Content::Text(expected.to_owned()));
    }
}
