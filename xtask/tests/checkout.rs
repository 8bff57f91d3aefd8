//! What several files of the checkout say of the same thing is the same.

use std::{
    fs,
    path::{Path, PathBuf},
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
