//! The files of resources, and the ways in which they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// Another file takes its place.
    Rename,
    /// By truncating it.
    InPlace,
}

pub(crate) struct Files {
    directory: tempfile::TempDir,
    written: BTreeMap<String, String>,
}

/// Bytes that are written at once.
const AT_ONCE: usize = 65_536;

/// What cannot be used.
pub(crate) const BROKEN: [&str; 4] = [
    "type: [\n",
    "type: MeshTCPRoute\nname: x\nspec:\n  targetRef: {kind: Nonsense}\n",
    "type: Dataplane\nname: y\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  - {port: 70000}\n",
    "- not a resource\n",
];

impl Files {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a directory for resources")?;
        Ok(Self { directory, written: BTreeMap::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes what differs and removes what is not wanted.
    pub(crate) fn write(&mut self, files: BTreeMap<String, String>, style: Style) -> Result<()> {
        let names: BTreeSet<&String> = files.keys().chain(self.written.keys()).collect();
        for name in names {
            match files.get(name) {
                Some(text) if self.written.get(name) != Some(text) => self.put(name, text, style)?,
                Some(_) => {}
                None => fs::remove_file(self.path().join(name))?,
            }
        }
        self.written = files;
        Ok(())
    }

    fn put(&self, name: &str, text: &str, style: Style) -> Result<()> {
        let path = self.path().join(name);
        // While more is written in place, others see half of it.
        let style = if text.len() > AT_ONCE { Style::Rename } else { style };
        match style {
            Style::Rename => {
                let new = path.with_extension("new");
                fs::write(&new, text)?;
                fs::rename(&new, &path)?;
            }
            Style::InPlace => fs::write(&path, text)?,
        }
        Ok(())
    }

    /// Puts something into a file that cannot be used: behind what is in one of those there are, or into another.
    pub(crate) fn spoil(&self, name: &str, text: &str, style: Style) -> Result<()> {
        let before = self.written.get(name).map(String::as_str).unwrap_or_default();
        self.put(name, &format!("{before}---\n{text}"), style)
    }

    /// The file is again as it was, or gone.
    pub(crate) fn mend(&self, name: &str, style: Style) -> Result<()> {
        match self.written.get(name) {
            Some(text) => self.put(name, text, style),
            None => Ok(fs::remove_file(self.path().join(name))?),
        }
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.written.keys()
    }
}
