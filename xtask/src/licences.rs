//! `cargo xtask licences`: the third parties whose code is in `tcproute` or in the eBPF programs, with the terms that
//! are to be handed on with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{command, platform::Platform, workspace};

/// What is shipped.
const SHIPPED: [&str; 2] = ["tcproute-userspace", "tcproute-ebpf"];

/// How files with terms begin.
const TERMS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// What `cargo metadata` tells, as far as it is of use here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    /// None is of this workspace.
    source: Option<String>,
}

/// A crate whose code is in what is shipped.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// By SPDX.
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
}

/// All of them, by name.
pub(crate) fn linked_crates() -> Result<Vec<Linked>> {
    let metadata = Metadata::read()?;
    let linked = metadata.third_parties(&linked()?).into_iter().map(|package| Linked {
        name: package.name.clone(),
        version: package.version.clone(),
        license: package.license.clone(),
        repository: package.repository.clone(),
    });
    Ok(linked.collect())
}

/// Writes the list, and tells where it is.
pub(crate) fn run() -> Result<PathBuf> {
    let metadata = Metadata::read()?;
    let list = workspace::target().join("THIRD-PARTY.md");
    fs::write(&list, page(&metadata.third_parties(&linked()?), terms_of)?)
        .with_context(|| format!("cannot write {}", list.display()))?;
    Ok(list)
}

/// What is linked into what is shipped, as `cargo tree` shows it: `name v1.0.0`. The graph of `cargo metadata` has
/// more: what no feature asks for. Macros run in the compiler, and so does what they use.
fn linked() -> Result<BTreeSet<String>> {
    let mut tree = command::cargo();
    tree.args(["tree", "--edges=normal,no-proc-macro", "--prefix=none", "--no-dedupe", "--format={p}"]);
    tree.args(SHIPPED.iter().flat_map(|package| ["--package", package]));
    tree.args(Platform::ALL.iter().flat_map(|platform| ["--target", platform.target()]));
    Ok(command::capture(&mut tree)?.lines().map(str::to_owned).collect())
}

impl Metadata {
    fn read() -> Result<Self> {
        let mut metadata = command::cargo();
        metadata.args(["metadata", "--format-version=1"]);
        serde_json::from_str(&command::capture(&mut metadata)?)
            .context("cargo metadata has another form than expected")
    }

    /// By name.
    fn third_parties(&self, linked: &BTreeSet<String>) -> Vec<&Package> {
        let mut found: Vec<_> = self
            .packages
            .iter()
            .filter(|package| package.source.is_some())
            .filter(|Package { name, version, .. }| linked.contains(&format!("{name} v{version}")))
            .collect();
        found.sort_by_key(|package| (&package.name, &package.version));
        found
    }
}

/// The texts that a package comes with.
fn terms_of(package: &Package) -> Result<Vec<String>> {
    let directory = package.manifest_path.parent().unwrap_or(Path::new("/"));
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && is_terms(path))
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim().to_owned())
    };
    files.iter().map(read).collect()
}

fn is_terms(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    TERMS.iter().any(|beginning| name.starts_with(beginning))
}

const HEAD: &str = "# Third parties

The code of these crates is in `tcproute` or in its eBPF programs. Rust's own library is under MIT or Apache-2.0.

| Crate | Version | Licence | From |
|---|---|---|---|
";

/// A table of all, and each text once.
fn page(packages: &[&Package], terms_of: impl Fn(&Package) -> Result<Vec<String>>) -> Result<String> {
    ensure!(!packages.is_empty(), "nothing is linked into what is shipped");
    let mut page = HEAD.to_owned();
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut without = Vec::new();
    for package in packages {
        let Package { name, version, license, repository, .. } = package;
        let license = license.as_deref().with_context(|| format!("{name} {version} names no licence"))?;
        let from = repository.as_deref().unwrap_or("crates.io");
        writeln!(page, "| {name} | {version} | {license} | {from} |")?;
        let terms = terms_of(package)?;
        if terms.is_empty() {
            without.push(name.as_str());
        }
        for text in terms {
            texts.entry(text).or_default().push(name);
        }
    }
    page.push_str("\n# Their terms\n");
    if !without.is_empty() {
        writeln!(page, "\nThese come with the name of their licence alone: {}.", without.join(", "))?;
    }
    // Those that most share come first.
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by_key(|(_, of)| (std::cmp::Reverse(of.len()), of[0]));
    for (text, of) in texts {
        let quoted: Vec<String> =
            text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect();
        write!(page, "\nOf {}:\n\n{}\n", of.join(", "), quoted.join("\n"))?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the workspace, two that are linked, one that is not.
    fn metadata() -> Metadata {
        let package = |name: &str, source: Option<&str>| {
            serde_json::json!({
                "name": name, "version": "1.0.0", "license": "MIT", "repository": null,
                "manifest_path": format!("/{name}/Cargo.toml"), "source": source,
            })
        };
        let packages = [
            package("own", None),
            package("one", Some("registry")),
            package("another", Some("registry")),
            package("unused", Some("registry")),
        ];
        serde_json::from_value(serde_json::json!({"packages": packages})).unwrap()
    }

    fn linked() -> BTreeSet<String> {
        ["own v1.0.0", "one v1.0.0", "another v1.0.0", "unused v2.0.0"].map(str::to_owned).into()
    }

    #[test]
    fn only_what_is_linked_is_listed() {
        let metadata = metadata();
        let names: Vec<_> =
            metadata.third_parties(&linked()).iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["another", "one"]);
    }

    #[test]
    fn each_text_is_there_once() {
        let metadata = metadata();
        let terms =
            |package: &Package| Ok(vec!["Do as you like.\n\nBut say so.".to_owned(), package.name.clone()]);
        let page = page(&metadata.third_parties(&linked()), terms).unwrap();
        assert!(page.contains("| one | 1.0.0 | MIT | crates.io |\n"), "{page}");
        assert!(page.contains("\nOf another, one:\n\n    Do as you like.\n\n    But say so.\n"), "{page}");
        assert!(page.ends_with("\nOf another:\n\n    another\n\nOf one:\n\n    one\n"), "{page}");
    }

    #[test]
    fn files_with_terms_are_known_by_their_names() {
        for (name, is) in
            [("LICENSE-MIT", true), ("license.txt", true), ("COPYING", true), ("README.md", false)]
        {
            assert_eq!(is_terms(Path::new(name)), is, "{name}");
        }
    }
}
