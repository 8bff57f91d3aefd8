//! What several files of the checkout say of the same thing is the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The string that a key of a TOML file has.
fn value(toml: &str, key: &str) -> String {
    let assigned = format!("{key} = \"");
    let rest = toml.lines().find_map(|line| line.strip_prefix(&assigned));
    rest.and_then(|rest| rest.strip_suffix('"')).unwrap_or_else(|| panic!("no {key}: {toml}")).to_owned()
}

#[test]
fn the_oldest_rust_is_the_tested_one() {
    let tested = value(&read("rust-toolchain.toml"), "channel");
    let (tested, _patch) = tested.rsplit_once('.').unwrap();
    assert_eq!(value(&read("Cargo.toml"), "rust-version"), tested);
    assert_eq!(env!("CARGO_PKG_RUST_VERSION"), tested);
}

/// What the kernel is told decides which helpers the programs may call, so what people are told must be the same.
#[test]
fn the_licence_of_the_programs_is_the_one_that_the_kernel_is_told() {
    for program in ["main.rs", "bin/lru_balancer.rs"] {
        let source = read(&format!("tcproute-ebpf/src/{program}"));
        assert!(source.contains(r#"*b"Dual MIT/GPL\0""#), "{program}");
    }
    assert_eq!(value(&read("tcproute-ebpf/Cargo.toml"), "license"), "MIT OR GPL-2.0-only");
    assert!(read("tcproute-ebpf/LICENSE-GPL").contains("Version 2, June 1991"));
    for part in ["tcproute-ebpf", "tcproute-common"] {
        let licence = value(&read(&format!("{part}/Cargo.toml")), "license");
        assert!(licence.split(" OR ").any(|one| one == "MIT"), "{part}: {licence}");
        assert!(read(&format!("{part}/LICENSE-MIT")).contains("Permission is hereby granted"));
        let sources = sources_below(&path(&format!("{part}/src")));
        assert!(!sources.is_empty());
        for source in sources {
            let first = format!("// SPDX-License-Identifier: {licence}\n");
            assert!(fs::read_to_string(&source).unwrap().starts_with(&first), "{}", source.display());
        }
    }
}

/// Files are named by the end of their path, and folders by their whole path.
#[test]
fn the_files_that_a_contributor_is_sent_to_are_there() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(path("")).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("SKIPPED: no git, or no checkout");
        return;
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let page = read("CONTRIBUTING.md");
    // What stands between backticks is every second part.
    let named: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| !code.contains([' ', '*']) && !code.contains("NAME") && !code.starts_with("target/"))
        .filter(|code| {
            code.ends_with('/') || [".rs", ".md", ".toml", ".json"].iter().any(|end| code.ends_with(end))
        })
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let is_there = |file: &str| {
            if name.ends_with('/') {
                file.starts_with(name)
            } else {
                file == name || file.ends_with(&format!("/{name}"))
            }
        };
        assert!(listed.lines().any(is_there), "{name}");
    }
}

fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(directories.iter().flat_map(|directory| sources_below(directory))).collect()
}
