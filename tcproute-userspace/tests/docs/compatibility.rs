//! The page on compatibility speaks of every field and every kind that is read.

use std::{collections::BTreeSet, fs};

use crate::pages::{files, root};

/// What stands in backticks on the page, word by word.
fn spoken_of() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/reference/compatibility.md")).unwrap();
    // Kinds have headings of their own.
    let headings = page.lines().filter(|line| line.starts_with("## ") || line.starts_with("**"));
    let quoted = page.split('`').skip(1).step_by(2);
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
    let prose = page.split_whitespace().filter(|word| word.starts_with("Mesh"));
    headings.chain(quoted).chain(prose).flat_map(words).collect()
}

/// As serde names the fields of the structs.
fn fields(source: &str) -> BTreeSet<String> {
    let renamed = source.split("rename = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = source.lines().filter_map(|line| line.strip_prefix("    pub(crate) ")?.split_once(": Option<"));
    let own = own.map(|(name, _)| camel_case(name.trim_start_matches("r#")));
    renamed.map(str::to_owned).chain(own).collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let (head, tail) = word.split_at(1);
        all + &head.to_uppercase() + tail
    })
}

#[test]
fn every_field_that_is_read_is_spoken_of() {
    let wire = "tcproute-userspace/src/resources/wire";
    let wire = files("rs").into_iter().filter(|file| file.path.with_extension("").starts_with(wire));
    let mut fields: BTreeSet<String> = wire.flat_map(|file| fields(&file.text)).collect();
    assert!(fields.len() > 100, "{fields:?}");
    // Where each document keeps what it has, and names for one thing that have others.
    for own in ["spec", "clusterIp", "clusterIps"] {
        fields.remove(own);
    }
    let spoken_of = spoken_of();
    let missing: Vec<_> = fields.iter().filter(|field| !spoken_of.contains(*field)).collect();
    assert!(missing.is_empty(), "docs/reference/compatibility.md does not speak of {missing:?}");
}

#[test]
fn every_kind_that_is_known_is_spoken_of() {
    let source = fs::read_to_string(root().join("tcproute-userspace/src/resources/kinds.rs")).unwrap();
    let lists = source.lines().filter_map(|line| line.strip_prefix("    \"")?.strip_suffix("\","));
    let read = source.lines().filter_map(|line| line.strip_prefix("    (")?.split_once("::KIND"));
    let read = read.map(|(name, _)| name.replace("Tcp", "TCP").replace("Http", "HTTP").replace("Tls", "TLS"));
    let kinds: BTreeSet<String> = lists.map(str::to_owned).chain(read).collect();
    assert!(kinds.len() > 50, "{kinds:?}");
    let spoken_of = spoken_of();
    let missing: Vec<_> = kinds.iter().filter(|kind| !spoken_of.contains(*kind)).collect();
    assert!(missing.is_empty(), "docs/reference/compatibility.md does not speak of {missing:?}");
}
