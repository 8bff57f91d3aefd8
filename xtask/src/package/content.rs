//! What packages of both kinds have in them.

use std::{fs, path::Path};

use anyhow::Result;

use super::{
    name_of, sources,
    tree::{Tree, read},
};
use crate::workspace;

/// What is made before it is packed.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) binary: &'a Path,
    /// A directory with pages of the manual and completions.
    pub(super) manual: &'a Path,
    pub(super) third_parties: &'a Path,
    pub(super) sbom: &'a Path,
}

/// Where distributions differ.
pub(super) struct Places {
    pub(super) zsh: &'static str,
}

/// Files that the user's changes stay in.
pub(super) const CONFIGURATION: [&str; 1] = ["etc/tcproute/config.yaml"];

impl Content<'_> {
    pub(super) fn tree(&self, places: &Places) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.program_of("usr/bin/tcproute", self.binary)?;
        let unit = workspace::root().join("deploy/systemd/tcproute.service");
        tree.file("usr/lib/systemd/system/tcproute.service", read(&unit)?);
        tree.file("usr/lib/tmpfiles.d/tcproute.conf", read(&sources().join("tmpfiles.conf"))?);
        tree.file(CONFIGURATION[0], read(&sources().join("config.yaml"))?);
        for entry in fs::read_dir(self.manual)? {
            let path = entry?.path();
            let content = read(&path)?;
            match name_of(&path)? {
                "tcproute.bash" => tree.file("usr/share/bash-completion/completions/tcproute", content),
                "tcproute.fish" => tree.file("usr/share/fish/vendor_completions.d/tcproute.fish", content),
                name @ "_tcproute" => tree.file(format!("{}/{name}", places.zsh), content),
                page => tree.compressed(&format!("usr/share/man/man1/{page}"), &content)?,
            }
        }
        let documents = [
            workspace::root().join("CHANGELOG.md"),
            workspace::root().join("LICENSE"),
            sources().join("copyright"),
            self.third_parties.to_owned(),
        ];
        for path in documents {
            let (place, content) = (format!("usr/share/doc/tcproute/{}", name_of(&path)?), read(&path)?);
            if content.len() > 4096 {
                tree.compressed(&place, &content)?;
            } else {
                tree.file(place, content);
            }
        }
        // Read by programs, and so as it is.
        tree.file("usr/share/doc/tcproute/tcproute.cdx.json", read(self.sbom)?);
        Ok(tree)
    }
}
