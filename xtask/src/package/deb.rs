//! A package of Debian, made by its own `dpkg-deb`: deb(5), deb-control(5).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    Packing, VERSION,
    content::{CONFIGURATION, Content, Places},
    template,
    tree::Tree,
};
use crate::{command, platform::Platform};

const PLACES: Places = Places { zsh: "usr/share/zsh/vendor-completions" };

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

pub(super) fn pack(packing: &Packing, platform: Platform, content: &Content<'_>) -> Result<PathBuf> {
    let root = packing.scratch("deb")?;
    let tree = content.tree(&PLACES)?;
    tree.write(&root, packing.time)?;
    control(platform, &tree)?.write(&root, packing.time)?;
    let package = file_in(&packing.directory, platform);
    let mut build = Command::new("dpkg-deb");
    // The fastest compression that all who read such packages know.
    build.args(["--root-owner-group", "-Zxz", "-z6", "--build"]).arg(&root).arg(&package);
    build.env("SOURCE_DATE_EPOCH", packing.time.to_string());
    command::capture(&mut build).context("cannot make the package of Debian")?;
    std::fs::remove_dir_all(root)?;
    Ok(package)
}

pub(super) fn file_in(directory: &Path, platform: Platform) -> PathBuf {
    directory.join(format!("tcproute_{VERSION}_{}.deb", platform.debian()))
}

/// What dpkg goes by.
fn control(platform: Platform, tree: &Tree) -> Result<Tree> {
    let mut control = Tree::default();
    let kibibytes = tree.size().div_ceil(1024).to_string();
    let values = [("version", VERSION), ("architecture", platform.debian()), ("kibibytes", &kibibytes)];
    control.file("DEBIAN/control", template("deb/control", &values)?);
    let configuration = CONFIGURATION.map(|path| format!("/{path}\n"));
    control.file("DEBIAN/conffiles", configuration.concat());
    for name in SCRIPTS {
        control.program(format!("DEBIAN/{name}"), template(&format!("deb/{name}"), &[])?);
    }
    Ok(control)
}
