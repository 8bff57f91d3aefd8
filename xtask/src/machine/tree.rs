//! A file system that is laid out in a directory, before it becomes that of a guest or of a container.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::command;

/// Below this directory each path is what it will be in the guest or the container.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Below a directory, which need not be there yet.
    pub(crate) const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn into_root(self) -> PathBuf {
        self.root
    }

    /// Where a path of it is on this machine.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn file(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.inside(to);
        fs::create_dir_all(to.parent().unwrap_or(&self.root))?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }

    /// A file, or all that is in a directory, at the same place.
    pub(crate) fn all(&self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            return self.file(path, &path.to_string_lossy());
        }
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        for entry in entries {
            self.all(&entry?.path())?;
        }
        Ok(())
    }

    /// A program or library with what it links to.
    pub(crate) fn program(&self, from: &Path, to: &str) -> Result<()> {
        self.file(from, to)?;
        // A static program has no libraries, and ldd says so by failing.
        let linked = command::capture(Command::new("ldd").arg(from)).unwrap_or_default();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            if !self.inside(library).exists() {
                self.file(Path::new(library), library)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn directories_are_laid_out_whole() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::at(root.path().to_owned());
        let examples = workspace::root().join("examples");
        tree.all(&examples).unwrap();
        for file in ["split-universal.yaml", "blue-green/mesh.yaml"] {
            assert!(tree.inside(&examples.join(file).to_string_lossy()).is_file(), "{file}");
        }
    }
}
