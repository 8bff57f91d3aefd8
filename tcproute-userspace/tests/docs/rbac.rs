//! The manifests in `deploy/` ask for what the code asks for.

use std::{env, fs};

use tcproute::sources::kubernetes::rbac::manifests;

use crate::{command_line::WRITE, pages::root};

const FILE: &str = "deploy/kubernetes/rbac.yaml";

#[test]
fn the_rules_for_the_api_server_are_those_of_the_code() {
    let (path, file) = (root().join(FILE), manifests("tcproute", "tcproute", "kuma-system"));
    if env::var_os(WRITE).is_some() {
        fs::write(&path, file).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == file,
        "{FILE} is of another day: run `cargo xtask docs`"
    );
}
