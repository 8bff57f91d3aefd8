//! A package of RPM, made by its own `rpmbuild`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    Packing, VERSION,
    content::{CONFIGURATION, Content, Places},
    sources,
    tree::Tree,
};
use crate::{command, platform::Platform};

const PLACES: Places = Places { zsh: "usr/share/zsh/site-functions" };

pub(super) fn pack(packing: &Packing, platform: Platform, content: &Content<'_>) -> Result<PathBuf> {
    let scratch = packing.scratch("rpm")?;
    let (stage, list) = (scratch.join("stage"), scratch.join("files"));
    let tree = content.tree(&PLACES)?;
    tree.write(&stage, packing.time)?;
    fs::write(&list, file_list(&tree))?;
    let mut build = Command::new("rpmbuild");
    build.args(["-bb", "--quiet", "--target", &format!("{platform}-linux")]);
    let define = |build: &mut Command, name: &str, value: &str| {
        build.arg("--define").arg(format!("{name} {value}"));
    };
    let shown = |path: &Path| path.display().to_string();
    define(&mut build, "package_version", VERSION);
    define(&mut build, "stage", &shown(&stage));
    define(&mut build, "file_list", &shown(&list));
    define(&mut build, "_topdir", &shown(&scratch.join("build")));
    define(&mut build, "_dbpath", &shown(&scratch.join("database")));
    define(&mut build, "_rpmdir", &shown(&packing.directory));
    define(&mut build, "_rpmfilename", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm");
    build.arg(sources().join("rpm/tcproute.spec")).env("SOURCE_DATE_EPOCH", packing.time.to_string());
    command::capture(&mut build).context("cannot make the package of RPM")?;
    fs::remove_dir_all(scratch)?;
    Ok(packing.directory.join(format!("tcproute-{VERSION}-1.{platform}.rpm")))
}

/// The `%files` of the spec.
fn file_list(tree: &Tree) -> String {
    let line = |path: &str| {
        let kind = if CONFIGURATION.contains(&path) { "%config(noreplace) " } else { "" };
        format!("%attr(-, root, root) {kind}/{path}\n")
    };
    tree.paths().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_leaves_the_configuration_as_it_is() {
        let mut tree = Tree::default();
        tree.file("etc/tcproute/config.yaml", "");
        tree.program("usr/bin/tcproute", "");
        assert_eq!(
            file_list(&tree),
            "%attr(-, root, root) %config(noreplace) /etc/tcproute/config.yaml\n\
             %attr(-, root, root) /usr/bin/tcproute\n"
        );
    }
}
